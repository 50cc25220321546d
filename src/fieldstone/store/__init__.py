"""The store: fields of places, for learners. ``Store`` is in ``fieldstone.store.store``."""
