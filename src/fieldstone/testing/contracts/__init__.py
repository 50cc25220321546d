"""Contract suites: a backend of somebody else's proves in three lines that it does what it has to.

    from fieldstone.testing.contracts.regions import RegionContract

    class TestEtcd(RegionContract):
        backend, options = "myproject.kvs.EtcdBackend", {"url": "http://localhost:2379"}

``regions`` has ``RegionContract``, ``locks`` has ``LockContract``, ``stores`` has ``StoreContract``. Each is a
module to import from, since stores need Django's models and the others do not. They are classes of pytest's tests,
and of hypothesis's: ``pip install 'fieldstone[testing]'``.
"""
