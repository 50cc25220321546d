"""The whole suite."""

from __future__ import annotations

from fieldstone.testing.contracts.stores.conflicts import ConflictsContract
from fieldstone.testing.contracts.stores.coroutines import CoroutinesContract
from fieldstone.testing.contracts.stores.grades import GradesContract
from fieldstone.testing.contracts.stores.history import HistoryContract, RestoringContract
from fieldstone.testing.contracts.stores.interleavings import InterleavingsContract
from fieldstone.testing.contracts.stores.races import RacesContract
from fieldstone.testing.contracts.stores.saving import SavingContract
from fieldstone.testing.contracts.stores.scanning import ScanningContract
from fieldstone.testing.contracts.stores.scanning_fields import ScanningFieldsContract
from fieldstone.testing.contracts.stores.scopes import ScopesContract
from fieldstone.testing.contracts.stores.stateful import StatefulContract
from fieldstone.testing.contracts.stores.tokens import TokensContract
from fieldstone.testing.contracts.stores.values import ValuesContract
from fieldstone.testing.contracts.stores.wholeness import WholenessContract


# pytest runs the tests of the last base first: what is simplest.
class StoreContract(
    StatefulContract,
    RacesContract,
    InterleavingsContract,
    CoroutinesContract,
    ScanningFieldsContract,
    ScanningContract,
    ConflictsContract,
    TokensContract,
    RestoringContract,
    HistoryContract,
    GradesContract,
    WholenessContract,
    ScopesContract,
    ValuesContract,
    SavingContract,
):
    """What ``Store`` promises, as tests: of a subclass, of another engine, of a wrapper.

    A class of them says which store it tests::

        @pytest.mark.django_db(transaction=True)
        class TestMyStore(StoreContract):
            def make_store(self):
                return MyStore("default")

    The mark has ``databases=[...]`` where that is another alias; without ``transaction=True`` races are skipped.
    ``make_learner`` says how a learner is made, ``check_stored`` what else to look at after a sequence of calls,
    ``examples`` how many such sequences are tried, and ``shorten`` whether one that fails is made short.
    A promise that a store does not make is left out by ``test_of_that_promise = None``.
    """
