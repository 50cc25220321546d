"""The pytest plugin; pytest loads it by itself where Fieldstone is installed, and without it nothing is changed.

One module for each tool. It is loaded before Django has its settings, so nothing here touches them or models.
"""

import pytest

pytest.register_assert_rewrite("fieldstone.testing.contracts")

pytest_plugins = [f"{__name__}.{tool}" for tool in ("budgets", "clock", "transactions")]
