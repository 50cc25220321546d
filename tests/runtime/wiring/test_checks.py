"""The checks of asides and of where visitors' state goes."""

from __future__ import annotations

import pytest
from django.core import checks

IN_MEMORY = {"BACKEND": "memory"}


def found(settings, deploy=False, **fieldstone):
    settings.FIELDSTONE = {**settings.FIELDSTONE, **fieldstone}
    messages = checks.run_checks(include_deployment_checks=deploy)
    return [message for message in messages if message.id.startswith("fieldstone_runtime.") and "32" in message.id]


def test_an_aside_that_is_installed_is_in_order(settings):
    assert found(settings, ASIDES=["acid_aside"]) == []


def test_an_aside_that_is_not_installed_is_an_error_that_names_it(settings):
    (error,) = found(settings, ASIDES=["acid_aside", "acid_beside"])
    assert error.id == "fieldstone_runtime.E321"
    assert "'acid_beside'" in error.msg
    assert "fieldstone_block" in error.hint


@pytest.mark.parametrize("wrong", [7, None])
def test_asides_of_the_wrong_type_are_left_to_the_check_of_settings(settings, wrong):
    assert found(settings, ASIDES=wrong) == []


def test_a_deployment_without_a_region_for_visitors_is_warned(settings):
    (warning,) = found(settings, deploy=True, REGIONS={"previews": IN_MEMORY})
    assert warning.id == "fieldstone_runtime.W322"
    assert "'visitors'" in warning.msg and "'previews'" not in warning.msg


def test_with_both_regions_it_is_not_and_nobody_is_without_deploy(settings):
    assert found(settings, deploy=True, REGIONS={"previews": IN_MEMORY, "visitors": IN_MEMORY}) == []
    assert found(settings, REGIONS={}) == []
