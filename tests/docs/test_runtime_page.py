"""The page about a site of one's own: what it shows is a site, in which a visitor does something and registers."""

from __future__ import annotations

from tests.docs.sites import listings, python, start_project
from tests.docs.test_docs import ROOT

PAGE = (ROOT / "docs/how-to/runtime.md").read_text()
COURSE = """\
<course org="Org" course="Tea" url_name="2026">
  <chapter url_name="tea"><sequential url_name="kinds">
    <vertical url_name="green"><done url_name="tasted"/><html url_name="how">Not boiling.</html></vertical>
  </sequential></chapter>
</course>
"""
TRY = """\
import re, django
django.setup()

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from fieldstone.store import Store
from fieldstone.workbench.courses import current_course

call_command("check", fail_level="WARNING")
call_command("migrate", verbosity=0)
course = current_course()
tasted = course.key.make_usage_key("done", "tasted")
unit = f"/unit/{course.key.make_usage_key('vertical', 'green')}"


def page_of(client):
    return client.get(unit).content.decode()


def answer(client, handler, usage_key=tasted):
    url = f"/xblock/{usage_key}/handler/{handler}"
    return client.post(url, {"done": True}, content_type="application/json")


visitor, other = Client(SERVER_NAME="localhost"), Client(SERVER_NAME="localhost")
page = page_of(visitor)
assert "Not boiling." in page and '"state": false' in page
for static in re.findall('src="/static/([^"]+)"', page):
    call_command("findstatic", static, verbosity=0)
assert visitor.get(re.search('"unchecked": "([^"]+)"', page)[1])["Content-Type"] == "image/png"
assert f'data-handler-url="/xblock/{tasted}/handler/"' in page

page_of(other)
assert answer(visitor, "toggle_button").json() == {"state": True}
assert answer(visitor, "no_such").status_code == 404
assert answer(visitor, "toggle_button", "block-v1:Org+Tea+2026+type@done+block@no-such").status_code == 404
assert '"state": true' in page_of(visitor) and '"state": false' in page_of(other)

assert visitor.post("/sign-up", {"name": "ada"}).status_code == 302
ada = get_user_model().objects.get()
assert Store().read(ada, [tasted])[tasted].fields == {"done": True}
assert Store().read(ada, [tasted])[tasted].grade == 1
assert '"state": true' in page_of(visitor)
answer(visitor, "toggle_button")
print([revision.origin for revision in Store().history(ada, tasted)])
"""


def test_the_site_of_the_page_works(tmp_path):
    files = listings(PAGE)
    assert files.keys() == {"mysite/settings.py", "mysite/urls.py", "unit.html"}
    start_project(tmp_path, {**files, "course/course.xml": COURSE})
    assert "['handler:toggle_button', 'claim']" in python(tmp_path, "-c", TRY)
