from django import forms
from django.contrib.auth.validators import UnicodeUsernameValidator


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
