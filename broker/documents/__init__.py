"""Documents: the YAML administrators write. Pure: text in, checked frozen values out."""

from broker.documents.builtin import BUILTIN_ROLES
from broker.documents.connector_spec import ConnectorSpec, LdapSpec, OidcSpec, ScimSpec
from broker.documents.load import RawDocument, load_documents
from broker.documents.parse import KINDS, parse, parse_all, parse_mapping, parse_text, to_document
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
    "BUILTIN_ROLES",
    "KINDS",
    "AdminRule",
    "AppSpec",
    "BindingSpec",
    "ConnectorSpec",
    "GroupSpec",
    "HeaderRewrite",
    "LdapSpec",
    "OidcSpec",
    "Options",
    "RawDocument",
    "RoleSpec",
    "Rules",
    "ScimSpec",
    "ServerSpec",
    "Spec",
    "UpstreamTls",
    "UserSpec",
    "load_documents",
    "parse",
    "parse_all",
    "parse_mapping",
    "parse_text",
    "to_document",
]
