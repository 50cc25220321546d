"""The services that published blocks ask a runtime for."""

from fieldstone.runtime.services.anonymous import anonymous_id, user_id_of
from fieldstone.runtime.services.host import Host, HostUrls, LearnerState
from fieldstone.runtime.services.lookup import BlockServices, PerBlock
from fieldstone.runtime.services.missing import MissingServiceError, explanation
from fieldstone.runtime.services.provided import service_names, services_for
from fieldstone.runtime.services.publishing import InvalidEventError, Published, is_higher, published
from fieldstone.runtime.services.rebind import RebindError
from fieldstone.runtime.services.replace_urls import ReplaceUrlsService

__all__ = [
    "BlockServices",
    "Host",
    "HostUrls",
    "InvalidEventError",
    "LearnerState",
    "MissingServiceError",
    "PerBlock",
    "Published",
    "RebindError",
    "ReplaceUrlsService",
    "anonymous_id",
    "explanation",
    "is_higher",
    "published",
    "service_names",
    "services_for",
    "user_id_of",
]
