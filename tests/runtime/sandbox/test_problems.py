"""Problems with Python, as learners meet them: the published block in the runtime, and real processes."""

from __future__ import annotations

import json
import logging
import re
import zipfile
from html import unescape
from io import BytesIO
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model

from fieldstone.runtime.sandbox import SandboxService
from tests.runtime.courses import check_problem, key_in, runtime, unit_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten", "silent_capa")]

SUM = """<problem url_name="p" rerandomize="per_student"><script type="loncapa/python">
x = random.randint(0, 10**6)
y = random.randint(0, 10**6)
z = x + y
</script><p>[$x and $y]</p><numericalresponse answer="$z"><textline/></numericalresponse></problem>"""

EVEN = """<problem url_name="p"><script type="loncapa/python">
def even(expect, ans):
    if int(ans) % 2:
        return {"ok": False, "msg": "That is odd."}
    return int(ans) != 13
</script><customresponse cfn="even"><textline/></customresponse></problem>"""

CHECKED = """<problem url_name="p"><script type="loncapa/python">
def check(expect, ans):
    %s
    return True
</script><customresponse cfn="check"><textline/></customresponse></problem>"""


@pytest.fixture
def silent_capa():
    """It logs the script that failed, at length."""
    logging.getLogger("xblocks_contrib").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("xblocks_contrib").setLevel(logging.NOTSET)


def course_with(folder, problem):
    """Its script is no other test's: capa keeps what scripts came to in the cache, by their text."""
    return unit_of(folder, problem.replace('/python">', f'/python">\n# {uuid4()}\n'))


def shown(course, user):
    """The problem's page: what its script asks the block for, or the card in its place."""
    block = runtime(course, user).get_block(key_in(course, "problem", "p"))
    fragment = block.render("student_view")
    return unescape(unescape(fragment.content))


def answered(course, user, text):
    response = check_problem(course, user, key_in(course, "problem", "p"), text)
    assert response.status_code == 200, response.content
    return json.loads(response.content)


def numbers(page):
    return [int(number) for number in re.search(r"\[(\d+) and (\d+)\]", page).groups()]


@pytest.mark.usefixtures("sandbox_on")
def test_a_randomised_problem_knows_its_numbers_again(ada, tmp_path):
    course = course_with(tmp_path, SUM)
    x, y = numbers(shown(course, ada))
    assert numbers(shown(course, ada)) == [x, y]
    assert answered(course, ada, str(x + y + 10**5))["success"] == "incorrect"
    assert answered(course, ada, str(x + y))["success"] == "correct"


@pytest.mark.usefixtures("sandbox_on")
def test_learners_have_numbers_of_their_own(tmp_path):
    """There are twenty variants of a problem: of ten learners hardly all have the same."""
    course = course_with(tmp_path, SUM)
    learners = [get_user_model().objects.create_user(f"learner-{number}") for number in range(10)]
    assert len({tuple(numbers(shown(course, learner))) for learner in learners}) > 1


@pytest.mark.usefixtures("sandbox_on")
def test_a_check_function_grades_and_tells_the_learner(ada, tmp_path):
    course = course_with(tmp_path, EVEN)
    wrong = answered(course, ada, "7")
    assert wrong["success"] == "incorrect"
    assert "That is odd." in wrong["contents"]
    assert answered(course, ada, "8")["success"] == "correct"


@pytest.mark.usefixtures("sandbox_on")
def test_a_mistake_in_a_check_function_is_told_and_costs_no_attempt(ada, tmp_path):
    course = course_with(tmp_path, EVEN)
    assert "invalid literal for int()" in answered(course, ada, "seven")["success"]
    assert runtime(course, ada).get_block(key_in(course, "problem", "p")).attempts == 0


@pytest.mark.usefixtures("sandbox_on")
def test_the_libraries_for_mathematics_are_there(ada, tmp_path):
    parts = "numpy.linalg.det(numpy.eye(3) * 2), scipy.special.comb(3, 2), calc.evaluator({}, {}, '2*3')"
    script = f"z = round(sum([{parts}]))"
    problem = f"""<problem url_name="p"><script type="loncapa/python">{script}</script><p>[$z and 0]</p>
        <numericalresponse answer="$z"><textline/></numericalresponse></problem>"""
    assert numbers(shown(course_with(tmp_path, problem), ada)) == [17, 0]


@pytest.mark.usefixtures("sandbox_on")
def test_problems_import_the_modules_of_their_course(ada, tmp_path):
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as library:
        library.writestr("of_the_course.py", "def double(x): return 2 * x\n")
    problem = """<problem url_name="p"><script type="loncapa/python">
import of_the_course
z = of_the_course.double(21)
</script><p>[$z and 0]</p><numericalresponse answer="$z"><textline/></numericalresponse></problem>"""
    course = course_with(tmp_path, problem)
    assert SandboxService(course).get_python_lib_zip() is None
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "python_lib.zip").write_bytes(archive.getvalue())
    assert numbers(shown(course, ada)) == [42, 0]


def test_without_the_sandbox_there_is_a_card_that_says_how_to_turn_it_on(ada, tmp_path):
    page = shown(course_with(tmp_path, SUM), ada)
    assert "Python problems are off" in page
    assert '"SANDBOX": True' in page


def test_no_course_may_run_python_in_the_server_itself(settings, tmp_path):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "SANDBOX": True}
    assert SandboxService(course_with(tmp_path, SUM)).can_execute_unsafe_code() is False


LARGE = {"seconds": 30, "wall_seconds": 60}
STOPPED = [
    ("while True: pass", {"seconds": 1}, "computed for longer than 1 seconds"),
    ("import time; time.sleep(600)", {"wall_seconds": 2}, "took longer than 2 seconds"),
    ("x = 'x' * 10**9", {"memory_mb": 256}, "wanted more than 256 MB of memory"),
    ("import os; os.write(1, b'x' * 10**6)", {"output_kb": 100}, "printed or kept more than 100 kB"),
]


@pytest.mark.parametrize(("code", "limit", "told"), STOPPED)
def test_a_script_that_is_stopped_is_a_card_that_names_the_limit(ada, settings, tmp_path, code, limit, told):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "SANDBOX": {**LARGE, **limit}}
    assert told in shown(course_with(tmp_path, SUM.replace("x = random", f"{code}\nx = random", 1)), ada)


@pytest.mark.parametrize(("code", "limit", "told"), STOPPED)
def test_a_check_that_is_stopped_names_the_limit_and_costs_no_attempt(ada, settings, tmp_path, code, limit, told):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "SANDBOX": {**LARGE, **limit}}
    course = course_with(tmp_path, CHECKED % code)
    assert told in answered(course, ada, "1")["success"]
    assert runtime(course, ada).get_block(key_in(course, "problem", "p")).attempts == 0


def test_being_stopped_is_not_kept_for_the_next_learner(ada, settings, tmp_path):
    """A busy moment is not the problem's fault."""
    course = course_with(tmp_path, SUM.replace("x = random", "y = sum(range(10**7))\nx = random", 1))
    settings.FIELDSTONE = {**settings.FIELDSTONE, "SANDBOX": {"memory_mb": 12}}
    assert "The Python of this problem was" in shown(course, ada)
    settings.FIELDSTONE = {**settings.FIELDSTONE, "SANDBOX": LARGE}
    assert len(numbers(shown(course, ada))) == 2


def test_a_script_that_is_stopped_when_an_answer_comes_is_told_too(ada, settings, tmp_path):
    """The page was shown while the server had the time."""
    course = course_with(tmp_path, SUM)
    settings.FIELDSTONE = {**settings.FIELDSTONE, "SANDBOX": {"memory_mb": 12}}
    response = check_problem(course, ada, key_in(course, "problem", "p"), "1")
    assert response.status_code == 200
    assert "The Python of this problem was" in json.loads(response.content)["success"]
    assert runtime(course, ada).get_block(key_in(course, "problem", "p")).attempts == 0


HOSTILE = [
    "open('/etc/passwd').read()",
    "open('/proc/%d/environ' % os.getppid()).read()",
    "import socket; socket.socket()",
    "open('/tmp/written', 'w')",
    "os.kill(os.getppid(), 15)",
    "os.fork()",
]


@pytest.mark.usefixtures("sandbox_on")
@pytest.mark.parametrize("code", HOSTILE)
def test_a_check_that_reaches_outside_is_refused_and_told(ada, tmp_path, code):
    course = course_with(tmp_path, CHECKED % code)
    assert re.search("Permission denied|Operation not permitted", answered(course, ada, "1")["success"])
