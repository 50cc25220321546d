"""What a web server runs: ``gunicorn --chdir example project.wsgi``."""

import os
import warnings

from django.core.wsgi import get_wsgi_application

# Of the package `fs`, which XBlock needs; constraints.txt pins the setuptools that it works with.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
application = get_wsgi_application()
