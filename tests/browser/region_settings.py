"""The example project, with what visitors and previews leave kept in the database."""

from project import settings as example
from project.settings import *  # noqa: F403  # as a site's settings take another's

REGIONS = {name: {"BACKEND": "database", "SERIALIZER": "json"} for name in ("visitors", "previews")}
FIELDSTONE = {**example.FIELDSTONE, "REGIONS": REGIONS}
