"""The roles that exist from the first start. Neither opens a resource, and an administrator is not an auditor."""

from __future__ import annotations

from broker.documents.parse import parse_text
from broker.policy.role import RoleSpec

_YAML = """
kind: role
metadata:
  name: administrator
  description: may change everything, opens no resource and does not see the audit log
spec:
  allow:
    rules:
      - resources: [role, binding, user, group, app, server, lock, session, connector]
        verbs: ['*']
---
kind: role
metadata:
  name: auditor
  description: may see what happened, changes nothing and opens no resource
spec:
  allow:
    rules:
      - resources: [event, session, connector]
        verbs: [list, read]
"""

BUILTIN_ROLES: tuple[RoleSpec, ...] = tuple(
    spec for spec in parse_text(_YAML, "built-in roles") if isinstance(spec, RoleSpec)
)
