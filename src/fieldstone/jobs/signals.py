"""What a site can listen to. All are sent once what they tell of is committed; a listener's error is logged.

A listener runs in the worker's process, between two chunks: what takes long belongs into a queue.
"""

from __future__ import annotations

from django.dispatch import Signal

job_started = Signal()
"""Sent with ``job`` when the first worker has begun it."""

job_ended = Signal()
"""Sent with ``job``, its counts in it, when it is finished or cancelled."""

tracked = Signal()
"""Sent with ``event_type``, ``event`` as the block gave it, and ``context``, of each event that a job makes.

``context`` is a dict: ``request`` (of who asked: ``username, ip, agent, host``), ``task`` (``job``, ``task_id``
and ``student``, the learner's username), ``user_id``, and ``usage_key`` and ``course_id`` as text, ``""`` where
unknown.
"""
