"""The example project, with an aside beside every block."""

from project import settings as example
from project.settings import *  # noqa: F403  # as a site's settings take another's

FIELDSTONE = {**example.FIELDSTONE, "ASIDES": ["acid_aside"]}
