"""The tables. Rows are read and written by ``fieldstone.store.store``; these models are for looking and joining.

No column that a save touches has a database-level foreign key: checking one takes a lock on the row pointed
to, and thousands of learners at the same block would queue for it (docs/decisions/0002-composite-key.md).
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from fieldstone.store import tables
from fieldstone.store.tables import BLOCK_TYPE_LENGTH, FIELD_NAME_LENGTH, KEY_LENGTH, ORIGIN_LENGTH
from fieldstone.values import Fields


class BigForeignKey(models.ForeignKey):  # type: ignore[type-arg]  # generic only in the stubs
    """A foreign key that is a bigint whatever the key it points to, so that one statement serves every project."""

    def __init__(self, to: Any, on_delete: Any = models.CASCADE, **options: Any) -> None:
        super().__init__(to, on_delete, **{"db_constraint": False, "db_index": False, **options})

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return models.BigIntegerField().db_type(connection)


class KeyField(models.CharField):  # type: ignore[type-arg]  # generic only in the stubs
    """A short text that is told apart by every character of it, trailing spaces and case too, on every engine."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return _exact(super().db_type(connection), connection, "utf8mb4_nopad_bin")


class JSONTextField(models.TextField):  # type: ignore[type-arg]  # generic only in the stubs
    """JSON text as ``fieldstone.values`` makes it: ASCII, whatever is in it."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return _exact(super().db_type(connection), connection, "utf8mb4_bin")


def _exact(column: str | None, connection: BaseDatabaseWrapper, collation: str) -> str | None:
    """A column's type, with a collation where the database's own would find different texts the same: MariaDB."""
    if connection.vendor != "mysql":
        return column
    return f"{column} CHARACTER SET utf8mb4 COLLATE {collation}"


class LearningContext(models.Model):
    """A course or library, interned: its long key is stored once."""

    id = models.BigAutoField(primary_key=True)
    key = KeyField(max_length=KEY_LENGTH, unique=True)

    class Meta:
        db_table = tables.CONTEXT

    def __str__(self) -> str:
        return str(self.key)


class Usage(models.Model):
    """A use of a block in a learning context, interned. Ids never change."""

    id = models.BigAutoField(primary_key=True)
    context = models.ForeignKey(LearningContext, on_delete=models.PROTECT, db_index=False)  # the index below
    key = KeyField(max_length=KEY_LENGTH, unique=True)
    block_type = KeyField(max_length=BLOCK_TYPE_LENGTH)

    class Meta:
        db_table = tables.USAGE
        # A scan of a context meets its usages in the order of their ids, with no sort (Engine.scan_context).
        indexes = [models.Index(fields=["context", "id"], name="fieldstone_context_usages")]

    def __str__(self) -> str:
        return str(self.key)


class StudentModule(models.Model):
    """The ``user_state`` of one learner at one block: a row with all the block's fields."""

    pk = models.CompositePrimaryKey("student_id", "usage_id")
    student = BigForeignKey(settings.AUTH_USER_MODEL, related_name="+")
    usage = BigForeignKey(Usage, models.PROTECT, related_name="+")
    # Those of fixed length first: among texts PostgreSQL pads them, nine bytes a row of history.
    revision = models.BigIntegerField(default=1)
    created = models.DateTimeField()
    modified = models.DateTimeField()
    grade = models.FloatField(null=True)
    max_grade = models.FloatField(null=True)
    done = models.CharField(max_length=8, default="na")
    fields = JSONTextField(default="{}")  # text of fieldstone.values

    class Meta:
        db_table = tables.STATE
        indexes = [models.Index(fields=["usage", "student"], name="fieldstone_block_first")]

    def __str__(self) -> str:
        return f"state of learner {self.student_id} at usage {self.usage_id}, revision {self.revision}"

    @property
    def state(self) -> str:
        """The fields as plain JSON text, ``{"attempts": 1}``."""
        return Fields.from_text(self.fields).as_json()


class StudentModuleHistory(models.Model):
    """What one save changed in one ``StudentModule``: written in the same transaction, never changed after."""

    pk = models.CompositePrimaryKey("student_id", "usage_id", "revision")
    student = BigForeignKey(settings.AUTH_USER_MODEL, related_name="+")
    usage = BigForeignKey(Usage, models.PROTECT, related_name="+")
    revision = models.BigIntegerField()
    created = models.DateTimeField()
    grade = models.FloatField(null=True)
    max_grade = models.FloatField(null=True)
    actor_id = models.BigIntegerField(null=True)  # who wrote it, when that is not the learner
    token = models.UUIDField(null=True)  # of a save that may be tried again
    origin = models.CharField(max_length=ORIGIN_LENGTH, default="")  # what wrote it: "handler:vote"
    delta = JSONTextField()
    snapshot = JSONTextField(null=True)  # the state after it, every so many revisions

    class Meta:
        db_table = tables.HISTORY

    def __str__(self) -> str:
        return f"revision {self.revision} of learner {self.student_id} at usage {self.usage_id}"


class FieldRow(models.Model):
    """One field in a row: what the scopes beside ``user_state`` have in common."""

    field_name = KeyField(max_length=FIELD_NAME_LENGTH)
    value = JSONTextField()  # JSON text
    revision = models.BigIntegerField(default=1)
    created = models.DateTimeField()
    modified = models.DateTimeField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.field_name} = {self.value}"


class XModuleUserStateSummaryField(FieldRow):
    """A field of scope ``user_state_summary``: one value of a block for all its learners."""

    pk = models.CompositePrimaryKey("usage_id", "field_name")
    usage = BigForeignKey(Usage, models.PROTECT, related_name="+")

    class Meta(FieldRow.Meta):
        db_table = tables.SUMMARY.name


class XModuleStudentPrefsField(FieldRow):
    """A field of scope ``preferences``: one value of a learner for all blocks of a type."""

    pk = models.CompositePrimaryKey("student_id", "module_type", "field_name")
    student = BigForeignKey(settings.AUTH_USER_MODEL, related_name="+")
    module_type = KeyField(max_length=BLOCK_TYPE_LENGTH)

    class Meta(FieldRow.Meta):
        db_table = tables.PREFERENCES.name


class XModuleStudentInfoField(FieldRow):
    """A field of scope ``user_info``: one value of a learner everywhere."""

    pk = models.CompositePrimaryKey("student_id", "field_name")
    student = BigForeignKey(settings.AUTH_USER_MODEL, related_name="+")

    class Meta(FieldRow.Meta):
        db_table = tables.USER_INFO.name
