"""The forms of the console. What they hold is checked by the documents they become, so fields only give it shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from django import forms

from broker.console.form_fields import NAME, PairsField, PlainForm, UntilField, WordsField, moment_in
from broker.environment import seconds_in
from broker.policy.attempt import ACTIONS


class UserForm(PlainForm):
    """Who a user is."""

    name = forms.CharField(
        label="User name",
        max_length=64,
        help_text="what they sign in with; it cannot be changed later",
        widget=forms.TextInput(attrs=NAME),
    )
    full_name = forms.CharField(label="Full name", max_length=200, required=False)
    email = forms.CharField(label="E-mail", max_length=254, required=False, widget=forms.EmailInput())
    groups = WordsField(
        label="Groups",
        required=False,
        max_length=4000,
        help_text="names of groups, separated by commas; what is bound to a group goes to its members",
        widget=forms.TextInput(attrs=NAME),
    )
    traits = PairsField(
        label="Traits",
        required=False,
        many=True,
        max_length=20_000,
        help_text="one a line, such as logins: alice, deploy; roles use them as {{external.logins}}",
    )

    def as_document(self, name: str) -> dict[str, Any]:
        """The document of kind `user` that the form says."""
        about = {key: self.cleaned_data[key] for key in ("full_name", "email", "groups", "traits")}
        return {
            "kind": "user",
            "metadata": {"name": name},
            "spec": {key: value for key, value in about.items() if value},
        }


USER_FIELDS = {
    "metadata.name": "name",
    "spec.full_name": "full_name",
    "spec.email": "email",
    "spec.groups": "groups",
    "spec.traits": "traits",
}


class BindingForm(PlainForm):
    """A role, and until when."""

    role = forms.ChoiceField(label="Role")
    until = UntilField(
        label="Until",
        required=False,
        max_length=40,
        help_text="a duration such as 8h or 7d, or a time such as 2026-12-31 18:00 (UTC); empty: without end",
        widget=forms.TextInput(attrs=NAME),
    )
    reason = forms.CharField(label="Reason", max_length=500, required=False, help_text="a ticket, or a few words")

    def __init__(self, *args: Any, roles: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["role"]).choices = [
            ("", "choose a role"),
            *((role, role) for role in roles),
        ]


BINDING_FIELDS = {"spec.role": "role", "spec.expires": "until", "spec.reason": "reason"}


class GroupForm(PlainForm):
    """A group."""

    name = forms.CharField(label="Name", max_length=63, widget=forms.TextInput(attrs=NAME))
    description = forms.CharField(label="Description", max_length=500, required=False)


GROUP_FIELDS = {"metadata.name": "name", "metadata.description": "description"}


class MemberForm(PlainForm):
    """Somebody to put into a group."""

    user = forms.CharField(
        label="User name", max_length=64, widget=forms.TextInput(attrs={**NAME, "list": "user-names"})
    )


class DocumentForm(PlainForm):
    """A document as YAML text. `version` is the mark of what was edited."""

    text = forms.CharField(
        label="Document",
        max_length=200_000,
        strip=False,
        widget=forms.Textarea(
            attrs={"class": "code", "rows": 24, "wrap": "off", "spellcheck": "false", "autocapitalize": "none"}
        ),
    )
    version = forms.CharField(required=False, max_length=24, widget=forms.HiddenInput())


class AppForm(PlainForm):
    """What an app cannot do without; the rest is in its document."""

    name = forms.CharField(
        label="Name",
        max_length=63,
        help_text="small letters, digits and hyphens: it becomes the app's host name",
        widget=forms.TextInput(attrs=NAME),
    )
    uri = forms.CharField(
        label="Address of the app",
        max_length=500,
        help_text="as this machine reaches it, such as http://10.0.0.5:3000 or https://wiki.internal",
        widget=forms.TextInput(attrs={**NAME, "inputmode": "url"}),
    )
    description = forms.CharField(label="Description", max_length=500, required=False)
    labels = PairsField(
        label="Labels",
        required=False,
        max_length=20_000,
        help_text="one a line, such as env: prod; roles open apps by their labels",
    )

    def as_document(self) -> dict[str, Any]:
        """The document of kind `app`."""
        return _resource_document("app", self.cleaned_data, {"uri": self.cleaned_data["uri"]})


class ServerForm(PlainForm):
    """What a server cannot do without."""

    name = forms.CharField(
        label="Name",
        max_length=63,
        help_text="small letters, digits and hyphens; people type ssh root@NAME.postern",
        widget=forms.TextInput(attrs=NAME),
    )
    addr = forms.CharField(
        label="Address",
        max_length=300,
        help_text="host and port as people's machines reach it, such as db-1.internal:22",
        widget=forms.TextInput(attrs=NAME),
    )
    description = forms.CharField(label="Description", max_length=500, required=False)
    labels = PairsField(
        label="Labels",
        required=False,
        max_length=20_000,
        help_text="one a line, such as env: prod; roles open servers by their labels",
    )

    def as_document(self) -> dict[str, Any]:
        """The document of kind `server`."""
        return _resource_document("server", self.cleaned_data, {"addr": self.cleaned_data["addr"]})


RESOURCE_FIELDS = {
    "metadata.name": "name",
    "metadata.description": "description",
    "metadata.labels": "labels",
    "spec.uri": "uri",
    "spec.addr": "addr",
}


def _resource_document(kind: str, said: Mapping[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    about = {key: said[key] for key in ("name", "description", "labels") if said[key]}
    return {"kind": kind, "metadata": about, "spec": spec}


LOCK_TIMES = (
    ("1h", "1 hour"),
    ("8h", "8 hours"),
    ("1d", "1 day"),
    ("7d", "7 days"),
    ("", "until somebody lifts it"),
)


class LockForm(PlainForm):
    """What to lock, how long and why."""

    kind = forms.ChoiceField(
        label="What",
        choices=[
            ("user", "a user"),
            ("group", "a group"),
            ("role", "a role"),
            ("server", "a server"),
            ("app", "an app"),
            ("login", "a login name on all servers"),
            ("login_session", "a login session"),
        ],
    )
    target = forms.CharField(
        label="Name",
        max_length=200,
        help_text="its name; of a login session the id",
        widget=forms.TextInput(attrs=NAME),
    )
    ttl = forms.ChoiceField(
        label="How long",
        choices=LOCK_TIMES,
        initial="1h",
        required=False,
    )
    reason = forms.CharField(label="Reason", max_length=500, help_text="whoever is stopped by the lock reads this")

    def hidden(self) -> LockForm:
        """The same answers in a form that shows none of them."""
        form = LockForm(self.data)
        for field in form.fields.values():
            field.widget = forms.HiddenInput()
        return form

    def seconds(self) -> float | None:
        """How long, in seconds; None: until it is lifted."""
        ttl = self.cleaned_data["ttl"]
        return seconds_in(ttl) if ttl else None


class ReasonForm(PlainForm):
    """Why something is done."""

    reason = forms.CharField(
        label="Reason", max_length=500, required=False, help_text="kept in the audit log and on the user's page"
    )


WHY_ACTIONS = (("app.request", "open an app"), ("ssh.session", "log in to a server"))


class HostKeyForm(PlainForm):
    """A server's public host key, for a script that needs no way to us."""

    host_key = forms.CharField(
        label="Public host key",
        max_length=16_000,
        required=False,
        help_text="leave it empty if the server reaches this address: the script then fetches its certificate itself; "
        "else paste the line in /etc/ssh/ssh_host_ed25519_key.pub",
        widget=forms.Textarea(attrs={"rows": 3, "class": "mono", "spellcheck": "false"}),
    )


class WhyForm(PlainForm):
    """One question to policy."""

    user = forms.CharField(label="User", max_length=64, required=False, widget=forms.TextInput(attrs=NAME))
    action = forms.ChoiceField(label="Wants to", choices=WHY_ACTIONS, required=False)
    resource = forms.CharField(
        label="App or server", max_length=200, required=False, help_text="its name", widget=forms.TextInput(attrs=NAME)
    )
    login = forms.CharField(
        label="Login", max_length=32, required=False, help_text="on a server", widget=forms.TextInput(attrs=NAME)
    )
    method = forms.CharField(
        label="Method", max_length=16, required=False, help_text="of an app; GET", widget=forms.TextInput(attrs=NAME)
    )
    path = forms.CharField(
        label="Path", max_length=2000, required=False, help_text="of an app; /", widget=forms.TextInput(attrs=NAME)
    )
    address = forms.CharField(label="From address", max_length=64, required=False, widget=forms.TextInput(attrs=NAME))
    at = forms.CharField(
        label="At",
        max_length=40,
        required=False,
        help_text="such as 2026-01-31 18:00 (UTC); now",
        widget=forms.TextInput(attrs=NAME),
    )

    def allow_action(self, action: str) -> None:
        """Let the form ask for an action of the policy that it does not offer, as denials of the console carry them."""
        if action in ACTIONS and action not in dict(WHY_ACTIONS):
            cast(forms.ChoiceField, self.fields["action"]).choices = [*WHY_ACTIONS, (action, action)]

    def clean_at(self) -> str:
        """A moment that can be read."""
        text: str = self.cleaned_data["at"]
        if text and moment_in(text) is None:
            raise forms.ValidationError("write a time such as 2026-01-31 18:00")
        return text
