"""The page about the test kit: what it shows as "after" are tests, which pass."""

from __future__ import annotations

import re

from tests.docs.test_docs import ROOT
from tests.testing.conftest import project

__all__ = ["project"]

PAGE = (ROOT / "docs/how-to/testing.md").read_text()


def examples():
    """Each block that imports what it needs. Others show what people wrote before, or backends of their own."""
    return [
        code
        for code in re.findall(r"```python\n(.*?)```", PAGE, re.S)
        if "blog.models" in code and "fieldstone.testing" in code
    ]


def test_the_examples_pass(project):
    codes = [code.replace("blog.models", "tests.testing.blog.models") for code in examples()]
    names = [f"test_example_{number}" for number in range(len(codes))]
    done = project("", **dict(zip(names, codes, strict=True)))
    assert done.ret == 0, done.stdout.str()
    passed = done.parseoutcomes()["passed"]
    assert passed == sum(code.count("def test_") for code in codes) >= 12
