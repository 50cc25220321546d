"""The XBlock face of the store: the calls that hosts of XBlocks already make."""

from fieldstone.xblock.field_data_cache import FieldDataCache
from fieldstone.xblock.key_value_store import DjangoKeyValueStore

__all__ = ["DjangoKeyValueStore", "FieldDataCache"]
