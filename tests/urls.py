"""The example project's addresses."""

from django.urls import include, path

urlpatterns = [path("", include("fieldstone.workbench.urls"))]

handler403 = "fieldstone.workbench.views.forbidden"
handler404 = "fieldstone.workbench.views.not_found"
handler500 = "fieldstone.workbench.views.server_error"
