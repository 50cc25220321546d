"""The tables of the database backend, and of fencing: for migrations. Their rows are read and written by SQL."""

from __future__ import annotations

from django.db import models

from fieldstone.kvs import tables
from fieldstone.kvs.columns import NameField
from fieldstone.kvs.tables import NAME_LENGTH, OWNER_LENGTH


class Entry(models.Model):
    """A region's entry. Times are milliseconds since the epoch, by the database's clock."""

    name = NameField(max_length=NAME_LENGTH, primary_key=True)
    entry = models.BinaryField()
    expires = models.BigIntegerField(null=True)  # never

    class Meta:
        db_table = tables.ENTRY
        indexes = [models.Index(fields=["expires"], name="fieldstone_kvs_expires")]

    def __str__(self) -> str:
        return str(self.name)


class Lock(models.Model):
    """A lock: who has it, or had it last."""

    name = NameField(max_length=NAME_LENGTH, primary_key=True)
    owner = NameField(max_length=OWNER_LENGTH)
    expires = models.BigIntegerField()
    fence = models.BigIntegerField()

    class Meta:
        db_table = tables.LOCK

    def __str__(self) -> str:
        return str(self.name)


class Waiter(models.Model):
    """Somebody who waits for a lock; who came first has the smallest id."""

    id = models.BigAutoField(primary_key=True)
    name = NameField(max_length=NAME_LENGTH)
    alive = models.BigIntegerField()  # until when it counts, unless it says again that it is there

    class Meta:
        db_table = tables.WAITER
        indexes = [models.Index(fields=["name", "id"], name="fieldstone_kvs_queue")]

    def __str__(self) -> str:
        return f"{self.id}, for {self.name}"


class NewestFence(models.Model):
    """The greatest fencing token that has written under a lock's name."""

    name = NameField(max_length=NAME_LENGTH, primary_key=True)
    token = models.BigIntegerField()

    class Meta:
        db_table = tables.FENCE

    def __str__(self) -> str:
        return f"{self.name}: {self.token}"
