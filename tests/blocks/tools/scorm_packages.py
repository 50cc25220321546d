"""The course's SCORM packages, zipped from their folders here: ``python -m tests.blocks.tools.scorm_packages``.

The bytes are the same every time: the course names a package by its digest.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

SOURCES = Path(__file__).parent
PACKAGES = {
    "scorm12": SOURCES.parent / "course" / "scorm" / "seasons.zip",
    "scorm2004": SOURCES.parent / "course" / "scorm" / "tides.zip",
}
"""Folder here, package in the course."""


def zipped(folder: Path) -> bytes:
    """The files of a folder as a zip archive, in the order of their names, all of the same date."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (2026, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())  # stored: deflated bytes differ between versions of zlib
    return buffer.getvalue()


if __name__ == "__main__":
    for name, target in PACKAGES.items():
        content = zipped(SOURCES / name)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
        print(f"{target.name}: sha1 {hashlib.sha1(content).hexdigest()}, {len(content)} bytes")
