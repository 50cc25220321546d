from django.apps import AppConfig


class BlogConfig(AppConfig):
    name = "tests.testing.blog"
    default_auto_field = "django.db.models.BigAutoField"
