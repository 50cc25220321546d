#!/usr/bin/env python
"""Django's command line for the example project."""

import os
import sys
import warnings

# Of the package `fs`, which XBlock needs; constraints.txt pins the setuptools that it works with.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
