"""The packages that the course has are those that their folders make."""

from __future__ import annotations

import hashlib
import json

import pytest
from lxml import etree

from tests.blocks.conftest import COURSE_FOLDER
from tests.blocks.tools.scorm_packages import PACKAGES, SOURCES, zipped

UNITS = {"scorm12": "scorm.xml", "scorm2004": "scorm-2004.xml"}


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_of_the_course_has_what_its_folder_has(name: str) -> None:
    assert PACKAGES[name].read_bytes() == zipped(SOURCES / name), "python -m tests.blocks.tools.scorm_packages"


@pytest.mark.parametrize("name", PACKAGES)
def test_the_course_names_a_package_by_its_digest(name: str) -> None:
    block = etree.parse(str(COURSE_FOLDER / "vertical" / UNITS[name])).find("scorm")
    assert block is not None
    meta = json.loads(block.get("package_meta", ""))
    content = PACKAGES[name].read_bytes()
    assert (meta["sha1"], meta["size"]) == (hashlib.sha1(content).hexdigest(), len(content))
    assert block.get("scorm_package_path") == str(PACKAGES[name].relative_to(COURSE_FOLDER))
