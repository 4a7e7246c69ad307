"""Which request headers reach an app: what clients may not say is cleared, what we say is set, the rest passes."""

from __future__ import annotations

from collections.abc import Iterator

from broker.documents import AppSpec

# What some application somewhere takes as proof of who asks, or as another address, path or method than the one decided
# on. A client's copy never passes. (nginx drops names with `_` by itself; `Expect`, `TE`, `Keep-Alive` too.)
NEVER_FROM_CLIENTS = (
    *("Forwarded", "X-Forwarded", "X-Forwarded-By", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Forwarded-Method"),
    *("X-Forwarded-Path", "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-Protocol"),
    *("X-Forwarded-Client-Cert", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Forwarded-Roles"),
    *("X-Forwarded-Name", "X-Forwarded-Id-Token", "X-Forwarded-Login", "X-Forwarded-Group", "Front-End-Https"),
    *("X-Original-Url", "X-Original-Uri", "X-Original-Method", "X-Original-Host", "X-Original-Forwarded-For"),
    *("X-Rewrite-Url", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Script-Name", "X-Host"),
    *("X-Http-Path-Override", "X-Url-Scheme", "X-Proxyuser-Ip", "X-Client-Ip", "Client-Ip", "X-Cluster-Client-Ip"),
    *("True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "X-Remote-Addr", "X-Remote-Ip", "X-Originating-Ip"),
    *("Remote-User", "X-Remote-User", "Remote-Email", "Remote-Groups", "Remote-Name", "X-Webauth-User"),
    *("X-Webauth-Email", "X-Webauth-Groups", "X-Webauth-Name", "X-Auth-Request-User", "X-Auth-Request-Email"),
    *("X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username", "X-Auth-Request-Access-Token"),
    *("X-Authenticated-User", "X-Authenticated-Groups", "X-User", "X-Authentik-Username", "X-Authentik-Email"),
    *("X-Assertion", "X-Assert-User", "X-Assert-Email", "X-Assert-Groups", "X-Jwt-Assertion"),
    *("Cf-Access-Jwt-Assertion", "Cf-Access-Authenticated-User-Email", "X-Pomerium-Jwt-Assertion"),
    *("X-Pomerium-Claim-Email", "X-Pomerium-Claim-Groups", "X-Goog-Iap-Jwt-Assertion"),
    *("X-Goog-Authenticated-User-Email", "X-Goog-Authenticated-User-Id", "X-Amzn-Oidc-Data"),
    *("X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Accesstoken", "Teleport-Jwt-Assertion", "X-Vouch-User"),
    *("X-Ssl-Client-Cert", "X-Ssl-Client-Verify", "X-Ssl-Client-S-Dn", "X-Client-Cert", "Ssl-Client-Cert"),
    *("X-Envoy-Original-Path", "X-Envoy-Original-Url", "X-Envoy-Original-Host", "X-Envoy-Internal"),
    *("X-Envoy-External-Address", "X-Envoy-Expected-Rq-Timeout-Ms", "X-Envoy-Upstream-Rq-Timeout-Ms"),
    *("X-Envoy-Decorator-Operation", "X-Envoy-Retry-On", "X-Envoy-Max-Retries", "X-Envoy-Peer-Metadata"),
    *("Proxy", "Proxy-Authorization", "Proxy-Connection", "X-Accel-Redirect", "X-Sendfile-Type"),
    *("X-Accel-Mapping", "X-Postern-Access", "X-Postern-App", "X-Postern-Peer", "X-Postern-Reasons"),
    *("X-Postern-Wants", "X-Postern-Cookie", "X-Postern-Location", "Http2-Settings"),
)  # fmt: skip

IDENTITY = (
    ("X-Forwarded-User", "$postern_user"),
    ("X-Forwarded-Email", "$postern_email"),
    ("X-Forwarded-Groups", "$postern_groups"),
    ("X-Postern-Assertion", "$postern_assertion"),
)
"""What the decision says about who asks. Empty on a public path: then nothing is sent, whatever the client said."""


Header = tuple[str, str, bool]


def upstream_headers(app: AppSpec, app_netloc: str, upstream_netloc: str, scheme: str) -> Iterator[Header]:
    """(name, value, literal) for each header that nginx sets; an empty value means the header is not sent.

    `literal` values are an administrator's words; the others name nginx's variables.
    """
    own = dict(_ours(app, app_netloc, upstream_netloc, scheme))
    taken = {name.lower() for name in own}
    for name in NEVER_FROM_CLIENTS:
        if name.lower() not in taken and name.lower() not in _named(app):
            yield name, "", False
    for name in app.headers.remove:
        if name.lower() not in taken:
            yield name, "", False
    for name, value in app.headers.set.items():
        if name.lower() not in taken:
            yield name, value, True
    for name, value in own.items():
        yield name, value, False


def _named(app: AppSpec) -> set[str]:
    return {name.lower() for name in (*app.headers.set, *app.headers.remove)}


def _ours(app: AppSpec, app_netloc: str, upstream_netloc: str, scheme: str) -> Iterator[tuple[str, str]]:
    yield "Host", {"upstream": upstream_netloc, "public": app_netloc}.get(app.host, app.host)
    yield "X-Forwarded-For", "$remote_addr"
    yield "X-Real-Ip", "$remote_addr"
    yield "X-Forwarded-Proto", scheme
    yield "X-Forwarded-Host", app_netloc
    port = app_netloc.partition(":")[2]
    yield "X-Forwarded-Port", port or {"http": "80", "https": "443"}[scheme]
    yield "X-Request-Id", "$request_id"
    yield "Cookie", "$postern_cookie"
    yield "Authorization", "$postern_authorization"
    # Read by the decision; a second copy must not reach the app with another value.
    yield "Origin", "$http_origin"
    yield "Upgrade", "$postern_upgrade"
    yield "Connection", "$postern_connection"
    yield from IDENTITY
    # For the tunnel alone, which takes them off again; empty on the way to an app.
    yield "X-Postern-Tunnel-App", "$postern_tunnel_app"
    yield "X-Postern-Tunnel-Access", "$postern_tunnel_access"
    yield "X-Postern-Tunnel-Peer", "$postern_tunnel_peer"
    yield "X-Postern-Tunnel-Id", "$postern_tunnel_id"
