"""``Store``: the one way in to learner state. Stateless and cheap: make one wherever you need it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import RFC_4122, UUID

from django.db import transaction
from django.utils import timezone
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from fieldstone.errors import ConflictError, InvalidLearnerError, InvalidPlaceError, InvalidTokenError
from fieldstone.kvs.fencing import Fence, Fenced, fence_of
from fieldstone.store.asynchronous import AsyncCalls
from fieldstone.store.bulk import BulkReceipt, LearnerSave, learners_at, read_many, save_many
from fieldstone.store.engines.base import Write
from fieldstone.store.history import Asked, Earlier, History, changes_between
from fieldstone.store.outbox import move_after_commit, move_revisions_after_commit
from fieldstone.store.places import Expected, ExpectedRevisions, Place, Preferences, Summary, UserInfo, key_text
from fieldstone.store.plan import Plan
from fieldstone.store.reading import Reader, Wanted
from fieldstone.store.routing import alias_for_reading, home_for_history, home_for_writing
from fieldstone.store.scan import Scanned, scan
from fieldstone.store.scan_fields import ScannedFields, ScannedSummary, scan_fields, scan_summaries
from fieldstone.store.states import Grade, Receipt, Revision, State, States
from fieldstone.store.tables import ORIGIN_LENGTH
from fieldstone.store.writing import RepeatedError, lock_places, written

NOBODY = 0
"""The learner of a call that concerns none."""


class Store(AsyncCalls):
    """Fields of places, for learners.

    A learner is a saved user or the integer primary key of one. A place is a usage key (scope ``user_state``),
    ``Summary(usage_key)``, ``Preferences(block_type)`` or ``UserInfo()``.

    ``using`` names the database alias of the states. Without it Django's routers are asked about
    ``StudentModule`` at each call: ``db_for_write`` for all that writes, with the reads that it needs, and
    ``db_for_read`` for other reads, unless the connection for writes is in a transaction. Whether history moves to
    an alias of its own is the routers' to say in both cases (docs/decisions/0006-history-elsewhere.md).

    Errors of the database come through as Django's ``django.db.Error``; after one, nothing of the save is stored.
    """

    def __init__(self, using: str | None = None, *, clock: Callable[[], datetime] = timezone.now) -> None:
        self._using = using
        self._clock = clock

    @property
    def using(self) -> str:
        """The database alias that saves go to."""
        return home_for_writing(self._using).states

    # Reading

    def read(self, learner: Any, places: Iterable[Place] | Wanted) -> States:
        """The states of one learner at these places; at most one query a scope, whatever the number of places.

        Of ``Summary`` alone anybody may ask: then the learner may be ``None``.
        """
        wanted = places if isinstance(places, Wanted) else Wanted.of(places)
        learner_id = _learner_id(learner) if wanted.is_personal else NOBODY
        return Reader(alias_for_reading(self._using)).read(learner_id, wanted)

    # Saving

    def save(
        self,
        learner: Any,
        changes: Mapping[Place, Mapping[str, Any]],
        *,
        grades: Mapping[UsageKey, Grade] | None = None,
        expected: ExpectedRevisions | None = None,
        token: UUID | None = None,
        fence: Fence | Fenced | None = None,
        origin: str = "",
        actor: Any = None,
    ) -> Receipt:
        """Write fields of any number of places in any scopes of one learner: all of it, or nothing and an error.

        ``changes`` maps places to fields; ``DELETED`` as a value deletes the field, fields not named stay as they
        are. ``origin`` says what writes ("handler:vote", cut at 64 characters), ``actor`` who, if not the
        learner; both are kept in the history.

        ``grades`` maps usage keys, of the places or others, to grades; a block's grade that is not named stays,
        and a grade alone touches no fields.

        ``expected`` maps usage keys among the places to the revision that the caller read, 0 for none, and places
        of the other scopes to the revisions of their fields, ``{"tally": 3}``: where somebody has saved since,
        ``ConflictError`` is raised and nothing is written.

        ``token``, made once with ``uuid4`` and given at every try of the same save, lets a caller try again when
        it does not know whether the save arrived: it is written once. It is kept with the history of
        ``user_state``, so a save that has none is written again, with the same values, and so is one whose
        revisions are no longer kept. Where history is on an alias of its own, that alias is asked too.

        ``fence``, a lock of a region or its ``Fence``, lets the database refuse a save under a lock that another
        has held since and saved under: ``StaleFenceError``, and nothing is written. A lock that is not held, or is
        past its timeout, raises what ``KeyValueStoreLock.check`` does. It takes one statement more, and the app
        ``fieldstone.kvs``.

        Fields of ``Summary`` alone are nobody's: for those the learner may be ``None``.

        Raises ``InvalidLearnerError``, ``InvalidPlaceError``, ``InvalidValueError`` or ``InvalidTokenError``
        before anything is written.
        """
        plan = Plan.of(changes, grades or {})
        return self.save_plan(
            learner, plan, expected=expected, token=token, fence=fence, origin=origin, actor=actor
        )

    def save_plan(
        self,
        learner: Any,
        plan: Plan,
        *,
        expected: ExpectedRevisions | None = None,
        token: UUID | None = None,
        fence: Fence | Fenced | None = None,
        origin: str = "",
        actor: Any = None,
    ) -> Receipt:
        """``save`` of what is encoded already."""
        actor_id = None if actor is None else _learner_id(actor)
        learner_id = _learner_id(learner) if plan.is_personal or learner is not None else NOBODY
        write = Write(learner_id, self._clock(), actor_id, origin[:ORIGIN_LENGTH], token)
        _check_expected(expected or {}, plan)
        _check_form(token)
        given = None if fence is None else fence_of(fence)
        if not plan:
            return Receipt(States(), write.at)
        home = home_for_writing(self._using)
        try:
            receipt = written(plan, write, expected or {}, home, given)
        except RepeatedError:
            reader = Reader(home.states)
            wanted = Wanted(usages={text: plan.keys[text] for text in plan.states})
            return Receipt(reader.read(write.learner_id, wanted), write.at, repeated=True)
        if home.is_divided and plan.states:
            move_after_commit(home, write.learner_id)
        return receipt

    def read_many(self, learners: Iterable[Any], usage_keys: Iterable[UsageKey]) -> dict[int, States]:
        """``user_state`` of many learners at all these usage keys, by the learner's id: a query, one more
        where the process has not met a block.

        A learner of whom nothing is stored there is not in it. It holds all of it in memory: ask for some hundred
        learners at a time.
        """
        learner_ids = sorted({_learner_id(learner) for learner in learners})
        return read_many(alias_for_reading(self._using), learner_ids, Wanted.of(usage_keys).usages)

    def learners_at(self, usage_key: UsageKey, *, after: int, until: int, limit: int) -> list[int]:
        """The ids of the next learners with state at a block, those above ``after`` and not above ``until``."""
        return learners_at(home_for_writing(self._using).states, key_text(usage_key), after, until, limit)

    def save_many(self, saves: Iterable[LearnerSave], *, origin: str = "", actor: Any = None) -> BulkReceipt:
        """Write ``user_state`` of many learners in one transaction and a few statements, whatever their number.

        Of a learner of whom somebody has saved since what is ``expected`` was read nothing is written, and all
        others are: the receipt says who. Grades go as in ``save``; a learner whose save has other scopes too costs
        the statements of a ``save``.

        Raises what ``save`` does for values, places and learners, before anything is written.
        """
        actor_id = None if actor is None else _learner_id(actor)
        write = Write(NOBODY, self._clock(), actor_id, origin[:ORIGIN_LENGTH], None)
        home = home_for_writing(self._using)
        of_states, others = list[LearnerSave](), list[LearnerSave]()
        for save in saves:
            (of_states if save.is_of_states else others).append(save)
        if not others:
            receipt = save_many(of_states, write, home.states)
        else:
            with transaction.atomic(home.states):
                receipt = save_many(of_states, write, home.states)
                receipt = receipt.and_of(self._save_each(others, home.states, origin, actor))
        if home.is_divided and receipt.revisions:
            move_revisions_after_commit(home, receipt.revisions)
        return receipt

    def _save_each(self, saves: Iterable[LearnerSave], using: str, origin: str, actor: Any) -> BulkReceipt:
        states, refused = dict[int, States](), list[int]()
        for save in saves:
            try:
                with transaction.atomic(using):
                    receipt = self.save_plan(
                        save.learner_id, save.plan, expected=save.expected, origin=origin, actor=actor
                    )
            except ConflictError:
                refused.append(save.learner_id)
            else:
                states[save.learner_id] = receipt.states
        return BulkReceipt(states, refused)

    def lock(self, learner: Any, places: Iterable[Place]) -> None:
        """Within a transaction on ``using``: let nobody else save what is stored at these places until it ends.

        Rows are locked, so where nothing is stored yet nothing is, and in SQLite only the transaction itself keeps
        others away (``transaction_mode`` IMMEDIATE). At most a statement a scope.

        Raises Django's ``TransactionManagementError`` outside a transaction.
        """
        wanted = Wanted.of(places)
        learner_id = _learner_id(learner) if wanted.is_personal else NOBODY
        lock_places(learner_id, wanted, home_for_writing(self._using).states)

    def scan(
        self,
        *,
        context: LearningContextKey | None = None,
        usage_key: UsageKey | None = None,
        block_type: str | None = None,
        batch: int = 1000,
    ) -> Iterator[Scanned]:
        """Every learner's ``user_state`` of a learning context or of one block, of one block type if it is given.

        By block, then by learner, in constant memory: ``batch`` rows a query or two. Rows may be saved meanwhile:
        none comes twice, and those that were there throughout come once.

        Raises ``TypeError`` unless either ``context`` or ``usage_key`` is given.
        """
        return scan(alias_for_reading(self._using), context, usage_key, block_type, batch)

    def scan_fields(self, place: Preferences | UserInfo, *, batch: int = 1000) -> Iterator[ScannedFields]:
        """Every learner's fields of a place that is no block: of a block type, or of ``UserInfo()``.

        By learner, in constant memory: ``batch`` rows, a row a field, in two queries. Otherwise as ``scan``.
        """
        return scan_fields(alias_for_reading(self._using), place, batch)

    def scan_summaries(
        self, context: LearningContextKey, *, block_type: str | None = None, batch: int = 1000
    ) -> Iterator[ScannedSummary]:
        """The ``user_state_summary`` of every block of a learning context, of one block type if it is given.

        By block, in constant memory: ``batch`` blocks in two queries. Otherwise as ``scan``.
        """
        return scan_summaries(alias_for_reading(self._using), context, block_type, batch)

    # History

    def history(self, learner: Any, usage_key: UsageKey) -> list[Revision]:
        """Every save of one learner's ``user_state`` at a block that is kept, latest first.

        A query, one more where the process has not met the block, and one more for history on an alias of its own.
        """
        return History(home_for_history(self._using)).revisions(_learner_id(learner), usage_key)

    def states(self, learner: Any, usage_key: UsageKey) -> list[State]:
        """The whole state after every save that ``history`` gives, latest first, in as many queries.

        Raises ``DamagedHistoryError`` where revisions are missing that one of them follows from.
        """
        return History(home_for_history(self._using)).states(_learner_id(learner), usage_key)

    def at(
        self, learner: Any, usage_key: UsageKey, *, revision: int | None = None, moment: datetime | None = None
    ) -> State:
        """The state of one learner at a block as of a revision, or of a moment (aware). As many queries.

        As of a revision: raises ``NoSuchRevisionError`` where there is none of that number. As of a moment before
        the first save: a state without fields, of revision 0.

        Raises ``HistoryTrimmedError`` for what is older than the oldest revision that is kept, and
        ``DamagedHistoryError`` where revisions are missing that it takes.
        """
        history = History(home_for_history(self._using))
        if revision is not None and moment is None:
            return history.at_revision(_learner_id(learner), usage_key, revision)
        if moment is not None and revision is None:
            return history.at_moment(_learner_id(learner), usage_key, moment)
        raise TypeError("at() takes either a revision or a moment.")

    def at_many(self, usage_key: UsageKey, asked: Asked) -> dict[int, Earlier]:
        """The states of many learners at a block, by the learner's id: each as of a revision, or as of a moment.

        ``asked`` maps learners' ids to revisions or moments (aware). A learner gets what ``at`` gives. What it
        would raise is the learner's value instead: a history that was trimmed or is damaged is no other learner's
        matter. A text in the history that is damaged is ``DamagedHistoryError`` here.

        A thousand learners cost a query, one more for each further moment, one more where there are errors among
        the answers; twice that with history on an alias of its own. It holds all of it in memory.
        """
        return History(home_for_history(self._using)).at_many(usage_key, asked)

    def revisions_of_origin(
        self, origin: str, usage_key: UsageKey, learners: Iterable[Any]
    ) -> dict[int, list[int]]:
        """The revisions at a block that were saved under an origin, by the learner's id, in order; a query, one
        more for history on an alias of its own.

        A learner without any is not in it.
        """
        learner_ids = sorted({_learner_id(learner) for learner in learners})
        return History(home_for_history(self._using)).saved_as(origin, usage_key, learner_ids)

    def restore(
        self,
        learner: Any,
        usage_key: UsageKey,
        *,
        revision: int,
        fence: Fence | Fenced | None = None,
        origin: str = "restore",
        actor: Any = None,
    ) -> Receipt:
        """Make the state what it was at a revision, by a new revision: nothing of the history is lost.

        Writes nothing when it is so already.

        Raises what ``at`` does; ``ConflictError`` when somebody saves meanwhile; with a ``fence`` as ``save``.
        """
        home = home_for_writing(self._using)
        wanted = History(home).at_revision(_learner_id(learner), usage_key, revision)
        current = Reader(home.states).read(_learner_id(learner), Wanted.of([usage_key]))[usage_key]
        changes = changes_between(current.fields, wanted.fields)
        had, has = Grade(wanted.grade, wanted.max_grade), Grade(current.grade, current.max_grade)
        grades = {usage_key: had} if had != has else {}
        expected: dict[Place, Expected] = {usage_key: current.revision or 0} if changes or grades else {}
        return Store(home.states, clock=self._clock).save(
            learner,
            {usage_key: changes},
            grades=grades,
            expected=expected,
            fence=fence,
            origin=origin,
            actor=actor,
        )


def _check_expected(expected: ExpectedRevisions, plan: Plan) -> None:
    for place, wanted in expected.items():
        saved = plan.fields_of(place)
        names = {} if isinstance(wanted, int) else wanted
        if isinstance(wanted, int) == isinstance(place, Summary | Preferences | UserInfo):
            raise InvalidPlaceError(
                f"{wanted!r} is expected of {place}: of a usage key that is a revision, of other places a mapping "
                "of field names to revisions."
            )
        if saved is None or any(name not in saved for name in names):
            raise InvalidPlaceError(f"A revision of {place} is expected, but no field of it is saved.")


def _check_form(token: object) -> None:
    # Of UUIDs that follow no standard MariaDB refuses some.
    if token is not None and not (isinstance(token, UUID) and token.variant == RFC_4122):
        raise InvalidTokenError(token)


def _learner_id(learner: Any) -> int:
    learner_id = getattr(learner, "pk", learner)
    if isinstance(learner_id, bool) or not isinstance(learner_id, int):
        raise InvalidLearnerError(learner)
    return learner_id
