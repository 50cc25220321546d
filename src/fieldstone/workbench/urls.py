"""Where the workbench's pages are. Everything that a block's script may call is under ``/xblock/``."""

from django.urls import path

from fieldstone.workbench import views

app_name = "workbench"

urlpatterns = [
    path("", views.outline, name="outline"),
    path("unit/<str:usage_key>/", views.unit, name="unit"),
    path("learners/", views.learners, name="learners"),
    path("learners/create/", views.learner_create, name="learner_create"),
    path("learners/switch/", views.learner_switch, name="learner_switch"),
    path("xblock/resource/<str:block_type>/<path:uri>", views.resource, name="resource"),
    path("xblock/asset/<path:name>", views.asset, name="asset"),
    path("xblock/<str:usage_key>/state/", views.state, name="state"),
    path("xblock/<str:usage_key>/handler/", views.handler, {"name": ""}, name="handlers"),
    path("xblock/<str:usage_key>/handler/<str:name>", views.handler, name="handler"),
    path("xblock/<str:usage_key>/handler/<str:name>/<path:suffix>", views.handler, name="handler_suffix"),
]
