"""The table of docs/blocks.md, made of what the exercises say and what is installed.

python -m tests.blocks.table writes it into the page.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import django

from fieldstone.runtime.anatomy import anatomy
from fieldstone.runtime.entry_points import look_up
from tests.blocks.exercise import COMPLETION, BlockExercise
from tests.blocks.registry import by_type

PAGE = Path(__file__).parents[2] / "docs" / "blocks.md"
TABLE = re.compile(r"^\| block \|.*?(?=\n\n|\n?\Z)", re.S | re.M)
HEAD = ["block", "package", "renders", "acts", "persists", "needs", "remarks"]
EVERY_BLOCK_HAS = "field-data"
NOTHING = "nothing"


def table() -> str:
    """The table in Markdown: a row for each block type."""
    rows = [HEAD, ["---"] * len(HEAD), *(row(tag, exercises) for tag, exercises in sorted(by_type().items()))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def row(tag: str, exercises: list[BlockExercise]) -> list[str]:
    return [
        f"`{tag}`",
        package_series(tag),
        "yes" if all(exercise.renders for exercise in exercises) else "no",
        code(name for exercise in exercises for name in exercise.handlers),
        code(field_name(tag, name) for exercise in exercises for name in exercise.stored),
        "; ".join(filter(None, [services(tag), *once(exercise.needs for exercise in exercises)])) or NOTHING,
        " ".join(once(exercise.remark for exercise in exercises)),
    ]


def field_name(tag: str, name: str) -> str:
    """As the row has it: fields of other types of block with their type."""
    return name.removeprefix(f"{tag}.").removeprefix(f"{COMPLETION.partition('.')[0]}.")


def package_series(tag: str) -> str:
    """The package and the first two numbers of its version: what the row was found true of."""
    chosen = look_up(tag)[-1].chosen
    if chosen is None or chosen.distribution is None:
        return "not installed"
    return f"{chosen.distribution.name} {'.'.join(chosen.distribution.version.split('.')[:2])}"


def services(tag: str) -> str:
    cls = look_up(tag)[-1].cls
    needed = [name for name, wish in (anatomy(cls).services if cls else {}).items() if wish == "need"]
    return listed(name for name in needed if name != EVERY_BLOCK_HAS)


def code(names: Iterable[str]) -> str:
    return listed(names) or NOTHING


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(set(names)))


def once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, texts)))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
