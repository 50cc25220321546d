"""What all pages of the workbench have about them: the course, who is looking, and where they may go."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from fieldstone import conf
from fieldstone.errors import CourseError
from fieldstone.workbench.courses import current_course
from fieldstone.workbench.gates import may_see_jobs

ABLE_WITHOUT_A_COURSE = ("error.html", "jobs.html", "job.html")
"""The page that reports that it cannot be read, and what is about stored state alone."""


def render_page(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    try:
        course = current_course()
    except (CourseError, ImproperlyConfigured):
        if template not in ABLE_WITHOUT_A_COURSE:
            raise
        shown = {}
    else:
        shown = {"title": course.root.title, "key": str(course.key), "block_count": len(course.blocks)}
    about = {
        "course": shown,
        "learner": request.user.get_username() if request.user.is_authenticated else None,
        "may_switch": conf.learner_switcher(),
        "may_see_jobs": may_see_jobs(request),
    }
    return render(request, f"workbench/{template}", {**about, **context}, status=status)
