"""The suite of locks: what it says of a backend of other people's, and of broken ones."""

from __future__ import annotations

from tests.kvs.backends import needs_time
from tests.testing.test_region_contract import classes, failed, ids

THREE_LINES = """
    from fieldstone.testing.contracts.locks import LockContract

    class TestDict(LockContract):
        backend, brief = "tests.testing.third_party.DictBackend", 0.05

    class TestForgetful(LockContract):
        backend, options, brief = "tests.testing.third_party.DictBackend", {"first_fence": 10**15}, 0.05

        def forget_locks(self, region):
            region.backend.held.clear()

    class TestModest(LockContract):
        backend, brief = "tests.testing.third_party.ModestBackend", 0.05
"""
OWNERS = "test_the_backend_tells_an_owner_from_others"
BROKEN = {
    "IsHeldByEverybody": ["test_a_lock[excludes_others]", "test_a_lock[keeps_threads_apart]"],
    "IsLetGoByAnybody": ["test_a_lock[is_not_let_go_by_who_held_it_before]", OWNERS],
    "IsHeldAgainByItsOwner": [OWNERS],
    "IsHeldForEver": ["test_a_lock[gets_what_a_dead_holder_left_after_its_timeout]"],
    "IsWaitedForByNobody": ["test_a_lock[waits_no_longer_than_it_was_told]"],
    "IsWaitedForTooLong": ["test_a_lock[waits_no_longer_than_it_was_told]"],
    "IsOneForAllKeys": ["test_a_lock[keeps_keys_apart]"],
    "SaysThatItLetGoWhatWasOver": ["test_a_lock[tells_who_lets_go_too_late]"],
    "SaysThatItRenewed": [
        "test_a_lock[is_held_longer_when_it_is_renewed]",
        "test_renewal_keeps_a_lock_beyond_its_timeout",
    ],
    "RenewsForAnybody": [OWNERS],
    "GivesEachHolderTheSameFence": ["test_a_lock[gives_each_holder_a_greater_fence]"],
    "GivesNegativeFences": ["test_a_lock[gives_each_holder_a_greater_fence]"],
    "CountsFencesAnewWhenItForgets": ["test_fences_grow_also_when_the_server_has_forgotten_everything"],
    "GivesALockToWhoWasCancelled": ["test_a_cancelled_waiter_leaves_nothing_behind"],
    "WaitsInTheLoop": ["test_waiting_does_not_block_the_loop"],
}
"""Backends of ``broken_backends``, and the tests that have to find what is wrong with each."""
FORGETTING = """

    def forget_locks(self, region):
        region.backend.forget()
"""


def test_a_backend_proves_its_locks_in_three_lines(project):
    """Whether its server can be made to forget is its own to say; without fences it is not asked for them."""
    few = "TestDict or (TestForgetful and forg) or (TestModest and (fence or kept_apart or holder))"
    result = project(THREE_LINES, "-k", few, "-v", "-rs")
    assert result.parseoutcomes().keys() == {"passed", "skipped", "deselected"}
    told = str(result.stdout)
    assert "the class says no way to make the server forget: forget_locks(self, region)" in told
    test = "test_fences_grow_also_when_the_server_has_forgotten_everything"
    assert f"::TestDict::{test} SKIPPED" in told
    assert f"::TestForgetful::{test} PASSED" in told
    assert "::TestModest::test_coroutines_are_kept_apart PASSED" in told
    assert "::TestModest::test_a_lock[gives_each_holder_a_greater_fence] SKIPPED" in told


@needs_time
def test_what_is_wrong_with_a_lock_is_found_by_the_test_that_says_so(project):
    names = [name for name in BROKEN if name != "CountsFencesAnewWhenItForgets"]
    module = "fieldstone.testing.contracts.locks"
    text = classes("LockContract", module, [*names, "CountsFencesAnewWhenItForgets"]) + FORGETTING
    result = project(text, *ids(BROKEN), "-q", "--tb=short", "-rf")
    assert {name: sorted(tests) for name, tests in failed(result).items()} == {
        name: sorted(tests) for name, tests in BROKEN.items()
    }
    assert "a fencing token is -1000" in str(result.stdout)
