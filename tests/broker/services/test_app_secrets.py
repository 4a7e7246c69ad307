"""Credentials that an app's document holds are the app's: the audit log, which others read, does not get them (A16)."""

from __future__ import annotations

import json

from broker.models import App, AuditEvent
from broker.services.apply import Source, apply
from broker.services.documents import delete_document
from tests.broker.cast import Cast

TEXT = """\
kind: app
metadata: {{name: wiki}}
spec: {{uri: 'http://wiki:80', headers: {{set: {{X-Api-Key: {key}}}}}}}
"""


def test_a_header_value_an_app_sets_is_in_no_event(cast: Cast) -> None:
    adam = cast.adam
    for key in ("hush-one", "hush-two"):
        apply(adam.origin, adam.subject, [Source("x.yaml", TEXT.format(key=key))])
        assert App.objects.get(name="wiki").document["spec"]["headers"]["set"]["X-Api-Key"] == key
    delete_document(adam.origin, adam.subject, "app", "wiki")
    rows = list(AuditEvent.objects.order_by("seq").values("name", "data", "search"))
    assert {"app.created", "app.updated", "app.deleted"} <= {row["name"] for row in rows}
    assert [row for row in rows if "hush-" in json.dumps(row)] == []
    changed = next(row["data"] for row in rows if row["name"] == "app.updated")
    before, after = (changed[when]["spec"]["headers"]["set"]["X-Api-Key"] for when in ("before", "after"))
    assert before.startswith("hidden ")
    assert before != after
