from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.auth.validators import UnicodeUsernameValidator

from fieldstone.store.tables import HIGHEST_ID


class NewLearnerForm(forms.Form):
    name = forms.CharField(
        max_length=30,
        strip=True,
        validators=[UnicodeUsernameValidator(message="Letters, digits and @ . + - _ only, please: no spaces.")],
        help_text="A made-up name will do: letters, digits and @ . + - _",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )


class SwitchForm(forms.Form):
    learner = forms.IntegerField()


class BoardForm(forms.Form):
    before = forms.IntegerField(required=False, min_value=0, max_value=HIGHEST_ID)


class JobForm(forms.Form):
    """What a job's page was asked for, and what it shows already."""

    after = forms.IntegerField(required=False, min_value=0, max_value=HIGHEST_ID)
    would_after = forms.IntegerField(required=False, min_value=0, max_value=HIGHEST_ID)
    failed = forms.IntegerField(required=False, min_value=0, max_value=HIGHEST_ID)
    status = forms.CharField(required=False)

    @classmethod
    def of(cls, data: Mapping[str, str]) -> dict[str, Any]:
        """By names; what is missing or wrong is 0, or ``""``."""
        form = cls(data)
        form.is_valid()
        return {name: form.cleaned_data.get(name) or ("" if name == "status" else 0) for name in form.fields}
