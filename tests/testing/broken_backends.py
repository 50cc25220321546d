"""Backends of which each does one thing wrong, for the contract suites to find."""

from __future__ import annotations

import asyncio
import dataclasses
import fnmatch
import threading
from itertools import count, repeat

from fieldstone.kvs.entries import integer_entry, version_of
from tests.testing.third_party import DictBackend


class OnOneServer(DictBackend):
    """This is not wrong: what all its regions keep stands in one dict."""

    everything: dict[str, tuple[bytes, float]] = {}

    def __init__(self, region, **options):
        super().__init__(region, **options)
        self.kept = self.everything


# Entries


class GivesManyInTheirOwnOrder(DictBackend):
    def get_many(self, names):
        return [self.get(name) for name in sorted(names)]


class GivesManyWithoutThoseThatMiss(DictBackend):
    def get_many(self, names):
        return [entry for entry in super().get_many(names) if entry]


class KeepsForEver(DictBackend):
    def set(self, name, entry, ttl):
        super().set(name, entry, None)


class KeepsWholeSecondsOnly(DictBackend):
    def end_of(self, seconds):
        return super().end_of(seconds if seconds is None else int(seconds))


class KeepsTheTimeOfTheOldValue(DictBackend):
    def set(self, name, entry, ttl):
        old = self.kept.get(name)
        super().set(name, entry, ttl)
        if ttl is None and old:
            self.kept[name] = entry, old[1]


class TrimsValues(DictBackend):
    def set(self, name, entry, ttl):
        super().set(name, entry.rstrip(b"\r\n\x00"), ttl)


class DoesNotTellLettersApart(DictBackend):
    def get(self, name):
        return super().get(name.lower())

    def set(self, name, entry, ttl):
        super().set(name.lower(), entry, ttl)


class KnowsNoPrefixes(OnOneServer):
    def get(self, name):
        return super().get(name.rpartition(":")[2])

    def set(self, name, entry, ttl):
        super().set(name.rpartition(":")[2], entry, ttl)


class SaysThatItDeletedWhatWasNotThere(DictBackend):
    def delete(self, name):
        super().delete(name)
        return True


class CannotBeUsedAfterItIsClosed(DictBackend):
    def close(self):
        del self.kept


class IsOfOneProcessAndSaysOtherwise(DictBackend):
    abilities = dataclasses.replace(DictBackend.abilities, shared=True)


class CannotTouchAndSaysOtherwise(DictBackend):
    def touch(self, name, ttl):
        raise NotImplementedError


class TouchesNothing(DictBackend):
    def touch(self, name, ttl):
        return self.get(name) is not None


# Atomic calls


class Meeting:
    """Where threads come that have read and not yet written: each waits for another one, for a moment."""

    def __init__(self) -> None:
        self.meeting = threading.Barrier(2)

    def wait(self) -> None:
        try:
            self.meeting.wait(0.05)
        except threading.BrokenBarrierError:
            self.meeting.reset()


class Adds(DictBackend):
    """Whether or not there is a value."""

    def add(self, name, entry, ttl):
        self.set(name, entry, ttl)
        return True


class AddsInTwoSteps(DictBackend):
    def __init__(self, region, **options):
        super().__init__(region, **options)
        self.met = Meeting()

    def add(self, name, entry, ttl):
        if self.get(name) is not None:
            return False
        self.met.wait()
        self.set(name, entry, ttl)
        return True


class CountsInTwoSteps(DictBackend):
    def __init__(self, region, **options):
        super().__init__(region, **options)
        self.met = Meeting()

    def incr(self, name, by, initial, ttl):
        before = self.kept.get(name)
        self.met.wait()
        with self.changed:
            now, self.kept[name] = self.kept.get(name), before or (b"", 0.0)
            try:
                return super().incr(name, by, initial, ttl)
            except ValueError:
                if now:
                    self.kept[name] = now
                raise


class CountsBeyond64Bits(DictBackend):
    def incr(self, name, by, initial, ttl):
        try:
            return super().incr(name, by, initial, ttl)
        except ValueError as error:
            if "64 bits" not in str(error):
                raise
            self.set(name, integer_entry(-(2**63)), ttl)
            return -(2**63)


class CountsAnewEachTime(DictBackend):
    """Its counters get another time to live with each call."""

    def incr(self, name, by, initial, ttl):
        total = super().incr(name, by, initial, ttl)
        self.touch(name, ttl)
        return total


class ReplacesWhatIsEqualToAnOlderValue(DictBackend):
    """It knows versions by their values: A, B, A is A to it."""

    def __init__(self, region, **options):
        super().__init__(region, **options)
        self.seen: dict[bytes, bytes] = {}

    def get(self, name):
        entry = super().get(name)
        if entry is not None:
            self.seen[version_of(entry)] = entry[9:]
        return entry

    def compare_and_set(self, name, entry, version, ttl):
        stored = self.get(name)
        return super().compare_and_set(
            name,
            entry,
            version_of(stored) if stored and self.seen.get(version) == stored[9:] else version,
            ttl,
        )


class ReplacesAnyVersion(DictBackend):
    def compare_and_set(self, name, entry, version, ttl):
        return self.get(name) is not None and (self.set(name, entry, ttl) or True)


class ReplacesWhatIsMissing(DictBackend):
    def compare_and_set(self, name, entry, version, ttl):
        if self.get(name) is not None:
            return super().compare_and_set(name, entry, version, ttl)
        self.set(name, entry, ttl)
        return True


class ListsByPattern(OnOneServer):
    def scan(self, prefix, cursor, count):
        return [name for name in self.kept if fnmatch.fnmatchcase(name, f"{prefix}*") and self.get(name)], None


class ListsWhatHasExpired(DictBackend):
    def scan(self, prefix, cursor, count):
        return [name for name in self.kept if name.startswith(prefix)], None


class ListsOnePageOnly(DictBackend):
    def scan(self, prefix, cursor, count):
        names, _ = super().scan(prefix, cursor, count)
        return names[:1_000], None


# Locks


class IsHeldByEverybody(DictBackend):
    def acquire(self, name, token, timeout, wait):
        with self.changed:
            self.held[name] = token, self.end_of(timeout)
            return next(self.fences)


class IsLetGoByAnybody(DictBackend):
    def release(self, name, token):
        with self.changed:
            self.changed.notify_all()
            return self.held.pop(name, None) is not None


class IsHeldAgainByItsOwner(DictBackend):
    def acquire(self, name, token, timeout, wait):
        if self.owns(name, token):
            return next(self.fences)
        return super().acquire(name, token, timeout, wait)


class IsHeldForEver(DictBackend):
    def acquire(self, name, token, timeout, wait):
        return super().acquire(name, token, 1e9, wait)


class IsWaitedForByNobody(DictBackend):
    def acquire(self, name, token, timeout, wait):
        return super().acquire(name, token, timeout, 0)


class IsWaitedForTooLong(DictBackend):
    def acquire(self, name, token, timeout, wait):
        return super().acquire(name, token, timeout, wait + 1.5 if 0 < wait < 1 else wait)


class IsOneForAllKeys(DictBackend):
    def acquire(self, name, token, timeout, wait):
        return super().acquire("lock", token, timeout, wait)

    def release(self, name, token):
        return super().release("lock", token)


class SaysThatItLetGoWhatWasOver(DictBackend):
    def release(self, name, token):
        super().release(name, token)
        return True


class SaysThatItRenewed(DictBackend):
    def renew(self, name, token, timeout):
        return self.owns(name, token)


class RenewsForAnybody(DictBackend):
    def renew(self, name, token, timeout):
        with self.changed:
            is_held = self.locked(name)
            if is_held:
                self.held[name] = self.held[name][0], self.end_of(timeout)
            return is_held


class GivesEachHolderTheSameFence(DictBackend):
    def __init__(self, region, **options):
        super().__init__(region, **options)
        self.fences = repeat(7)


class GivesNegativeFences(DictBackend):
    def __init__(self, region, **options):
        super().__init__(region, **options)
        self.fences = count(-1000)


class CountsFencesAnewWhenItForgets(DictBackend):
    def forget(self):
        self.held.clear()
        self.fences = count(1)


class GivesALockToWhoWasCancelled(DictBackend):
    async def acall(self, method, *args):
        return await asyncio.to_thread(getattr(self, method), *args)


class WaitsInTheLoop(DictBackend):
    async def acall(self, method, *args):
        return getattr(self, method)(*args)
