"""What passed through a connection in the body of ``expect_db_error``."""

from __future__ import annotations

from django.db import Error, IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from fieldstone.testing.places import Place, caller
from fieldstone.testing.statements import Run, Statement
from fieldstone.testing.transactions.constraints import table_of, unwatched
from fieldstone.testing.transactions.failures import Failure, FirstFailure, failure, is_refusal

SAVEPOINTS = ("SAVEPOINT ", "RELEASE SAVEPOINT ", "ROLLBACK TO SAVEPOINT ")
UNSAID = "FOREIGN KEY constraint failed"
"""All that SQLite says of a foreign key."""


class Seen(FirstFailure):
    """Watches, and keeps what a failure's message tells."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        self.count = 0
        """Of statements; those of savepoints and the ends of transactions are left out."""
        self.last: tuple[str, Place] | None = None
        self.last_change: Statement | None = None
        """The last one that named a table to write to."""
        self.failures: list[Failure] = []
        self._unkept: IntegrityError | None = None
        """What SQLite refused to commit last."""

    @property
    def table(self) -> str:
        """The table that was written to last; empty where none was."""
        return table_of(self.last_change.sql) if self.last_change else ""

    def __call__(self, run: Run, statement: Statement) -> object:
        if not statement.ends_transaction and not statement.sql.startswith(SAVEPOINTS):
            self.count += 1
            self.last = statement.sql, caller().place
            if table_of(statement.sql):
                self.last_change = statement
        try:
            return super().__call__(run, statement)
        except Error as error:
            if not is_refusal(error):
                self.failures.append(failure(error, statement.sql))
            if statement.sql == "COMMIT" and str(error) == UNSAID:
                with unwatched(self.connection):  # SQLite leaves the transaction open
                    self._unkept = _invalid_reference(self.connection)
            raise

    def located(self, error: BaseException) -> BaseException:
        """An error that says which foreign key it was, where the one of SQLite's can be had to tell.

        Django can look only while the row is there: at a commit, or while the statement, which was a transaction
        of its own and is undone, is repeated in another that is never committed.
        """
        if self.connection.vendor != "sqlite" or str(error) != UNSAID:
            return error
        return self._unkept or self._repeated() or error

    def _repeated(self) -> IntegrityError | None:
        change, connection = self.last_change, self.connection
        if change is None or not connection.get_autocommit():
            return None
        with unwatched(connection), connection.cursor() as cursor:
            connection.connection.execute("BEGIN")
            try:
                (cursor.executemany if change.many else cursor.execute)(change.sql, change.params)
                cursor.fetchall()
                return _invalid_reference(connection)
            except Error:
                return None  # a key that is not deferred
            finally:
                connection.connection.execute("ROLLBACK")


def _invalid_reference(connection: BaseDatabaseWrapper) -> IntegrityError | None:
    try:
        connection.check_constraints()
    except IntegrityError as error:
        return error
    return None
