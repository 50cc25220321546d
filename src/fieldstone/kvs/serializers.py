"""How values become bytes: MessagePack, JSON, and pickle where a site names it, signed.

Each has a letter that its entries begin with (``fieldstone.kvs.entries``), and reads no other: a pickle that
somebody plants in a server is not looked into by a region that did not name pickle.
"""

from __future__ import annotations

import hashlib
import hmac
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Final

from fieldstone import conf
from fieldstone.errors import BadSignatureError
from fieldstone.values import decode_value, encode_value


class Serializer(ABC):
    """Values to bytes and back, a new object at each reading."""

    letter: ClassVar[bytes]
    """One small letter of ASCII, not ``i``."""

    @abstractmethod
    def dumps(self, value: Any) -> bytes:
        """Raises ``TypeError``, ``ValueError``, ``OverflowError``, ``RecursionError`` for what it cannot write."""

    @abstractmethod
    def loads(self, data: bytes) -> Any:
        """Raises ``ValueError`` for what it did not write."""

    def loads_many(self, data: Sequence[bytes]) -> list[Any]:
        """``loads`` of each. Raises ``ValueError`` if there is one that it did not write."""
        return [self.loads(each) for each in data]


class JSONSerializer(Serializer):
    """What ``fieldstone.values`` writes: of any depth, tuples become lists and keys of objects strings."""

    letter = b"j"

    def dumps(self, value: Any) -> bytes:
        return encode_value(value).encode("ascii")

    def loads(self, data: bytes) -> Any:
        try:
            return decode_value(data.decode())
        except RecursionError as error:
            raise ValueError(f"it is nested deeper than JSON is written ({error})") from error


class MessagePackSerializer(Serializer):
    """JSON's values, and ``bytes``, integers of any size, keys of any such kind, and aware ``datetime`` objects.

    Tuples become lists, a moment comes back in UTC.
    """

    letter = b"m"
    _BIG_INTEGER = 1

    def __init__(self) -> None:
        import msgpack  # not at the top: importing the package pulls in no serializer that no region asks for

        def other(value: Any) -> Any:
            raise TypeError(f"MessagePack cannot write {type(value).__name__}")

        def default(value: Any) -> Any:
            if isinstance(value, int):
                size = value.bit_length() // 8 + 1
                return msgpack.ExtType(self._BIG_INTEGER, value.to_bytes(size, "big", signed=True))
            if isinstance(value, datetime):
                raise TypeError("a datetime without its time zone: use django.utils.timezone.now()")
            return other(value)

        def extension(code: int, data: bytes) -> Any:
            if code != self._BIG_INTEGER:
                raise ValueError(f"unknown MessagePack extension {code}")
            return int.from_bytes(data, "big", signed=True)

        self._pack: Callable[[Any], bytes] = msgpack.packb
        self._pack_more: Callable[[Any], bytes] = partial(msgpack.packb, default=default, datetime=True)
        options = {"strict_map_key": False, "ext_hook": extension, "timestamp": 3}
        self._unpack = partial(msgpack.unpackb, **options)
        self._stream = partial(msgpack.Unpacker, **options, max_buffer_size=0)  # 0: as much as there is

    def dumps(self, value: Any) -> bytes:
        try:
            return self._pack(value)
        except (TypeError, OverflowError):  # what takes options, which cost as much as all the rest
            return self._pack_more(value)

    def loads(self, data: bytes) -> Any:
        try:
            return self._unpack(data)
        except ValueError:
            raise
        except Exception as error:  # msgpack's own have no common base
            raise ValueError(f"it is no MessagePack ({error})") from error

    def loads_many(self, data: Sequence[bytes]) -> list[Any]:
        # As one stream: half the time of one by one. Where each value ends is looked at, so that what somebody has
        # planted under one key cannot stand for the values of the keys after it.
        stream = self._stream()
        stream.feed(b"".join(data))
        values, end = [], 0
        try:
            for each in data:
                values.append(stream.unpack())
                end += len(each)
                if stream.tell() != end:
                    raise ValueError("it is not one value of MessagePack")
        except ValueError:
            raise
        except Exception as error:  # msgpack's own have no common base
            raise ValueError(f"it is no MessagePack ({error})") from error
        return values


class SignedPickleSerializer(Serializer):
    """Any object that Python pickles, signed with the site's key: only for regions that name it.

    What is not signed by this site is not looked into. Whoever has the key can run code in your processes.
    """

    letter = b"p"
    _SIZE: Final = hashlib.sha256().digest_size

    def __init__(self) -> None:
        self._keys: list[bytes] | None = None

    def dumps(self, value: Any) -> bytes:
        try:
            data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, AttributeError) as error:
            raise TypeError(str(error)) from error
        return self._signature(conf.signing_keys()[0], data) + data

    def loads(self, data: bytes) -> Any:
        signature, pickled = data[: self._SIZE], data[self._SIZE :]
        if not any(hmac.compare_digest(self._signature(key, pickled), signature) for key in conf.signing_keys()):
            raise BadSignatureError("A pickle is not signed by this site; it was not looked into.")
        return pickle.loads(pickled)  # noqa: S301  # signed by this site

    def _signature(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, "sha256")
