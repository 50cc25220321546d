"""Named regions: values by key, for a while."""

from fieldstone.kvs.memory import MemoryRegion

__all__ = ["MemoryRegion"]
