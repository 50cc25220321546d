"""On registration a visitor's state becomes the account's, whole or not at all; nothing acknowledged is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldstone.runtime.wiring import EphemeralStore, claim_state
from fieldstone.runtime.wiring.errors import StateClaimedError
from fieldstone.runtime.wiring.viewers import begin_visit, visitor_of, visitors_store
from fieldstone.store import Grade, Preferences, Store, Summary, UserInfo
from fieldstone.store.plan import Plan
from fieldstone.testing import fail_at
from tests.conftest import usage

A, B, C = usage("a"), usage("b"), usage("c")
PREFERENCES = Preferences("problem")


@pytest.fixture
def visit(visitors, session, ids_forgotten):
    """Saves as the session's visitor."""
    begin_visit(session)

    def save(changes, grades=None):
        visitors_store(session).save_plan(None, Plan.of(changes, grades or {}))

    return save


@pytest.fixture
def ada(kind):
    return get_user_model().objects.create_user("ada")


@pytest.fixture
def bob(kind):
    return get_user_model().objects.create_user("bob")


@pytest.fixture
def other_request(session):
    """A request of the same session, which has read it before the visit ends."""

    def copy():
        other = type(session)()
        other.update(dict(session))
        return other

    return copy


class NotDoneError(Exception):
    """Something else in the caller's transaction fails."""


def stored(user, *places):
    states = Store().read(user, places)
    return {place: dict(states[place].fields) for place in places if place in states}


def test_all_that_a_visitor_did_is_the_accounts(visit, session, ada):
    visit({A: {"x": 1}, B: {"y": None}, PREFERENCES: {"p": 2}, UserInfo(): {"u": 3}}, {A: Grade(1, 2)})
    claim = claim_state(session, ada)
    assert stored(ada, A, B, PREFERENCES, UserInfo()) == {
        A: {"x": 1},
        B: {"y": None},
        PREFERENCES: {"p": 2},
        UserInfo(): {"u": 3},
    }
    assert Store().read(ada, [A])[A].grade == 1
    assert (set(claim.moved), claim.kept, claim.dropped) == ({A, B, PREFERENCES, UserInfo()}, [], [])
    assert [revision.origin for revision in Store().history(ada, A)] == ["claim"]


def test_what_the_account_has_wins_block_by_block(visit, session, ada):
    """Fields of two attempts at one block are not mixed; preferences have nothing to do with each other."""
    Store().save(ada, {A: {"x": "account"}, PREFERENCES: {"p": "account"}})
    visit({A: {"x": "visitor", "more": 1}, B: {"y": "visitor"}, PREFERENCES: {"p": "visitor", "q": "visitor"}})
    claim = claim_state(session, ada)
    assert stored(ada, A, B, PREFERENCES) == {
        A: {"x": "account"},
        B: {"y": "visitor"},
        PREFERENCES: {"p": "account", "q": "visitor"},
    }
    assert (claim.kept, set(claim.moved)) == ([A], {B, PREFERENCES})


def test_the_caller_may_say_otherwise(visit, session, ada):
    Store().save(ada, {A: {"x": "account", "old": 1}, PREFERENCES: {"p": "account"}}, grades={A: Grade(1, 1)})
    visit({A: {"x": "visitor"}, PREFERENCES: {"p": "visitor"}}, {A: Grade(0, 1)})
    claim_state(session, ada, overwrite=True)
    assert stored(ada, A, PREFERENCES) == {A: {"x": "visitor"}, PREFERENCES: {"p": "visitor"}}
    assert Store().read(ada, [A])[A].grade == 0
    assert Store().at(ada, A, revision=1).fields["old"] == 1


def test_what_all_share_is_not_claimed(visit, session, ada):
    visit({A: {"x": 1}, Summary(A): {"tally": 99}})
    assert claim_state(session, ada).dropped == [A]
    assert not Store().read(None, [Summary(A)])


def test_to_claim_twice_changes_nothing(visit, session, ada):
    visit({A: {"x": 1}})
    claim_state(session, ada)
    Store().save(ada, {A: {"x": 2}})
    assert claim_state(session, ada).moved == []
    assert stored(ada, A) == {A: {"x": 2}}


def test_a_session_without_a_visit_claims_nothing(session, ada, visitors):
    assert claim_state(session, ada).moved == []


def test_a_claim_that_fails_leaves_everything_with_the_visitor(visit, session, ada):
    visit({A: {"x": 1}, PREFERENCES: {"p": 2}})
    with fail_at("INSERT INTO fieldstone_preferences"), pytest.raises(DatabaseError):
        claim_state(session, ada)
    assert stored(ada, A, PREFERENCES) == {}
    visit({A: {"y": 2}})
    claim_state(session, ada)
    assert stored(ada, A, PREFERENCES) == {A: {"x": 1, "y": 2}, PREFERENCES: {"p": 2}}


def test_a_save_after_the_claim_is_not_acknowledged(visit, session, ada):
    visit({A: {"x": 1}})
    late = dict(session)
    claim_state(session, ada)
    session.update(late)  # a request that began before the claim has the session as it was
    with pytest.raises(StateClaimedError):
        visit({A: {"x": 2}})


def test_a_save_between_the_claims_steps_is_claimed_too(visit, session, ada, monkeypatch):
    """The visitor answers again while the claim is writing: the newer answer is the account's."""
    Store().save(ada, {PREFERENCES: {"q": "account"}})
    visit({A: {"x": 1}, B: {"y": 1}, PREFERENCES: {"p": 1, "q": 1}})
    save_plan, again = Store.save_plan, [{A: {"x": 2}, C: {"z": 1}, PREFERENCES: {"p": 2, "q": 2}}]

    def saved_and_answered(self, *args, **options):
        receipt = save_plan(self, *args, **options)
        if again:
            visit(again.pop())
        return receipt

    monkeypatch.setattr(Store, "save_plan", saved_and_answered)
    claim = claim_state(session, ada)
    assert stored(ada, A, B, C) == {A: {"x": 2}, B: {"y": 1}, C: {"z": 1}}
    assert stored(ada, PREFERENCES) == {PREFERENCES: {"p": 2, "q": "account"}}
    assert (set(claim.moved), claim.kept) == ({A, B, C, PREFERENCES}, [])


def test_a_save_of_the_account_between_the_claims_steps_wins(visit, session, ada, monkeypatch):
    visit({A: {"x": "visitor"}})
    read, faster = Store.read, [{A: {"x": "account"}}]

    def read_and_overtaken(self, *args):
        states = read(self, *args)
        if faster:
            self.save(ada, faster.pop())
        return states

    monkeypatch.setattr(Store, "read", read_and_overtaken)
    assert claim_state(session, ada).kept == [A]
    assert stored(ada, A) == {A: {"x": "account"}}


def test_every_acknowledged_answer_of_a_visitor_who_registers_is_the_accounts(visit, session, ada, other_request):
    """Answers and the claim at once: each answer is either acknowledged, and claimed, or refused."""
    acknowledged = []

    def answer(number):
        try:
            visitors_store(visitor).save_plan(None, Plan.of({A: {f"x{number}": number}}, {}))
            acknowledged.append(f"x{number}")
        except StateClaimedError:
            pass
        finally:
            connection.close()

    visitor = other_request()
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(answer, number) for number in range(30)]
        answers[5].result()
        claim_state(session, ada)
        for each in answers:
            each.result()
    assert sorted(stored(ada, A)[A]) == sorted(acknowledged)
    assert "x5" in acknowledged


# Within the caller's transaction


def test_a_claim_that_is_rolled_back_leaves_everything_with_the_visitor(visit, session, ada, bob):
    """And whoever claims it then has it: the account of the one before is perhaps rolled back, too."""
    visit({A: {"x": 1}})
    with pytest.raises(NotDoneError), transaction.atomic():
        claim_state(session, ada)
        raise NotDoneError
    assert stored(ada, A) == {}
    visit({A: {"y": 2}})
    claim_state(session, bob)
    assert stored(bob, A) == {A: {"x": 1, "y": 2}}


def test_what_a_visitor_saves_until_the_commit_is_claimed_and_nothing_after_it(visit, session, ada, other_request):
    visit({A: {"x": 1}, PREFERENCES: {"p": 1}})
    visitor = visitors_store(other_request())
    with transaction.atomic():
        claim = claim_state(session, ada)
        assert stored(ada, A) == {A: {"x": 1}}
        visitor.save_plan(None, Plan.of({A: {"x": 2}, B: {"y": 1}, PREFERENCES: {"p": 2}}, {}))
    assert stored(ada, A, B, PREFERENCES) == {A: {"x": 2}, B: {"y": 1}, PREFERENCES: {"p": 2}}
    assert set(claim.moved) == {A, B, PREFERENCES}
    assert visitor_of(session) is None
    with pytest.raises(StateClaimedError):
        visitor.save_plan(None, Plan.of({A: {"x": 3}}, {}))


def test_where_nothing_is_saved_meanwhile_it_is_moved_once(visit, session, ada):
    visit({A: {"x": 1}, PREFERENCES: {"p": 1}})
    with transaction.atomic():
        claim = claim_state(session, ada, overwrite=True)
    assert (set(claim.moved), claim.kept) == ({A, PREFERENCES}, [])
    assert [revision.number for revision in Store().history(ada, A)] == [1]


def test_of_two_requests_of_one_user_the_later_one_finds_it_done(visit, session, ada, other_request):
    visit({A: {"x": 1}})
    late, later, last = other_request(), other_request(), other_request()
    with transaction.atomic():
        claim_state(late, ada)
        claim_state(session, ada)
        claim_state(later, ada)
    assert stored(ada, A) == {A: {"x": 1}}
    assert claim_state(last, ada).moved == []
    assert [visitor_of(each) for each in (session, late, later, last)] == [None] * 4


# Two accounts, and crashes


def test_a_visitor_is_one_accounts_only(visit, session, ada, bob, other_request, monkeypatch):
    """While the one claims, the other is refused, and so it is afterwards."""
    visit({A: {"x": 1}})
    late, save_plan, refused = other_request(), Store.save_plan, []

    def saved_while_another_claims(self, learner, *args, **options):
        receipt = save_plan(self, learner, *args, **options)
        if learner == ada:
            with pytest.raises(StateClaimedError) as caught:
                claim_state(late, bob)
            refused.append(caught.value.claimer)
        return receipt

    monkeypatch.setattr(Store, "save_plan", saved_while_another_claims)
    claim_state(session, ada)
    with pytest.raises(StateClaimedError):
        claim_state(late, bob)
    assert refused == [str(ada.pk)]
    assert (stored(ada, A), stored(bob, A)) == ({A: {"x": 1}}, {})


def test_after_a_crash_in_the_middle_the_same_user_goes_on_and_no_other(visit, session, ada, bob, monkeypatch):
    """The visitor is not locked out, either."""
    visit({A: {"x": 1}})

    class CrashError(BaseException):
        pass

    def crash(*args):
        raise CrashError

    with monkeypatch.context() as patched, pytest.raises(CrashError):
        patched.setattr(EphemeralStore, "end", crash)
        claim_state(session, ada)
    visit({B: {"y": 1}})
    with pytest.raises(StateClaimedError):
        claim_state(session, bob)
    claim_state(session, ada)
    assert (stored(ada, A, B), stored(bob, A, B)) == ({A: {"x": 1}, B: {"y": 1}}, {})
    assert [revision.number for revision in Store().history(ada, A)] == [1]


def test_after_a_claim_that_failed_another_account_may_claim(visit, session, ada, bob):
    visit({A: {"x": 1}, PREFERENCES: {"p": 2}})
    with fail_at("INSERT INTO fieldstone_preferences"), pytest.raises(DatabaseError):
        claim_state(session, ada)
    claim_state(session, bob)
    assert stored(bob, A) == {A: {"x": 1}}


places = st.sampled_from([A, B, PREFERENCES, UserInfo()])
values = st.integers(0, 3)
changes = st.dictionaries(places, st.dictionaries(st.sampled_from(["x", "y"]), values, min_size=1), max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(account=changes, visited=changes, overwrite=st.booleans())
def test_any_two_states_come_together_as_said(account, visited, overwrite, visitors, kind, ids_forgotten):
    session, everywhere = SessionStore(), [A, B, PREFERENCES, UserInfo()]
    user = get_user_model().objects.create_user(f"user-{get_user_model().objects.count()}")
    if account:
        Store().save(user, account)
    begin_visit(session)
    if visited:
        visitors_store(session).save_plan(None, Plan.of(visited, {}))
    claim_state(session, user, overwrite=overwrite)
    for place in everywhere:
        had, did = account.get(place, {}), visited.get(place, {})
        if place in (A, B):
            wanted = did if did and (overwrite or not had) else had
        else:
            wanted = {**had, **did} if overwrite else {**did, **had}
        assert stored(user, place).get(place, {}) == wanted, place
