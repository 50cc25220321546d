"""What an operator may say about servers; what comes of mistakes, and that secrets stay secret."""

from __future__ import annotations

import subprocess
import traceback

import pytest

from fieldstone.kvs.backends.redis import RedisBackend
from scripts.servers.system import free_port
from tests.kvs.workers import in_loop

SECRET = "s3cr3t"
SENTINELS = {"sentinels": ["a:1", "b:2"], "service_name": "main"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "http://localhost"}, "rediss://"),
        ({"url": 5}, "rediss://"),
        ({"url": "redis://localhost:port/0"}, "rediss://"),
        ({"url": "redis://localhost/0?decode_responses=1"}, "decode_responses"),
        ({"url": "redis://localhost/0?socket_timeout=1"}, "socket_timeout"),
        ({"url": "redis://localhost/0?colour=blue"}, "colour"),
        ({"url": "redis://localhost/3", "db": 2}, "once"),
        ({"url": f"redis://:{SECRET}@localhost", "password": SECRET}, "once"),
        ({"url": f"redis://me:{SECRET}@localhost", "username": "me"}, "once"),
        ({"url": "redis://localhost", "cluster_nodes": ["a:1"]}, "exclude"),
        ({"cluster_nodes": ["a:1"], **SENTINELS}, "exclude"),
        ({"sentinels": ["a:1"]}, "service_name"),
        ({"service_name": "main"}, "sentinels"),
        ({"sentinels": "a:1", "service_name": "main"}, "list"),
        ({"sentinels": [f"redis://:{SECRET}@a:1"], "service_name": "main"}, "host:port"),
        ({"cluster_nodes": ["a"]}, "host:port"),
        ({"cluster_nodes": ["a:99999"]}, "host:port"),
        ({"cluster_nodes": [("a", 1)]}, "host:port"),
        ({"cluster_nodes": ["a:1"], "db": 2}, "db"),
        ({"sentinel_password": SECRET}, "sentinels"),
        ({"tls": True}, "rediss://"),
        ({"tls_ca_certs": "/ca.pem", **SENTINELS}, "tls=True"),
        ({"socket_timeout": 0}, "socket_timeout"),
        ({"socket_timeout": None}, "socket_timeout"),
        ({"socket_timeout": True}, "socket_timeout"),
        ({"socket_connect_timeout": "1"}, "socket_connect_timeout"),
        ({"max_connections": 0}, "max_connections"),
        ({"wait_replicas": -1}, "wait_replicas"),
        ({"wait_replicas": 1, "wait_ms": 0}, "wait_ms"),
        ({"wait_replicas": 1, "wait_ms": 2000}, "socket_timeout"),
    ],
)
def test_what_is_wrong_is_told_at_once_and_without_secrets(options, said):
    with pytest.raises(ValueError, match=said) as caught:
        RedisBackend("tested", **options)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({}, "localhost:6379/0"),
        ({"url": f"redis://me:{SECRET}@there:1234/5"}, "there:1234/5"),
        ({"url": f"rediss://:{SECRET}@there"}, "there:6379/0"),
        ({"url": f"unix:///run/redis.sock?db=3&password={SECRET}"}, "/run/redis.sock/3"),
        ({"url": "redis://there", "db": 4, "password": SECRET}, "there:6379/4"),
        ({**SENTINELS, "password": SECRET, "sentinel_password": SECRET}, "main of sentinels a:1, b:2"),
        ({"cluster_nodes": ["a:1", "[::1]:2"], "password": SECRET, "tls": True}, "cluster a:1, [::1]:2"),
    ],
)
def test_addresses_and_all_that_can_be_printed_have_no_secrets(options, address):
    backend = RedisBackend("tested", **options)
    assert backend.address == address
    shown = [repr(backend), repr(vars(backend)), repr(backend.settings), repr(backend.settings.connection())]
    backend._links._pools[None] = pool = backend._links._new_pool(None)
    shown += [repr(pool), repr(vars(pool)), repr(backend.settings.sentinel_connection())]
    assert SECRET not in "".join(shown)


def test_durability_is_what_the_operator_says(url):
    plain, vouched = RedisBackend("tested", url=url), RedisBackend("tested", url=url, durable=True)
    assert (plain.abilities.durable, plain.abilities.evicts) == (False, True)
    assert (vouched.abilities.durable, vouched.abilities.evicts) == (True, False)
    assert not RedisBackend("tested", cluster_nodes=["a:1"]).abilities.atomic_bulk


@pytest.mark.parametrize("how", ["url", "option"])
def test_a_password_opens_the_server(node, how):
    guarded = node("--requirepass", SECRET)
    if how == "url":
        backend = RedisBackend("tested", url=f"redis://:{SECRET}@{guarded.place}/0")
    else:
        backend = RedisBackend("tested", url=f"redis://{guarded.place}/0", password=SECRET)
    backend.set("key", b"entry", None)

    async def main():
        assert await backend.acall("get", "key") == b"entry"
        await backend.aclose()

    in_loop(main())


def test_a_wrong_password_is_an_error_that_does_not_repeat_it(node):
    guarded = node("--requirepass", "another")
    backend = RedisBackend("tested", url=f"redis://{guarded.place}/0", password=SECRET)
    with pytest.raises(backend.unavailable) as caught:
        backend.get("key")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_socket_in_a_folder_leads_to_the_server(node):
    there = node("--unixsocket", "socket", "--unixsocketperm", "777")
    there.folder.chmod(0o755)
    backend = RedisBackend("tested", url=f"unix://{there.folder}/socket?db=2")
    backend.set("key", b"entry", None)
    assert there.says("db2:keys=1", "INFO", "keyspace")
    backend.close()


def test_tls_leads_to_the_server_that_can_prove_itself(node, servers_folder):
    key, certificate = servers_folder / "key.pem", servers_folder / "certificate.pem"
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate),
        ],
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("openssl cannot make a certificate here")
    key.chmod(0o644)
    port = free_port()
    node(
        *("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
        *("--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"),
    )
    backend = RedisBackend("tested", url=f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}")
    backend.set("key", b"entry", None)
    assert backend.get("key") == b"entry"
    backend.close()
    distrustful = RedisBackend("tested", url=f"rediss://localhost:{port}/0")
    with pytest.raises(distrustful.unavailable, match="certificate"):
        distrustful.get("key")


def test_too_few_replicas_are_an_error(url):
    backend = RedisBackend("tested", url=url, wait_replicas=1, wait_ms=10)
    with pytest.raises(backend.unavailable, match="0 of 1 replicas"):
        backend.set("key", b"entry", 5)
    with pytest.raises(backend.unavailable, match="0 of 1 replicas"):
        backend.acquire("of too few replicas", "owner", 30, 0)
    assert backend.locked("of too few replicas") is False
    backend.close()
