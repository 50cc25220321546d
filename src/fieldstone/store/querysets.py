"""What the models' ``objects`` do beyond Django's: filter and show by key, and keep to the store's own writing.

Rows hold the ids of interned keys. These querysets show the keys beside them, as expressions over the tables where
they are interned: filters, ``order_by`` and ``values`` take them like columns, in one query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any, Self

from django.db import NotSupportedError, connections, models, transaction
from django.db.models import ExpressionWrapper, F
from django.db.models.signals import post_delete, pre_delete
from django.db.models.sql import Query

from fieldstone.store.columns import BlockTypeField, ContextKeyField, UsageKeyField, context_key_of, usage_key_of
from fieldstone.store.places import context_text, key_text
from fieldstone.store.routing import home_for_writing
from fieldstone.store.states import NO_GRADE
from fieldstone.store.store import Store
from fieldstone.values import DELETED, decode_value

ORIGIN_OF_DELETE = "StudentModule.delete"


class StoredQuerySet(models.QuerySet[Any]):
    """Rows that the store writes: one by one, checked, with a revision each time."""

    def update(self, **changes: Any) -> int:
        raise self._refused("update()")

    def bulk_create(self, objs: Iterable[Any], *args: Any, **options: Any) -> list[Any]:
        raise self._refused("bulk_create()")

    def bulk_update(self, objs: Iterable[Any], *args: Any, **options: Any) -> int:
        raise self._refused("bulk_update()")

    def _refused(self, call: str) -> NotSupportedError:
        return NotSupportedError(
            f"{self.model.__name__}.objects: {call} would write past revisions, history and checks. Nothing was"
            " written: save() each row, or give all of one learner to Store.save, which is one statement."
        )

    def select_for_update(
        self, nowait: bool = False, skip_locked: bool = False, of: Any = (), no_key: bool = False
    ) -> Self:
        """Django's; rows with keys, which all learners share, are not locked where the engine can spare them."""
        locked = super().select_for_update(nowait=nowait, skip_locked=skip_locked, of=of, no_key=no_key)
        if not of and connections[locked.db].features.has_select_for_update_of:
            locked.query.select_for_update_of = ("self",)
        return locked


class StateQuerySet(StoredQuerySet):
    """Rows of ``StudentModule``."""

    def filter(self, *args: Any, **kwargs: Any) -> Self:
        return super().filter(*args, **_mapped(kwargs))

    def exclude(self, *args: Any, **kwargs: Any) -> Self:
        return super().exclude(*args, **_mapped(kwargs))

    def delete(self) -> tuple[int, dict[str, int]]:
        """Empty these states: all fields and grades go, by a new revision. Rows and history stay.

        So they can be restored, and a learner who begins anew goes on with the next revision.
        """
        if self.query.is_sliced or self.query.distinct or self._fields is not None:  # type: ignore[attr-defined]  # not in the stubs
            raise TypeError("delete() takes whole rows: not after a slice, distinct(), values() or values_list().")
        rows = self._chain()  # type: ignore[attr-defined]
        rows._for_write = True
        with transaction.atomic(rows.db):
            states = list(rows.select_for_update().order_by("student_id", "usage_id"))
            for state in states:
                pre_delete.send(sender=self.model, instance=state, using=rows.db, origin=self)
            empty(states, rows.db)
            for state in states:
                post_delete.send(sender=self.model, instance=state, using=rows.db, origin=self)
        return len(states), {self.model._meta.label: len(states)}

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


def empty(states: Iterable[Any], using: str) -> None:
    """Take the fields and grades of locked rows away, a save for each learner."""
    for learner_id, rows in groupby(states, key=lambda state: state.student_id):
        changes, grades = {}, {}
        for row in rows:
            names = decode_value(row.state) if row.state else {}
            if names:
                changes[row.module_state_key] = dict.fromkeys(names, DELETED)
            if (row.grade, row.max_grade) != NO_GRADE:
                grades[row.module_state_key] = NO_GRADE
        Store(using).save(learner_id, changes, grades=grades, origin=ORIGIN_OF_DELETE)


class HistoryQuerySet(models.QuerySet[Any]):
    """Rows of ``StudentModuleHistory``: filters by key. Q objects have to name ``usage_id`` or ``usage__key``."""

    def filter(self, *args: Any, **kwargs: Any) -> Self:
        return super().filter(*args, **self._by_usage(kwargs))

    def exclude(self, *args: Any, **kwargs: Any) -> Self:
        return super().exclude(*args, **self._by_usage(kwargs))

    def _by_usage(self, lookups: Mapping[str, Any]) -> dict[str, Any]:
        """Lookups by key as one by usages: an alias of history alone has none to join."""
        of_usage: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for name, value in _mapped(lookups).items():
            key, _, lookup = name.partition("__")
            if key not in _USAGE_PATHS or lookup not in ("", "exact", "in"):
                others[name] = value
                continue
            column, to_text = _USAGE_PATHS[key]
            if lookup == "in":
                of_usage[f"{column}__in"] = [to_text(item) for item in value]
            else:
                of_usage[column] = to_text(value)
        if not of_usage:
            return others
        usages = self.model._meta.get_field("usage").related_model._base_manager
        states = alias_of_states(self.db)
        if states == self.db:
            return {**others, "usage_id__in": usages.filter(**of_usage).values("id")}
        return {
            **others,
            "usage_id__in": list(usages.using(states).filter(**of_usage).values_list("id", flat=True)),
        }


def alias_of_states(alias: str) -> str:
    """Where the usages and states are that rows of history on an alias are about."""
    home = home_for_writing(None)
    return home.states if alias in home else alias


_USAGE_PATHS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "module_state_key": ("key", lambda key: key_text(usage_key_of(key))),
    "course_id": ("context__key", lambda key: context_text(context_key_of(key))),
    "module_type": ("block_type", str),
}


def _mapped(lookups: Mapping[str, Any]) -> Mapping[str, Any]:
    """Lookups with old keys, which say nothing of their run, mapped into the course that is named beside them."""
    course = lookups.get("course_id")
    if course is None:
        return lookups
    context, mapped = context_key_of(course), dict(lookups)
    for name in ("module_state_key", "module_state_key__exact"):
        if mapped.get(name) is not None:
            mapped[name] = usage_key_of(mapped[name], context)
    keys = mapped.get("module_state_key__in")
    if isinstance(keys, list | tuple | set | frozenset):
        mapped["module_state_key__in"] = [usage_key_of(key, context) for key in keys]
    return mapped


class StoredManager(models.Manager.from_queryset(StoredQuerySet)):  # type: ignore[misc]  # a class made by a call
    """``objects`` of a model whose rows the store writes."""


class StateManager(models.Manager.from_queryset(StateQuerySet)):  # type: ignore[misc]
    """``StudentModule.objects``: with each row its keys."""

    def get_queryset(self) -> Any:
        return _with_keys(super().get_queryset(), _STATE_KEYS)


class HistoryManager(models.Manager.from_queryset(HistoryQuerySet)):  # type: ignore[misc]
    """``StudentModuleHistory.objects``."""


class SummaryManager(models.Manager.from_queryset(StoredQuerySet)):  # type: ignore[misc]
    """``XModuleUserStateSummaryField.objects``: with each row its usage key, ``usage_id`` as in Open edX."""

    def get_queryset(self) -> Any:
        return _with_keys(super().get_queryset(), _SUMMARY_KEYS)


def _with_keys(rows: models.QuerySet[Any], keys: Mapping[str, ExpressionWrapper[Any]]) -> models.QuerySet[Any]:
    """All rows of a model with their keys. Putting that query together takes longer than running it: done once."""
    query = _queries.get(rows.model)
    if query is None:
        query = _queries[rows.model] = rows.annotate(**keys).query
    rows.query = query.chain()
    return rows


_queries: dict[type[models.Model], Query] = {}


def _shown(column: str, field: models.Field[Any, Any]) -> ExpressionWrapper[Any]:
    return ExpressionWrapper(F(column), field)


_STATE_KEYS = {
    "course_id": _shown("usage__context__key", ContextKeyField()),
    "module_state_key": _shown("usage__key", UsageKeyField()),
    "module_type": _shown("usage__block_type", BlockTypeField()),
}
_SUMMARY_KEYS = {"usage_id": _shown("interned__key", UsageKeyField())}
