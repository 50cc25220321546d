"""A course of one page: problems that take numbers, a poll, a word cloud, and a mark that one is done."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from opaque_keys.edx.keys import UsageKey
from opaque_keys.edx.locator import CourseLocator

KEY = CourseLocator("Fieldstone", "Load", "Run")
CHOICES = ("mornings", "afternoons", "evenings", "nights")
WORDS = ("granite", "basalt", "slate", "marble", "gneiss", "chalk", "flint", "schist")


@dataclass(frozen=True)
class Problem:
    """A problem and the number that it wants, within a half."""

    usage_key: UsageKey
    answer: int

    @property
    def input_name(self) -> str:
        """The name of its one field in the form."""
        return f"input_{self.usage_key.block_id}_2_1"


@dataclass(frozen=True)
class Page:
    """The blocks of the page."""

    unit: UsageKey
    problems: tuple[Problem, ...]
    poll: UsageKey
    cloud: UsageKey
    done: UsageKey


def write_course(folder: Path, problems: int, seed: int) -> Page:
    """Write the course in OLX, with so many problems; the same seed, the same course."""
    drawn = random.Random(seed)
    numbers = [(f"sum-{number:02}", drawn.randint(10, 99), drawn.randint(10, 99)) for number in range(problems)]
    blocks = [_problem(*each) for each in numbers]
    blocks.insert(problems // 3, _poll())
    blocks.insert(problems, '<word_cloud url_name="cloud" display_name="Stones" num_inputs="1"/>')
    blocks.append('<done url_name="finished" display_name="I have finished"/>')
    page = f'<vertical url_name="page" display_name="Sums">{"".join(blocks)}</vertical>'
    (folder / "course.xml").write_text(
        f'<course org="{KEY.org}" course="{KEY.course}" url_name="{KEY.run}" display_name="Load">'
        f'<chapter url_name="one"><sequential url_name="only">{page}</sequential></chapter></course>'
    )
    return Page(
        KEY.make_usage_key("vertical", "page"),
        tuple(Problem(KEY.make_usage_key("problem", name), a + b) for name, a, b in numbers),
        KEY.make_usage_key("poll", "when"),
        KEY.make_usage_key("word_cloud", "cloud"),
        KEY.make_usage_key("done", "finished"),
    )


def _problem(name: str, a: int, b: int) -> str:
    return (
        f'<problem url_name="{name}" display_name="{a} + {b}" showanswer="never" show_reset_button="false">'
        f'<numericalresponse answer="{a + b}"><label>What is {a} + {b}?</label>'
        '<responseparam type="tolerance" default="0.5"/><textline/></numericalresponse></problem>'
    )


def _poll() -> str:
    answers = [[choice, {"label": choice.title(), "img": None, "img_alt": None}] for choice in CHOICES]
    return (
        '<poll url_name="when" display_name="When" question="When do you study?"'
        f" answers={quoteattr(json.dumps(answers))}/>"
    )
