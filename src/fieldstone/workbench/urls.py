"""Where the workbench's pages are. Everything that a block's script may call is under ``/xblock/``."""

from collections.abc import Callable

from django.apps import apps
from django.http import HttpResponseBase
from django.urls import URLPattern, URLResolver, include, path

from fieldstone.workbench import views, xqueue

app_name = "workbench"


def handlers(prefix: str, view: Callable[..., HttpResponseBase], name: str) -> list[URLPattern]:
    """A block's handlers: the named one is what all their addresses begin with."""
    handler = f"{prefix}<str:usage_key>/handler/"
    return [
        path(handler, view, {"name": ""}, name=name),
        path(f"{handler}<str:name>", view),
        path(f"{handler}<str:name>/", view),
        path(f"{handler}<str:name>/<path:suffix>", view),
    ]


urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.outline, name="outline"),
    path("unit/<str:usage_key>/", views.unit, name="unit"),
    path("block/<str:usage_key>/<str:view_name>/", views.block, name="block"),
    path("learners/", views.learners, name="learners"),
    path("learners/create/", views.learner_create, name="learner_create"),
    path("learners/switch/", views.learner_switch, name="learner_switch"),
    path("xblock/resource/<str:block_type>/<path:uri>", views.resource, name="resource"),
    path("xblock/asset/<path:name>", views.asset, name="asset"),
    path("xblock/<str:usage_key>/state/", views.state, name="state"),
    *handlers("xblock/", views.handler, "handlers"),
    *handlers("xblock/preview/", views.preview_handler, "preview_handlers"),
    *handlers("xblock/signed/<str:signature>/", views.signed_handler, "signed_handlers"),
    path("xqueue/<str:proof>/<str:usage_key>/<int:user_id>/<str:dispatch>", xqueue.answer, name="xqueue"),
]

if apps.is_installed("fieldstone.jobs"):  # whose models cannot even be imported where it is not
    urlpatterns.append(path("jobs/", include("fieldstone.workbench.job_urls")))
