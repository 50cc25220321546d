"""The contract of stores. See ``StoreContract``."""

from fieldstone.testing.contracts.stores.contract import StoreContract

__all__ = ["StoreContract"]
