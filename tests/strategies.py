"""What hypothesis draws fields from: as in the contract of stores."""

from fieldstone.testing.contracts.stores.drawn import field_names, json_values, text_with_surrogates

__all__ = ["field_names", "json_values", "text_with_surrogates"]
