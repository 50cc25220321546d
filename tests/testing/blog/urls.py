from django.urls import path

from tests.testing.blog import views

urlpatterns = [path("first/", views.posts_first_written), path("", views.posts)]
