"""The forms of sign-in and account pages."""

from __future__ import annotations

from typing import Any

from django import forms


def _password(autocomplete: str, **attrs: str | bool) -> forms.PasswordInput:
    return forms.PasswordInput(attrs={"autocomplete": autocomplete, "spellcheck": "false", **attrs})


class PlainForm(forms.Form):
    """A form whose labels end without a colon."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)


class SignInForm(PlainForm):
    """Name and password. Anything too long is simply wrong, later."""

    username = forms.CharField(
        label="Name",
        max_length=4096,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "username webauthn",
                "autocapitalize": "none",
                "autocorrect": "off",
                "spellcheck": "false",
                "autofocus": True,
            }
        ),
    )
    password = forms.CharField(
        label="Password", strip=False, max_length=1_000_000, widget=_password("current-password")
    )


class PasswordForm(PlainForm):
    """The password one has."""

    password = forms.CharField(
        label="Password", strip=False, max_length=1_000_000, widget=_password("current-password", autofocus=True)
    )


class NewPasswordForm(PlainForm):
    """A password to be."""

    new_password = forms.CharField(
        label="New password",
        strip=False,
        max_length=1024,
        help_text="12 characters or more. Several words that are easy for you to remember are best.",
        widget=_password("new-password", minlength="12", autofocus=True),
    )


class ChangePasswordForm(PlainForm):
    """The password one has, and the one to be."""

    password = forms.CharField(
        label="Current password",
        strip=False,
        max_length=1_000_000,
        widget=_password("current-password", autofocus=True),
    )
    new_password = forms.CharField(
        label="New password",
        strip=False,
        max_length=1024,
        help_text="12 characters or more. Several words that are easy for you to remember are best.",
        widget=_password("new-password", minlength="12"),
    )


class CodeForm(PlainForm):
    """Six digits from an authenticator app."""

    code = forms.CharField(label="Code", max_length=100)


class PasskeyForm(PlainForm):
    """What the browser answered for a passkey, put there by a script."""

    credential = forms.CharField(max_length=50_000, required=False, strip=False)


class PasskeyNameForm(PlainForm):
    """What somebody calls a passkey."""

    name = forms.CharField(
        label="Name",
        max_length=200,
        help_text="Where it is, so that you know which one to remove when it is lost: work laptop, key ring.",
        widget=forms.TextInput(attrs={"maxlength": "64", "autocomplete": "off"}),
    )


class RecoveryCodeForm(PlainForm):
    """One of the ten codes kept for bad days."""

    code = forms.CharField(
        label="Recovery code",
        max_length=100,
        help_text="One of the ten you kept when you enrolled. Each works once.",
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}
        ),
    )
