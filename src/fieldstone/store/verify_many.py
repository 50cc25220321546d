"""``Verification`` of the states of some learners at one usage, in words for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opaque_keys.edx.keys import UsageKey

from fieldstone.store.engines.walk import Part
from fieldstone.store.places import key_text
from fieldstone.store.usages import find_usage
from fieldstone.store.verify import Verification

REVISIONS_AT_ONCE, LEARNERS_AT_ONCE = 5000, 500

_FINDINGS_TOLD = 5


def findings_at(using: str, usage_key: UsageKey, revisions: Mapping[int, int]) -> dict[int, str]:
    """What disagrees, by learner; those of whom all agrees are not in it.

    ``revisions`` maps the learners' ids to the revisions that their states are at, 0 for none: by these as much
    history is read in a query as there is room for. A thousand learners cost a handful of queries where they have
    ten revisions each, and more as they have more.
    """
    usage_id = find_usage(key_text(usage_key), using)
    found: dict[int, list[str]] = {}
    more: dict[int, int] = {}
    for learner_ids in _groups(revisions) if usage_id is not None else ():
        part = Part(usage_id=usage_id, learner_ids=learner_ids)
        for findings in Verification(using, part, REVISIONS_AT_ONCE + 1).batches():
            for finding in findings:
                whats = found.setdefault(finding.learner_id, [])
                if len(whats) < _FINDINGS_TOLD:
                    whats.append(finding.what)
                else:  # of one history there may be more than there is room for
                    more[finding.learner_id] = more.get(finding.learner_id, 0) + 1
    return {
        learner_id: "; ".join(whats) + (f"; and {more[learner_id]} more" if learner_id in more else "")
        for learner_id, whats in found.items()
    }


def _groups(revisions: Mapping[int, int]) -> Iterator[tuple[int, ...]]:
    """Learners, so many that their history is read in one query; who has more is alone."""
    group: list[int] = []
    size = 0
    for learner_id, revision in sorted(revisions.items()):
        if group and (size + revision > REVISIONS_AT_ONCE or len(group) == LEARNERS_AT_ONCE):
            yield tuple(group)
            group, size = [], 0
        group.append(learner_id)
        size += revision
    if group:
        yield tuple(group)
