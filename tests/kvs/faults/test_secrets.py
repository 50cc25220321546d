"""Credentials are in no log, no text of an error, and no ``repr``."""

from __future__ import annotations

import asyncio
import logging
import traceback

import pytest

from fieldstone.errors import FieldstoneError, RegionConfigurationError
from fieldstone.kvs import Region

SECRET = "s3cret-Pa55"
FREE_PORT = 1  # nobody listens there


@pytest.fixture
def said(caplog):
    """All that any logger says, at its most talkative."""
    loggers = [logging.getLogger(name) for name in ("", *logging.root.manager.loggerDict)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield caplog
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def shown(region, *errors):
    """Everything that a developer might print."""
    texts = [repr(region)]
    if region.is_configured:
        runner = region._runner()
        texts += [
            repr(thing) for thing in (region.backend, runner, region.abilities, region._operations().options)
        ]
        texts += [repr(value) for value in vars(region.backend).values()]
        texts.append(region.backend.address)
    for error in errors:
        texts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        texts += traceback.format_exception(error)
    return "\n".join(texts)


@pytest.mark.parametrize(
    "options",
    [
        {"url": f"redis://someone:{SECRET}@127.0.0.1:{FREE_PORT}/0"},
        {"url": f"rediss://:{SECRET}@127.0.0.1:{FREE_PORT}/0"},
        {"url": f"redis://127.0.0.1:{FREE_PORT}/0", "password": SECRET},
        {
            "sentinels": [f"127.0.0.1:{FREE_PORT}"],
            "service_name": "s",
            "password": SECRET,
            "sentinel_password": SECRET,
        },
        {"cluster_nodes": [f"127.0.0.1:{FREE_PORT}"], "username": "someone", "password": SECRET},
    ],
    ids=["url", "tls", "option", "sentinel", "cluster"],
)
def test_a_redis_password_is_shown_nowhere(options, said):
    pytest.importorskip("redis")
    region, errors = Region("secretive").configure("redis", **options), []
    for call in (lambda: region.get("key"), lambda: asyncio.run(region.aget("key")), region.lock("key").acquire):
        with pytest.raises(FieldstoneError) as failed:
            call()
        errors.append(failed.value)
    assert SECRET not in shown(region, *errors)
    assert SECRET not in said.text
    region.close()


@pytest.mark.parametrize(
    "options",
    [
        {"url": f"redis://:{SECRET}@127.0.0.1:none/0"},
        {"url": f"redsi://:{SECRET}@127.0.0.1/0"},
        {"url": f"redis://:{SECRET}@127.0.0.1/0?no_such_option=1"},
        {"url": f"redis://:{SECRET}@127.0.0.1/0", "no_such_option": 1},
        {"url": f"redis://:{SECRET}@127.0.0.1/0", "password": SECRET},
        {"url": f"redis://:{SECRET}@127.0.0.1/0", "ttl": "five"},
        {"cluster_nodes": [f"redis://:{SECRET}@127.0.0.1:6379"]},
        {"sentinels": [f"redis://:{SECRET}@127.0.0.1:6379"], "service_name": "s"},
    ],
    ids=["port", "scheme", "query", "option", "twice", "ttl", "cluster", "sentinel"],
)
def test_a_password_in_a_wrong_configuration_is_shown_nowhere(options, said):
    pytest.importorskip("redis")
    region = Region("secretive")
    with pytest.raises(RegionConfigurationError) as refused:
        region.configure("redis", **options)
    assert SECRET not in shown(region, refused.value)
    assert SECRET not in said.text
