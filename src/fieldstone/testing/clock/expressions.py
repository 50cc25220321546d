"""Django's ``Now()`` as a parameter: what makes queries follow the clock where a server's time cannot be set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.postgres.functions import TransactionNow
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import DateTimeField, Expression, Value
from django.db.models.expressions import DatabaseDefault
from django.db.models.functions import Now
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone

from fieldstone.testing.clock.replacing import Undo, replace

Compiled = tuple[str, Any]

TYPED = {"sqlite": "%s", "postgresql": "%s::timestamptz", "mysql": "CAST(%s AS DATETIME(6))"}
"""By vendor: a parameter with the type that the function has. Other engines' expressions are left alone."""
_DDL = "_fieldstone_ddl"
"""Set on a connection while a schema editor is at work."""


def follow() -> Undo:
    """Compile ``Now()``, and database defaults with it, to what ``timezone.now()`` is by then.

    Not in the statements of a schema editor: a column's default would be that moment for ever.
    """
    undo = [
        replace(BaseDatabaseSchemaEditor, "__enter__", _begun(BaseDatabaseSchemaEditor.__enter__)),
        replace(BaseDatabaseSchemaEditor, "__exit__", _ended(BaseDatabaseSchemaEditor.__exit__)),
        replace(TransactionNow, "as_postgresql", _moment_or(TransactionNow.as_sql)),
    ]
    for vendor in TYPED:
        method = f"as_{vendor}"
        undo.append(replace(Now, method, _moment_or(getattr(Now, method))))
        undo.append(replace(DatabaseDefault, method, _default_or(DatabaseDefault.as_sql)))

    def follow_no_more() -> None:
        for each in undo:
            each()

    return follow_no_more


def _moment_or(as_sql: Callable[..., Compiled]) -> Callable[..., Compiled]:
    def compiled(
        node: Expression, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **more: Any
    ) -> Compiled:
        # Without USE_TZ the others answer in a time zone of their own, and they are told the time anyway.
        if _DDL in vars(connection) or not (settings.USE_TZ or connection.vendor == "postgresql"):
            return as_sql(node, compiler, connection, **more)
        sql, params = compiler.compile(Value(timezone.now(), DateTimeField()))
        return TYPED[connection.vendor] % sql, params

    return compiled


def _default_or(as_sql: Callable[..., Compiled]) -> Callable[..., Compiled]:
    def compiled(node: Any, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Compiled:
        if any(isinstance(each, (Now, TransactionNow)) for each in node.expression.flatten()):
            return compiler.compile(node.expression)
        return as_sql(node, compiler, connection)

    return compiled


def _begun(enter: Callable[..., Any]) -> Callable[..., Any]:
    def begun(editor: BaseDatabaseSchemaEditor) -> Any:
        vars(editor.connection)[_DDL] = True
        return enter(editor)

    return begun


def _ended(leave: Callable[..., Any]) -> Callable[..., Any]:
    def ended(editor: BaseDatabaseSchemaEditor, *error: Any) -> Any:
        try:
            return leave(editor, *error)
        finally:
            vars(editor.connection).pop(_DDL, None)

    return ended
