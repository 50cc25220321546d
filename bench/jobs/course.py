"""An exam of problems that take numbers, in units of ten; and the same one before a mistake in it was mended."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from opaque_keys.edx.keys import UsageKey
from opaque_keys.edx.locator import CourseLocator

from fieldstone.store.engines.placeholders import batched

KEY = CourseLocator("Fieldstone", "Jobs", "Run")
PROBLEMS_OF_A_UNIT = 10
UNITS_OF_A_SECTION = 5


@dataclass(frozen=True)
class Problem:
    """A problem, the number that it wants, and the one that it wanted before it was mended."""

    usage_key: UsageKey
    answer: int
    wanted_before: int


@dataclass(frozen=True)
class Exam:
    """The course in its two versions, which have the same blocks."""

    before: Path
    after: Path
    problems: tuple[Problem, ...]


def write_exam(folder: Path, problems: int, seed: int) -> Exam:
    """Write both versions in OLX; the same seed, the same course. A third of the problems had a mistake."""
    drawn = random.Random(seed)
    made = []
    for number in range(problems):
        answer = drawn.randint(10, 999)
        mistake = drawn.choice([0, 0, drawn.randint(1, 9)])
        made.append(Problem(KEY.make_usage_key("problem", f"p{number:03}"), answer, answer + mistake))
    exam = Exam(folder / "before", folder / "after", tuple(made))
    _write(exam.before, made, [problem.wanted_before for problem in made])
    _write(exam.after, made, [problem.answer for problem in made])
    return exam


def _write(folder: Path, problems: list[Problem], answers: list[int]) -> None:
    folder.mkdir(parents=True)
    blocks = [_problem(each.usage_key.block_id, answer) for each, answer in zip(problems, answers, strict=True)]
    numbers = count()
    units = [
        f'<vertical url_name="unit-{next(numbers)}">{"".join(some)}</vertical>'
        for some in batched(blocks, PROBLEMS_OF_A_UNIT)
    ]
    sections = [
        f'<sequential url_name="section-{next(numbers)}">{"".join(some)}</sequential>'
        for some in batched(units, UNITS_OF_A_SECTION)
    ]
    (folder / "course.xml").write_text(
        f'<course org="{KEY.org}" course="{KEY.course}" url_name="{KEY.run}" display_name="Exam">'
        f'<chapter url_name="one">{"".join(sections)}</chapter></course>'
    )


def _problem(name: str, answer: int) -> str:
    return (
        f'<problem url_name="{name}" display_name="{name}" showanswer="never" show_reset_button="false">'
        f'<numericalresponse answer="{answer}"><label>Which number?</label>'
        '<responseparam type="tolerance" default="0.5"/><textline/></numericalresponse></problem>'
    )
