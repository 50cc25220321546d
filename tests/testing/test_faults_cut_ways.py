"""``cut_at`` on the ways that lead to a server beside plain TCP: sockets with a path, and TLS."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess

import pytest
from django.db import OperationalError, connections, transaction

from fieldstone.testing.faults import cut_at
from scripts.servers.catalogue import NEEDS
from tests.faults.conftest import open_folder  # noqa: F401
from tests.faults.elsewhere import leading_elsewhere
from tests.faults.instance import serving
from tests.testing.blog.models import Counter
from tests.testing.conftest import on_engines

OPTIONS = {
    "postgresql": "-c unix_socket_directories={folder} -c ssl=on -c ssl_cert_file={cert} -c ssl_key_file={key}",
    "mariadb": "--socket={folder}/socket --ssl-cert={cert} --ssl-key={key}",
}
IS_ENCRYPTED = {
    "postgresql": "SELECT ssl::int FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mysql": "SELECT variable_value <> '' FROM information_schema.session_status"
    " WHERE variable_name = 'Ssl_cipher'",
}


@pytest.fixture
def certificate(alias, open_folder):  # noqa: F811
    """A key and a certificate of it by itself, which the server's user can read."""
    if connections[alias].vendor == "sqlite" or not shutil.which("openssl"):
        pytest.skip("needs a server, and openssl to make it a certificate")
    cert, key = open_folder / "cert", open_folder / "key"
    make = "req -x509 -nodes -days 1 -newkey rsa:2048 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *make.split(), "-out", cert, "-keyout", key], check=True, capture_output=True)
    if os.geteuid() == 0:
        account = pwd.getpwnam(NEEDS[alias].user)
        for path in (cert, key, open_folder):
            os.chown(path, account.pw_uid, account.pw_gid)
    return cert, key


def check(alias):
    for when, expected in [("before", []), ("after", ["clicks"])]:
        with cut_at("COMMIT", when=when, using=alias), pytest.raises(OperationalError), transaction.atomic(alias):
            Counter.objects.using(alias).create(name="clicks")
        assert list(Counter.objects.using(alias).values_list("name", flat=True)) == expected
    Counter.objects.using(alias).all().delete()


@on_engines(transaction=True)
def test_a_socket_with_a_path_and_one_with_tls(alias, open_folder, certificate):  # noqa: F811
    cert, key = certificate
    options = OPTIONS[alias].format(folder=open_folder, cert=cert, key=key)
    with serving(alias, open_folder, app=None, options=options):
        path = open_folder if alias == "postgresql" else open_folder / "socket"
        with leading_elsewhere(alias, HOST=str(path)):
            check(alias)
        tls = {"sslmode": "require"} if alias == "postgresql" else {"ssl": {"ca": str(cert)}}
        with leading_elsewhere(alias, OPTIONS=connections[alias].settings_dict["OPTIONS"] | tls):
            assert is_encrypted(alias)
            check(alias)


def is_encrypted(alias):
    with connections[alias].cursor() as cursor:
        cursor.execute(IS_ENCRYPTED[connections[alias].vendor])
        return bool(cursor.fetchone()[0])
