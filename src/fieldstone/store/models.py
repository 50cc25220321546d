"""The tables. What is saved through these models goes through ``Store.save``, as everything does.

They are for looking and joining, for test factories, and for code that was written for Open edX's models: keys and
states are given and read in plain, ``module_state_key``, ``course_id``, ``state='{"attempts": 1}'``.

No column that a save touches has a database-level foreign key: checking one takes a lock on the row pointed
to, and thousands of learners at the same block would queue for it (docs/decisions/0002-composite-key.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, models, router, transaction
from django.db.models.signals import post_delete, pre_delete
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from fieldstone.store import tables
from fieldstone.store.columns import (
    BigForeignKey,
    BlockTypeField,
    JSONTextField,
    KeyField,
    StateField,
    context_key_of,
    usage_key_of,
)
from fieldstone.store.places import Place, Preferences, Summary, UserInfo, parse_key
from fieldstone.store.querysets import (
    HistoryManager,
    StateManager,
    StoredManager,
    SummaryManager,
    alias_of_states,
    empty,
)
from fieldstone.store.saving import prepare_field, remember_state, save_state, update_field
from fieldstone.store.store import Store
from fieldstone.store.tables import BLOCK_TYPE_LENGTH, FIELD_NAME_LENGTH, KEY_LENGTH, ORIGIN_LENGTH


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
    revision = models.BigIntegerField(default=1, editable=False)
    created = models.DateTimeField(editable=False)
    modified = models.DateTimeField(editable=False)
    grade = models.FloatField(null=True, blank=True)
    max_grade = models.FloatField(null=True, blank=True)
    done = models.CharField(max_length=8, default="na")
    state = StateField(db_column="fields", null=True, blank=True)

    objects = StateManager()

    class Meta:
        db_table = tables.STATE
        indexes = [models.Index(fields=["usage", "student"], name="fieldstone_block_first")]

    def __str__(self) -> str:
        return f"state of learner {self.student_id} at usage {self.usage_id}, revision {self.revision}"

    # What a new row was given, before it is saved; keys or their texts.
    _key: UsageKey | str | None = None
    _context: LearningContextKey | str | None = None
    _block_type: Any = None
    _loaded: Mapping[str, Any] = MappingProxyType({})  # what is stored, as far as this row knows

    @property
    def module_state_key(self) -> UsageKey:
        """The usage key; an old one is mapped into its run."""
        if self._key is None:  # loaded past ``objects``
            self._key = parse_key(self.usage.key)
        return usage_key_of(self._key, None if self._context is None else context_key_of(self._context))

    @module_state_key.setter
    def module_state_key(self, key: UsageKey | str) -> None:
        self._key = key

    @property
    def course_id(self) -> LearningContextKey:
        """The key of the course or library."""
        return self.module_state_key.context_key

    @course_id.setter
    def course_id(self, key: LearningContextKey | str) -> None:
        self._context = key

    @property
    def module_type(self) -> str:
        """The block type, which the usage key says."""
        return str(self.module_state_key.block_type)

    @module_type.setter
    def module_type(self, block_type: str) -> None:
        self._block_type = block_type

    @classmethod
    def from_db(cls, db: Any, field_names: Any, values: Any, **options: Any) -> Self:
        row = super().from_db(db, field_names, values, **options)
        remember_state(row)
        return row

    def refresh_from_db(self, using: Any = None, fields: Any = None, from_queryset: Any = None) -> None:
        super().refresh_from_db(using, fields, from_queryset)
        remember_state(self, fields)

    def _save_table(
        self,
        raw: bool = False,
        cls: Any = None,
        force_insert: Any = False,
        force_update: bool = False,
        using: Any = None,
        update_fields: Any = None,
    ) -> bool:
        if raw:  # a fixture: the row as it was, beside its history
            save = super()._save_table  # type: ignore[misc]  # not in the stubs
            return bool(save(raw, cls, force_insert, force_update, using, update_fields))
        return save_state(
            self, using, force_insert=bool(force_insert), force_update=force_update, names=update_fields
        )

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        """Empty the state, as ``StudentModule.objects.delete()`` does; the row stays, and shows it."""
        if not self._is_pk_set():  # type: ignore[attr-defined]
            raise ValueError("This StudentModule cannot be deleted: it was never saved.")
        using = using or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using):
            rows = list(type(self).objects.using(using).select_for_update().filter(pk=self.pk))
            pre_delete.send(sender=type(self), instance=self, using=using, origin=self)
            empty(rows, using)
            post_delete.send(sender=type(self), instance=self, using=using, origin=self)
        if rows:
            self.refresh_from_db(using=using)
        return len(rows), {self._meta.label: len(rows)}


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

    objects = HistoryManager()

    class Meta:
        db_table = tables.HISTORY

    def __str__(self) -> str:
        return f"revision {self.revision} of learner {self.student_id} at usage {self.usage_id}"

    @property
    def module_state_key(self) -> UsageKey:
        """The usage key; a query, of the alias of the states."""
        usages = Usage.objects.using(alias_of_states(self._state.db or DEFAULT_DB_ALIAS))
        return parse_key(usages.values_list("key", flat=True).get(pk=self.usage_id))

    @property
    def state(self) -> str:
        """The fields as of this revision, as plain JSON text; a few queries. Raises what ``Store.at`` does."""
        store = Store(alias_of_states(self._state.db or DEFAULT_DB_ALIAS))
        return store.at(self.student_id, self.module_state_key, revision=self.revision).fields.as_json()


class FieldRow(models.Model):
    """One field in a row: what the scopes beside ``user_state`` have in common."""

    field_name = KeyField(max_length=FIELD_NAME_LENGTH)
    value = JSONTextField(default="null")  # JSON text
    revision = models.BigIntegerField(default=1, editable=False)
    created = models.DateTimeField(editable=False)
    modified = models.DateTimeField(editable=False)

    objects = StoredManager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.field_name} = {self.value}"

    _stored_pk: Any = None  # what the row is stored under, as far as this one knows

    @property
    def place(self) -> Place:
        """The place that the field is of."""
        raise NotImplementedError

    @classmethod
    def from_db(cls, db: Any, field_names: Any, values: Any, **options: Any) -> Self:
        row = super().from_db(db, field_names, values, **options)
        row._stored_pk = row.pk
        return row

    def _save_table(
        self,
        raw: bool = False,
        cls: Any = None,
        force_insert: Any = False,
        force_update: bool = False,
        using: Any = None,
        update_fields: Any = None,
    ) -> bool:
        save = super()._save_table  # type: ignore[misc]
        if raw:  # a fixture: the row as it was
            return bool(save(raw, cls, force_insert, force_update, using, update_fields))
        is_new = force_insert or (self._state.adding and not force_update)
        if is_new or (self._stored_pk is not None and self.pk != self._stored_pk):
            prepare_field(self, self.place, using)
            save(raw, cls, True, False, using)
        else:
            update_field(self, self.place, using)
        self._stored_pk = self.pk
        return not is_new


class XModuleUserStateSummaryField(FieldRow):
    """A field of scope ``user_state_summary``: one value of a block for all its learners."""

    pk = models.CompositePrimaryKey("interned_id", "field_name")
    interned = BigForeignKey(Usage, models.PROTECT, related_name="+", db_column="usage_id")

    objects = SummaryManager()  # type: ignore[misc]  # the stubs take it for an instance's

    class Meta(FieldRow.Meta):
        db_table = tables.SUMMARY.name

    _key: UsageKey | str | None = None

    @property
    def usage_id(self) -> UsageKey:
        """The usage key, by the name that it has in Open edX; an old one is mapped into its run."""
        if self._key is None:  # loaded past ``objects``
            self._key = parse_key(self.interned.key)
        return usage_key_of(self._key)

    @usage_id.setter
    def usage_id(self, key: UsageKey | str) -> None:
        if self._key is not None and usage_key_of(key) != self.usage_id:
            self.interned_id = None  # type: ignore[assignment]  # until it is saved
        self._key = key

    @property
    def place(self) -> Summary:
        return Summary(self.usage_id)


class XModuleStudentPrefsField(FieldRow):
    """A field of scope ``preferences``: one value of a learner for all blocks of a type."""

    pk = models.CompositePrimaryKey("student_id", "module_type", "field_name")
    student = BigForeignKey(settings.AUTH_USER_MODEL, related_name="+")
    module_type = BlockTypeField(max_length=BLOCK_TYPE_LENGTH)

    class Meta(FieldRow.Meta):
        db_table = tables.PREFERENCES.name

    @property
    def place(self) -> Preferences:
        self.module_type = str(self.module_type)  # a BlockTypeKey until it is saved
        return Preferences(self.module_type)


class XModuleStudentInfoField(FieldRow):
    """A field of scope ``user_info``: one value of a learner everywhere."""

    pk = models.CompositePrimaryKey("student_id", "field_name")
    student = BigForeignKey(settings.AUTH_USER_MODEL, related_name="+")

    class Meta(FieldRow.Meta):
        db_table = tables.USER_INFO.name

    @property
    def place(self) -> UserInfo:
        return UserInfo()
