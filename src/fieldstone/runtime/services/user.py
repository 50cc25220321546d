"""``user``: who is looking, under the names that Open edX gives the attributes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth import get_user_model
from django.utils import timezone
from django.utils.translation import get_language

from fieldstone import conf
from fieldstone.runtime.services.anonymous import anonymous_id, user_id_of
from fieldstone.runtime.services.host import Host, account_of

_PREFIX = "edx-platform."


@dataclass(frozen=True)
class CurrentUser:
    """The attributes of XBlock's own ``XBlockUser``, whose module brings in another package's models."""

    emails: list[str]
    full_name: str
    is_current_user: bool = True
    opt_attrs: dict[str, Any] = field(default_factory=dict)


class UserService:
    """XBlock's ``user`` with Open edX's optional attributes.

    To blocks a learner is staff in an author's preview, and with ``COURSE_STAFF`` whoever is staff to Django.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def is_staff(self) -> bool:
        """Is this staff of the course, to blocks?"""
        user = account_of(self._host)
        return self._host.is_author or (conf.course_staff() and user is not None and bool(user.is_staff))

    def get_current_user(self) -> CurrentUser:
        user = account_of(self._host)
        email = getattr(user, "email", "")
        return CurrentUser(
            emails=[email] if email else [],
            full_name=user.get_full_name() if user is not None else "",
            opt_attrs={_PREFIX + name: value for name, value in self._attributes(user).items()},
        )

    def _attributes(self, user: Any | None) -> dict[str, Any]:
        is_staff = self.is_staff
        nobody = self._host.user is None
        language, zone = get_language(), timezone.get_current_timezone_name()
        return {
            "is_authenticated": user is not None,
            "user_id": user.pk if user is not None else None,
            "username": user.get_username() if user is not None else "",
            "email": getattr(user, "email", ""),
            "anonymous_user_id": None if nobody else self._host.anonymous_id(str(self._host.course.key)),
            "deprecated_anonymous_user_id": None if nobody else self._host.anonymous_id(""),
            "user_is_staff": is_staff,
            "user_is_global_staff": is_staff,
            "user_is_beta_tester": False,
            "user_role": "staff" if is_staff else "student",
            "user_preferences": {"pref-lang": language, "time_zone": zone},
            "time_zone": zone,
            "request_country_code": None,  # blocks index it, and no site has to know where its learners are
        }

    def get_anonymous_user_id(self, username: str, course_id: str) -> str | None:
        """The anonymous id of another learner; ``None`` unless staff asks, and for who is not a learner here."""
        if not self.is_staff:
            return None
        model = get_user_model()
        user = model._default_manager.filter(**{model.USERNAME_FIELD: username}).first()
        return None if user is None else anonymous_id(user.pk, str(course_id))

    def get_user_by_anonymous_id(self, uid: str | None = None) -> Any | None:
        """The Django user of an anonymous id of this course or of the whole site; of none: who is looking."""
        if uid is None:
            return account_of(self._host)
        for course in (str(self._host.course.key), ""):
            number = user_id_of(str(uid), course)
            if number is not None:
                return get_user_model()._default_manager.filter(pk=number).first()
        return None
