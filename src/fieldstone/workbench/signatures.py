"""Addresses that prove that this site gave them out: for handlers that others call, who have no session."""

from __future__ import annotations

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

_SALT = "fieldstone.thirdparty"


def of(usage_key: str) -> str:
    """The signature in the addresses of a block's handlers. It lasts as long as ``SECRET_KEY`` does."""
    return _signature(usage_key, settings.SECRET_KEY)


def is_signed(signature: str, usage_key: str) -> bool:
    """Is this the block's signature, by ``SECRET_KEY`` or one of ``SECRET_KEY_FALLBACKS``?"""
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(constant_time_compare(signature, _signature(usage_key, secret)) for secret in secrets)


def _signature(usage_key: str, secret: str | bytes) -> str:
    return salted_hmac(_SALT, usage_key, secret=secret, algorithm="sha256").hexdigest()[:32]
