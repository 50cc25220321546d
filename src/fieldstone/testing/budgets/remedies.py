"""What would spare a query that is made again and again, as Django's own frames below the place tell it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import django
from django.db.models.query_utils import DeferredAttribute

DJANGO = str(Path(django.__file__).parent)

DEFERRED = DeferredAttribute.__get__.__code__

Locals = Mapping[str, Any]


class Asked(NamedTuple):
    """What a rule may know besides a frame's variables."""

    sql: str
    deferred: Collection[Any]
    """The fields that were fetched one by one so far, since a query had left them out."""


Rule = Callable[[Locals, Asked], "Remedy | None"]
"""None where they do not tell."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """Two sentences."""

    cause: str
    """What is asked for again and again."""
    cure: str
    """What to write; without its full stop, as the place of a query may follow."""
    table: str = ""
    """Where the objects are stored that were gone through, if the cure is for the query that got them."""


def deferred_in(frames: list[FrameType]) -> Any | None:
    """The deferred field that the query is for; None if for none."""
    held = _fetching_deferred(frames)
    return held["self"].field if held else None


def remedy_in(frames: list[FrameType], sql: str, deferred: Collection[Any] = ()) -> Remedy | None:
    """From the frames between the query and its place, innermost first; None if they do not tell.

    The outermost of Django's functions is the one that the project called, and so tells most; but a deferred
    field is fetched for whatever needs it, and it alone is asked for then.
    """
    asked = Asked(sql, deferred)
    fetching = _fetching_deferred(frames)
    if fetching:
        return _deferred(fetching)
    for frame in reversed(frames):
        rule = RULES.get(frame.f_code.co_qualname)
        remedy = rule(frame.f_locals, asked) if rule and frame.f_code.co_filename.startswith(DJANGO) else None
        if remedy:
            return remedy
    return None


def _fetching_deferred(frames: list[FrameType]) -> Locals | None:
    return next((frame.f_locals for frame in frames if frame.f_code is DEFERRED), None)


def _forward(held: Locals, asked: Asked) -> Remedy:
    instance, field = held["instance"], held["self"].field
    if field not in asked.deferred:
        return _each(instance, field.name, "select_related")
    model = type(instance).__name__  # Django refuses to follow a column that it is to leave out
    return Remedy(
        f"{model}.{field.name} is fetched for one {model} at a time.",
        f'Add .select_related("{field.name}"), and take "{field.name}" out of .defer(), or into .only(), of the '
        f"query for the {model} objects",
        instance._meta.db_table,
    )


def _reverse_one_to_one(held: Locals, asked: Asked) -> Remedy:
    return _each(held["instance"], held["self"].related.get_accessor_name(), "select_related")


def _generic(held: Locals, asked: Asked) -> Remedy:
    return _each(held["instance"], held["self"].name, "prefetch_related")


def _each(instance: Any, name: str, method: str) -> Remedy:
    model = type(instance).__name__
    return _of_query_for(instance, f"{model}.{name} is fetched for one {model} at a time.", f'.{method}("{name}")')


def _of_query_for(instance: Any, cause: str, call: str) -> Remedy:
    model = type(instance).__name__
    return Remedy(cause, f"Add {call} to the query for the {model} objects", instance._meta.db_table)


def _deferred(held: Locals) -> Remedy:
    instance, field = held["instance"], held["self"].field
    model, name = type(instance).__name__, field.name
    return Remedy(
        f"{model}.{field.attname} was deferred, and is fetched for one {model} at a time.",
        f'Take "{name}" out of .defer(), or into .only(), of the query for the {model} objects',
        instance._meta.db_table,
    )


def _rows(held: Locals, asked: Asked) -> Remedy | None:
    queryset = held["self"]
    related = related_name(queryset)
    if related is None:
        return _by_filter(queryset)
    instance, name = related
    if len(queryset.query.where.children) < 2 and not queryset.query.is_sliced:
        return _each(instance, name, "prefetch_related")
    model = type(instance).__name__
    return _of_query_for(
        instance,
        f"A part of {model}.{name} is fetched for one {model} at a time.",
        f'.prefetch_related(Prefetch("{name}", queryset=..., to_attr=...))',
    )


def _summary(what: str, expression: str, before: str) -> Rule:
    def rule(held: Locals, asked: Asked) -> Remedy | None:
        related = related_name(held["self"])
        if related is None:
            return _by_filter(
                held["self"], f"{what} of {{model}} objects is asked for one {{name}} at a time.", before
            )
        instance, name = related
        model = type(instance).__name__
        cause = f"{what} of {model}.{name} is asked for one {model} at a time."
        return _of_query_for(instance, cause, f".annotate({expression.format(name=name)})")

    return rule


def _one(held: Locals, asked: Asked) -> Remedy | None:
    return _by_filter(held["self"])


def _by_filter(
    queryset: Any,
    cause: str = "{model} is fetched by one {name} at a time.",
    cure: str = "",
) -> Remedy | None:
    """For rows that are asked for by the value of a field, one value after the other."""
    model = queryset.model.__name__
    for lookup in queryset.query.where.children:
        field = getattr(getattr(lookup, "lhs", None), "target", None)
        if field is not None and getattr(lookup, "lookup_name", "") == "exact":
            is_key = field.primary_key and field.model is queryset.model
            name = "pk" if is_key else field.name
            cure = cure or "{model}.objects." + ("in_bulk([...])" if is_key else "filter({name}__in=[...])")
            return Remedy(cause.format(model=model, name=name), "Before, " + cure.format(model=model, name=name))
    return None


def _saved(held: Locals, asked: Asked) -> Remedy:
    model = type(held["self"]).__name__
    if asked.sql.lstrip().upper().startswith("INSERT"):
        return Remedy(f"One {model} is stored at a time.", f"After, {model}.objects.bulk_create([...])")
    return Remedy(
        f"One {model} is saved at a time.",
        f"After, {model}.objects.bulk_update([...], fields=[...]); if all get the same, .filter(...).update(...)",
    )


def _of_queryset(cause: str, cure: str) -> Rule:
    def rule(held: Locals, asked: Asked) -> Remedy:
        model = held["self"].model.__name__
        return Remedy(cause.format(model=model), cure.format(model=model))

    return rule


def _of_instance(cause: str, cure: str) -> Rule:
    def rule(held: Locals, asked: Asked) -> Remedy:
        model = type(held["self"]).__name__
        return Remedy(cause.format(model=model), cure.format(model=model))

    return rule


def related_name(queryset: Any) -> tuple[Any, str] | None:
    """The object whose related manager a queryset comes from, and the manager's name; None if from no such."""
    instance = queryset._hints.get("instance")
    if instance is None:
        return None
    for field in queryset._known_related_objects:
        return instance, field.remote_field.get_accessor_name()
    tables = {table.table_name for table in queryset.query.alias_map.values()}
    meta, model = instance._meta, queryset.model
    for field in meta.many_to_many:
        through = field.remote_field.through
        if model is through or (model is field.related_model and through._meta.db_table in tables):
            return instance, field.name
    for relation in meta.related_objects:
        if relation.many_to_many and (
            model is relation.through
            or (model is relation.related_model and relation.through._meta.db_table in tables)
        ):
            return instance, relation.get_accessor_name()
    for field in meta.private_fields:
        if getattr(field, "one_to_many", False) and field.related_model is model:
            return instance, field.name
    return None


_STORED = _of_queryset("One {model} is stored at a time.", "After, {model}.objects.bulk_create([...])")
_DELETED = ("One {model} is deleted at a time.", "After, {model}.objects.filter(pk__in=[...]).delete()")

RULES: Mapping[str, Rule] = {
    "ForwardManyToOneDescriptor.__get__": _forward,
    "ReverseOneToOneDescriptor.__get__": _reverse_one_to_one,
    "GenericForeignKey.__get__": _generic,
    "QuerySet._fetch_all": _rows,
    "QuerySet._iterator": _rows,
    "QuerySet.first": _rows,
    "QuerySet.last": _rows,
    "QuerySet.count": _summary(
        "The number", 'Count("{name}")', '{model}.objects.values("{name}").annotate(Count("pk"))'
    ),
    "QuerySet.aggregate": _summary(
        "An aggregate", 'Sum("{name}__...")', '{model}.objects.values("{name}").annotate(...)'
    ),
    "QuerySet.exists": _summary(
        "The existence",
        "Exists(...)",
        'set({model}.objects.filter({name}__in=[...]).values_list("{name}", flat=True))',
    ),
    "QuerySet.get": _one,
    "QuerySet.create": _STORED,
    "QuerySet.get_or_create": _STORED,
    "QuerySet.update_or_create": _of_queryset(
        "One {model} is stored at a time.", "After, {model}.objects.bulk_create([...], update_conflicts=True, ...)"
    ),
    "QuerySet.update": _of_queryset(
        "{model} is updated for one case at a time.", "After, {model}.objects.bulk_update([...], fields=[...])"
    ),
    "QuerySet.delete": _of_queryset(*_DELETED),
    "Model.save": _saved,
    "Model.delete": _of_instance(*_DELETED),
    "Model.refresh_from_db": _of_instance(
        "One {model} is read anew at a time.", "Before, {model}.objects.in_bulk([...])"
    ),
}
"""By the qualified names of Django's functions, so that its models need not be imported."""
