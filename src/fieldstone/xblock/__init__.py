"""The XBlock face of the store: the calls that hosts of XBlocks already make."""

from fieldstone.errors import InvalidWriteError
from fieldstone.xblock.ephemeral import EphemeralKeyValueStore
from fieldstone.xblock.field_data_cache import FieldDataCache
from fieldstone.xblock.first_generation import LmsKeyValueStore, ModelDataCache
from fieldstone.xblock.key_value_store import DjangoKeyValueStore
from fieldstone.xblock.scores import ScoresClient, set_score
from fieldstone.xblock.user_state import XBlockUserState
from fieldstone.xblock.user_state_client import DjangoXBlockUserStateClient

__all__ = [
    "DjangoKeyValueStore",
    "DjangoXBlockUserStateClient",
    "EphemeralKeyValueStore",
    "FieldDataCache",
    "InvalidWriteError",
    "LmsKeyValueStore",
    "ModelDataCache",
    "ScoresClient",
    "XBlockUserState",
    "set_score",
]
