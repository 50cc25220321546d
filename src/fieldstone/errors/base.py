"""The base of all errors."""

from __future__ import annotations


class FieldstoneError(Exception):
    """The base of all errors that Fieldstone raises itself."""
