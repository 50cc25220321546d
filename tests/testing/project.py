"""Settings of a project that knows the test kit and nothing else of Fieldstone."""

SECRET_KEY = "of tests only"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    "history": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
INSTALLED_APPS = ["tests.testing.blog"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
ROOT_URLCONF = "tests.testing.blog.urls"
USE_TZ = True
