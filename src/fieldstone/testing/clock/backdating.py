"""``backdate``: other dates for a row that exists."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.db import router
from django.db.models import DateField, DateTimeField, Model, QuerySet
from django.utils import timezone

from fieldstone.testing.clock.moments import Moment, aware, local, read

__tracebackhide__ = True  # pytest: errors are shown at the line of the test

M = TypeVar("M", bound=Model)


def backdate(instance: M, **fields: Moment | timedelta) -> M:
    """Set fields of date and time of a saved instance, ``auto_now`` or not: in its row, and on the instance.

    A value is a moment, or a timedelta for so long ago; a field of dates gets the day of it. The row is written by
    one ``UPDATE`` for each table in the database that the instance came from: no ``save()``, no signals, and no
    other field changes. Gives back the instance.

    Raises ``TypeError`` for what is not a field of dates or not a moment, ``ValueError`` for an instance that
    was not saved and for a text that is not a moment, and the model's ``DoesNotExist`` if its row is gone.
    """
    if not isinstance(instance, Model):
        raise TypeError(f"backdate() takes an instance of a model, and got {instance!r}.")
    model: Any = type(instance)
    if not fields:
        raise TypeError(f"backdate() sets nothing: say what to, as in {_example(model)}. {_choice(model)}")
    values = {name: _value(_field(model, name), moment) for name, moment in fields.items()}
    if instance._state.adding or instance.pk is None:
        raise ValueError(f"backdate() changes a row, and this {model.__name__} has none: save it first.")
    alias = instance._state.db or router.db_for_write(model, instance=instance)
    if not QuerySet(model, using=alias).filter(pk=instance.pk).update(**values):
        raise model.DoesNotExist(
            f"backdate() found no row of {model.__name__} with the primary key {instance.pk!r} in the database "
            f"{alias!r}: it was deleted, or is not written yet."
        )
    for name, value in values.items():
        setattr(instance, name, value)
    return instance


def _field(model: type[Model], name: str) -> DateField[Any, Any]:
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        raise TypeError(f"{model.__name__} has no field {name!r} to backdate. {_choice(model)}") from None
    if not isinstance(field, DateField):
        kind = type(field).__name__
        raise TypeError(f"backdate() sets dates, and {model.__name__}.{name} is of type {kind}. {_choice(model)}")
    return field


def _value(field: DateField[Any, Any], moment: object) -> datetime | date:
    when = timezone.now() - moment if isinstance(moment, timedelta) else read(moment)
    when = aware(when)
    if not isinstance(field, DateTimeField):
        return local(when).date()
    return when if settings.USE_TZ else local(when).replace(tzinfo=None)


def _dates(model: type[Model]) -> list[str]:
    return [field.name for field in model._meta.get_fields() if isinstance(field, DateField)]


def _choice(model: type[Model]) -> str:
    return f"{model.__name__} has these dates: {', '.join(_dates(model)) or 'none'}."


def _example(model: type[Model]) -> str:
    return f"backdate({model._meta.model_name}, {(_dates(model) or ['modified'])[0]}=timedelta(days=30))"
