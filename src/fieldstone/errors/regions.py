"""What regions and locks raise."""

from __future__ import annotations

from fieldstone.errors.base import FieldstoneError
from fieldstone.errors.state import InvalidValueError


class RegionConfigurationError(FieldstoneError, ValueError):
    """A region cannot be configured so. It stays as it was: correct what is named, and configure it again."""

    def __init__(self, region: str, reason: str) -> None:
        super().__init__(f"Region {region!r}: {reason}")
        self.region = region
        self.reason = reason


class AlreadyConfiguredError(RegionConfigurationError, RuntimeError):
    """A region is configured once."""

    def __init__(self, region: str) -> None:
        super().__init__(
            region, "it is configured already, once and for the whole process. Ask for it by its name."
        )


class NotConfiguredError(FieldstoneError, RuntimeError):
    """A region was used before it was configured."""

    def __init__(self, region: str) -> None:
        super().__init__(
            f"Region {region!r} is not configured: name it in settings.FIELDSTONE['REGIONS'], or call its"
            " configure(backend, ...) first."
        )
        self.region = region


class InvalidKeyError(FieldstoneError, ValueError):
    """No backend, or not this one, can keep a value under such a key. Nothing has been written."""

    def __init__(self, region: str, key: object, reason: str) -> None:
        shown = repr(key)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        super().__init__(f"Key {shown} of region {region!r}: {reason}. Nothing was written.")
        self.region = region
        self.key = key
        self.reason = reason


class InvalidEntryError(InvalidValueError):
    """A value cannot be kept in a region. Nothing has been written, and what was there before stays."""

    def __init__(self, region: str, key: str, reason: str) -> None:
        FieldstoneError.__init__(
            self, f"The value of key {key!r} cannot be kept in region {region!r}: {reason}. Nothing was written."
        )
        self.place = self.region = region
        self.field = self.key = key
        self.reason = reason


class UnreadableEntryError(FieldstoneError, ValueError):
    """What is stored under a key was not written by this region, or was changed: delete it."""

    def __init__(self, region: str, key: str, reason: str) -> None:
        super().__init__(
            f"What region {region!r} holds under key {key!r} cannot be read: {reason}. Delete the key."
        )
        self.region = region
        self.key = key
        self.reason = reason


class NotFound(FieldstoneError, LookupError):
    """There is no value. ``target`` is the key that was asked for, or the list of those that are missing."""

    def __init__(self, target: str | list[str], region: str = "") -> None:
        what = f"keys {', '.join(map(repr, target))}" if isinstance(target, list) else f"key {target!r}"
        super().__init__(f"Region {region!r} has no value for {what}.")
        self.target = target
        self.region = region


class UnsupportedError(FieldstoneError, NotImplementedError):
    """The region's backend cannot do this: its ``abilities`` say what it can."""

    def __init__(self, region: str, backend: str, what: str) -> None:
        super().__init__(f"Region {region!r} is on {backend}, which cannot do this: {what}. See region.abilities.")
        self.region = region
        self.backend = backend
        self.what = what


class ServiceUnavailable(FieldstoneError):
    """The region's server does not answer. Whether a write arrived is not known: try again later."""

    def __init__(self, region: str, backend: str, reason: str) -> None:
        super().__init__(f"Region {region!r}: {backend} does not answer ({reason}). Try again later.")
        self.region = region
        self.backend = backend
        self.reason = reason


class UnexpectedError(FieldstoneError):
    """A lock cannot be had, or not as it was asked for."""


class LockNotAcquiredError(UnexpectedError):
    """Somebody else held the lock all the time that one was ready to wait. Nothing has been done."""

    def __init__(self, key: str, waited: float) -> None:
        super().__init__(
            f"The lock of key {key!r} was held by another all the {waited:.2f} s that were waited for it. Try"
            " again later, or wait longer (blocking_timeout)."
        )
        self.key = key
        self.waited = waited


class LockTimeout(UnexpectedError):
    """A lock was used after its timeout: another may hold it by now. Nothing has been written."""

    def __init__(self, target: str, timeout: float | None = None) -> None:
        within = "" if timeout is None else f" of {timeout:g} s"
        super().__init__(
            f"The lock of key {target!r} was used after its timeout{within}: another may hold it by now. Nothing"
            " was written. Acquire it again, for longer or with renewal."
        )
        self.target = target
        self.timeout = timeout


class LockNotHeldError(FieldstoneError, AssertionError):
    """A lock that was released or never acquired authorises nothing. An ``AssertionError`` too, as in Keystone."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The lock of key {key!r} is not held: it was released, or never acquired. Nothing was written."
        )
        self.key = key


class WrongLockError(FieldstoneError, ValueError):
    """A lock of one key was given for another. Nothing has been written."""

    def __init__(self, lock_key: str, key: str) -> None:
        super().__init__(f"The lock is of key {lock_key!r}, and {key!r} was to be written. Nothing was written.")
        self.lock_key = lock_key
        self.key = key


class StaleFenceError(FieldstoneError):
    """A later holder of the lock has written already: an earlier one is refused. Nothing has been written."""

    def __init__(self, name: str, token: int, newest: int) -> None:
        super().__init__(
            f"The lock {name!r} was held with fencing token {token}, and a holder with token {newest} has written"
            " since. Nothing was written. Acquire the lock again, and read again."
        )
        self.name = name
        self.token = token
        self.newest = newest


class BadSignatureError(FieldstoneError):
    """A pickle was not signed by this site: it has not been looked into."""
