"""What tells a plan that reads a whole table."""

from __future__ import annotations

import pytest
from django.conf import settings

from bench.scale.plans import WholeTableError, check, plan_of
from fieldstone.store.models import LearningContext

pytestmark = [
    pytest.mark.skipif("postgresql" not in settings.DATABASES, reason="needs PostgreSQL: `make test`"),
    pytest.mark.django_db(databases=["postgresql"]),
]


def test_a_statement_that_no_index_serves_is_refused():
    plan = plan_of("postgresql", ("SELECT * FROM fieldstone_student_module WHERE done = %s", ["f"]))
    with pytest.raises(WholeTableError, match="Seq Scan on fieldstone_student_module, from end to end"):
        check([plan])


def test_an_index_that_is_read_from_end_to_end_is_refused():
    """It is no sequential scan by name, and costs as much."""
    first = "SELECT student_id FROM fieldstone_student_module ORDER BY student_id, usage_id LIMIT 1"
    plan = plan_of("postgresql", (first, []))
    with pytest.raises(WholeTableError, match="Index Only Scan using fieldstone_student_module_pkey"):
        check([plan])


def test_a_lookup_by_a_key_is_let_through():
    by_key = "SELECT * FROM fieldstone_student_module WHERE student_id = %s AND usage_id = %s"
    check([plan_of("postgresql", (by_key, [1, 2]))])


def test_looking_at_a_plan_runs_nothing():
    insert = "INSERT INTO fieldstone_learning_context (key) VALUES (%s)"
    check([plan_of("postgresql", (insert, ["course-v1:Org+Course+Run"]))])
    assert not LearningContext.objects.using("postgresql").exists()
