"""The workbench at the root, for the row that asks for a page."""

from django.urls import include, path

urlpatterns = [path("", include("fieldstone.workbench.urls"))]
