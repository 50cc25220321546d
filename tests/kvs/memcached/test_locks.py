"""Locks on a real memcached, as good as they can be there."""

from __future__ import annotations

import asyncio
import time

from pymemcache import Client

from tests.kvs.workers import Workers, eventually

LONG = 60.0


def test_only_its_owner_prolongs_it_and_lets_it_go(backend, name):
    fence = backend.acquire(name, "owner", LONG, 0)
    assert abs(fence / 1e6 - time.time()) < 60
    assert backend.acquire(name, "owner", LONG, 0) is None
    assert backend.acquire(name, "other", LONG, 0) is None
    assert not backend.release(name, "other")
    assert not backend.renew(name, "other", LONG)
    assert backend.locked(name)
    assert backend.renew(name, "owner", LONG)
    assert backend.release(name, "owner")
    assert not backend.release(name, "owner")
    assert not backend.locked(name)
    assert backend.acquire(name, "other", LONG, 0) > fence


def test_parts_of_a_second_count(backend, name):
    first = backend.acquire(name, "late", 0.05, 0)
    eventually(lambda: not backend.locked(name))
    assert not backend.renew(name, "late", LONG)
    assert not backend.release(name, "late")
    assert backend.acquire(name, "next", LONG, 0) > first
    assert not backend.release(name, "late")
    assert backend.locked(name)


def test_who_waits_gets_it_when_its_time_is_over_and_gives_up_in_time(backend, name):
    first = backend.acquire(name, "killed", 0.2, 0)
    assert backend.acquire(name, "next", LONG, 30) > first
    began = time.monotonic()
    assert backend.acquire(name, "late", LONG, 0.2) is None
    assert time.monotonic() - began >= 0.2


def test_a_fence_is_greater_than_the_one_before_also_when_a_clock_was_ahead(url, backend, name):
    client = Client(url)
    client.set(f"fieldstone-fence:{name}", b"%d" % 2**62, noreply=False)
    assert backend.acquire(name, "owner", LONG, 0) == 2**62 + 1
    client.close()


def test_it_is_best_effort_and_says_so(url, backend, name):
    """What the server has forgotten nobody holds: the fencing token alone tells who came later."""
    first = backend.acquire(name, "first", LONG, 0)
    client = Client(url)
    client.delete(f"fieldstone-lock:{name}", noreply=False)
    client.delete(f"fieldstone-fence:{name}", noreply=False)
    client.close()
    assert backend.acquire(name, "second", LONG, 0) > first
    assert not backend.release(name, "first")
    assert not backend.abilities.honest_locks
    assert not backend.abilities.fair_locks


def test_long_names_and_names_with_any_character_are_told_apart(backend, name):
    names = [f"{name}{'x' * more}" for more in (200, 230, 231, 300)]
    names += [f"{name} ", f"{name}\n", f"{name}é", f"{name}e"]
    for each in names:
        assert backend.acquire(each, "owner", LONG, 0), each
    assert all(backend.release(each, "owner") for each in names)


def test_locks_are_no_entries(backend, name):
    backend.set(name, b"entry", None)
    assert backend.acquire(name, "owner", LONG, 0)
    assert backend.get(name) == b"entry"


def add_one(number, backend, name, path, times):
    for turn in range(times):
        fence = backend.acquire(name, f"{number}-{turn}", LONG, 60)
        path.write_text(str(int(path.read_text()) + 1))
        assert backend.release(name, f"{number}-{turn}")
        yield fence


def test_eight_processes_are_kept_apart(backend, name, tmp_path):
    path = tmp_path / "counter"
    path.write_text("0")
    with Workers() as workers:
        told = workers.all(8, add_one, backend, name, path, 25)
    assert path.read_text() == "200"
    assert len({fence for fences in told for fence in fences}) == 200


def hold_for_ever(backend, name):
    yield backend.acquire(name, "killed", 0.5, 0)
    time.sleep(LONG)


def test_a_holder_that_was_killed_has_it_until_its_timeout(backend, name):
    with Workers() as workers:
        holder = workers.start(hold_for_ever, backend, name)
        first = holder.next()
        holder.kill()
        assert backend.acquire(name, "next", LONG, 30) > first


def test_coroutines_wait_for_each_other(backend, name):
    async def take(token):
        fence = await backend.acall("acquire", name, token, LONG, 30)
        await asyncio.sleep(0.01)
        assert await backend.acall("release", name, token)
        return fence

    async def main():
        return await asyncio.gather(*(take(f"task{n}") for n in range(5)))

    assert len(set(asyncio.run(main()))) == 5
