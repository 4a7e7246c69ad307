"""Documents: the YAML administrators write. Pure: text in, checked frozen values out."""

from broker.documents.spec import (
    AppSpec,
    BindingSpec,
    GroupSpec,
    HeaderRewrite,
    ServerSpec,
    Spec,
    UpstreamTls,
    UserSpec,
)
from broker.policy.role import AdminRule, Options, RoleSpec, Rules

__all__ = [
    "AdminRule",
    "AppSpec",
    "BindingSpec",
    "GroupSpec",
    "HeaderRewrite",
    "Options",
    "RoleSpec",
    "Rules",
    "ServerSpec",
    "Spec",
    "UpstreamTls",
    "UserSpec",
]
