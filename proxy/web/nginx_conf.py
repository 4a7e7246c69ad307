"""nginx's configuration: apps and settings in, text out. Same input, same text, so that a change can be seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from broker.documents import AppSpec
from proxy.web.nginx_pages import short_pages, sign_in
from proxy.web.nginx_text import block, quoted, quoted_path
from proxy.web.request_headers import upstream_headers
from proxy.web.upstream_address import Upstream, upstream_of, with_port

AUTHZ_TIMEOUT = "3s"
"""How long nginx waits for a decision before the answer is no."""


@dataclass(frozen=True, slots=True)
class Front:
    """What the configuration needs to know of the installation. Paths are absolute."""

    host: str
    netloc_port: str
    scheme: str
    listen: tuple[str, ...]
    run_dir: str
    static_dir: str
    access_log: str
    authz_sockets: tuple[str, ...]
    web_socket: str
    tunnel_socket: str
    ca_bundle: str
    certificate: str = ""
    certificate_key: str = ""
    trusted_proxies: tuple[str, ...] = ()
    user: str = ""
    http2_directive: bool = True

    def app_netloc(self, host: str) -> str:
        """An app's host as it stands in addresses."""
        return host + self.netloc_port


@dataclass(frozen=True, slots=True)
class Site:
    """One app to serve: where its upstream was found (`addresses`, may be none), and the file with its own CA."""

    id: str
    host: str
    spec: AppSpec
    addresses: tuple[str, ...] = ()
    ca_file: str = ""


def render(front: Front, sites: Iterable[Site]) -> str:
    """The whole configuration."""
    ordered = sorted(sites, key=lambda site: site.host)
    head = [
        "# made by Postern; changes are lost",
        *([f"user {front.user};"] if front.user else []),
        "daemon off;",
        "worker_processes auto;",
        "worker_shutdown_timeout 1h;",
        f"pid {quoted_path(front.run_dir + '/nginx.pid')};",
        "error_log stderr error;",
        "pcre_jit on;",
        block("events", "worker_connections 8192;", "multi_accept on;"),
    ]
    parts = [_http(front), *_maps(ordered), *_upstreams(front, ordered), _default(front), _broker(front)]
    parts += [_app(front, site) for site in ordered]
    return "\n".join([*head, block("http", "\n\n".join(parts))]) + "\n"


def _http(front: Front) -> str:
    log = (
        '{"at":"$time_iso8601","id":"$request_id","peer":"$remote_addr","host":"$host","method":"$request_method",'
        '"path":"$postern_logged_path","status":"$status","bytes":"$body_bytes_sent","seconds":"$request_time",'
        '"upstream_seconds":"$upstream_response_time","user":"$postern_user","access":"$postern_access"}'
    )
    lines = [
        "include mime.types;",
        "default_type application/octet-stream;",
        f"log_format postern escape=json '{log}';",
        f"access_log {quoted_path(front.access_log)} postern buffer=64k flush=1s;",
        *(f"{name}_temp_path tmp/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
        "server_tokens off;",
        "sendfile on;",
        "tcp_nopush on;",
        "keepalive_timeout 65s;",
        "keepalive_requests 100000;",
        "reset_timedout_connection on;",
        "client_header_timeout 15s;",
        "client_body_timeout 60s;",
        "send_timeout 60s;",
        "client_header_buffer_size 2k;",
        "large_client_header_buffers 4 16k;",
        "underscores_in_headers off;",
        "ignore_invalid_headers on;",
        "server_names_hash_bucket_size 256;",
        "map_hash_bucket_size 256;",
        "proxy_headers_hash_max_size 2048;",
        "proxy_headers_hash_bucket_size 128;",
        "variables_hash_max_size 16384;",
        "variables_hash_bucket_size 256;",
        "server_names_hash_max_size 16384;",
        "proxy_http_version 1.1;",
        "proxy_buffer_size 16k;",
        "proxy_buffers 8 32k;",
        "proxy_busy_buffers_size 64k;",
        "proxy_intercept_errors off;",
        "recursive_error_pages off;",
        "absolute_redirect off;",
    ]
    if front.certificate:
        lines += [
            f"ssl_certificate {quoted_path(front.certificate)};",
            f"ssl_certificate_key {quoted_path(front.certificate_key)};",
            "ssl_protocols TLSv1.2 TLSv1.3;",
            "ssl_session_cache shared:postern:10m;",
            "ssl_session_timeout 1h;",
            "ssl_session_tickets off;",
            *(["http2 on;"] if front.http2_directive else []),
        ]
    if front.trusted_proxies:
        lines += [f"set_real_ip_from {network};" for network in front.trusted_proxies]
        lines += ["real_ip_header X-Forwarded-For;", "real_ip_recursive on;"]
    return "\n".join(lines)


def _maps(sites: Sequence[Site]) -> Iterator[str]:
    yield block("geo $postern_dollar", 'default "$";')
    # Whatever asks to leave HTTP, or for a stream that does not end, goes to where it can be cut.
    yield block(
        'map "$http_upgrade|$http_accept" $postern_tunnelled',
        "default 1;",
        '"~^\\|.*text/event-stream" 1;',
        '"~^\\|" "";',
    )
    yield block("map $http_upgrade $postern_upgrade", 'default "";', "~*^websocket$ websocket;")
    yield block("map $http_upgrade $postern_connection", 'default "";', "~*^websocket$ upgrade;")
    # A browser says what it is doing; of whoever does not, the wish for HTML tells a navigation.
    yield block(
        'map "$http_sec_fetch_mode|$http_accept" $postern_wants',
        "default json;",
        '"~^navigate\\|" html;',
        '"~^\\|.*text/html" html;',
    )
    # A page comes from the web process, but not before nginx has read the request's body: it is asked for pages about
    # requests without one only, or a refused upload would be taken in whole.
    yield block(
        'map "$postern_wants|$request_method|$content_length|$http_transfer_encoding" $postern_short',
        "default -json;",
        '"~^html\\|(GET|HEAD)\\|0?\\|$" "";',
        '"~^html\\|" -html;',
    )
    # Credentials of ours are for us: they are recognised by their prefix, wherever in the value it stands.
    yield block("map $http_authorization $postern_authorization", "default $http_authorization;", '"~*ptn_" "";')
    yield block(
        "map $uri $postern_logged_path", "default $uri;", '"~^/invite/" /invite/…;', '"~*ptn_" "(holds a token)";'
    )
    yield block("map $uri $postern_static_cache", 'default "public, max-age=3600";', _HASHED)
    yield block("map $postern_tunnelled $postern_tunnel_app", 'default "";', "1 $postern_app;")
    yield block("map $postern_tunnelled $postern_tunnel_access", 'default "";', "1 $postern_access;")
    yield block("map $postern_tunnelled $postern_tunnel_peer", 'default "";', "1 $remote_addr;")
    yield block("map $postern_tunnelled $postern_tunnel_id", 'default "";', "1 $request_id;")
    for site in sites:
        if site.addresses:
            upstream = upstream_of(site.spec.uri)
            yield block(
                f"map $postern_tunnelled $postern_target_{_label(site)}",
                f'default "{upstream.scheme}://postern_app_{_label(site)}";',
                '1 "http://postern_tunnel";',
            )


_HASHED = '"~\\.[0-9a-f]{12}\\.[a-z0-9]+$" "public, max-age=31536000, immutable";'


def _upstreams(front: Front, sites: Sequence[Site]) -> Iterator[str]:
    authz = [f"server {quoted_path('unix:' + path)} max_fails=2 fail_timeout=5s;" for path in front.authz_sockets]
    yield block("upstream postern_authz", *authz, "keepalive 64;", "keepalive_requests 1000000;")
    web, tunnel = (quoted_path("unix:" + path) for path in (front.web_socket, front.tunnel_socket))
    yield block("upstream postern_web", f"server {web} max_fails=0;", "keepalive 16;")
    yield block("upstream postern_tunnel", f"server {tunnel} max_fails=0;")
    for site in sites:
        if site.addresses:
            port = upstream_of(site.spec.uri).port
            servers = [f"server {with_port(address, port)};" for address in site.addresses]
            yield block(f"upstream postern_app_{_label(site)}", *servers, "keepalive 64;", "keepalive_requests 100000;")


def _listen(front: Front, options: str = "") -> list[str]:
    tls = " ssl" if front.certificate else ""
    http2 = " http2" if front.certificate and not front.http2_directive else ""
    return [f"listen {address}{tls}{http2}{options};" for address in front.listen]


def _default(front: Front) -> str:
    """Whoever asks for a host we do not have gets nothing, least of all another app."""
    return block(
        "server", *_listen(front, " default_server"), 'server_name "";', "default_type text/plain;", _MISDIRECTED
    )


_MISDIRECTED = 'location / { return 421 "no such host here\\n"; }'


def _broker(front: Front) -> str:
    """The broker's own host: its pages, and the static files, which nginx serves itself."""
    return block(
        "server",
        *_listen(front),
        f"server_name {front.host};",
        "# the log and the tunnel's maps name them; where there is no app yet, nothing else does",
        'set $postern_user "";',
        'set $postern_access "";',
        'set $postern_app "";',
        "client_max_body_size 4m;",
        "proxy_connect_timeout 5s;",
        "proxy_read_timeout 60s;",
        block(
            "location /static/",
            f"alias {quoted_path(front.static_dir + '/')};",
            "access_log off;",
            "log_not_found off;",
            "add_header Cache-Control $postern_static_cache;",
            "add_header X-Content-Type-Options nosniff;",
        ),
        "# what nginx asks the web process for, on apps' hosts only",
        block("location /_postern/", "return 404;"),
        block(
            "location /",
            "proxy_pass http://postern_web;",
            *_set_headers(_web_headers(front)),
            "error_page 502 504 =503 @postern_starting;",
        ),
        block("location @postern_starting", "internal;", *_STARTING),
    )


_STARTING = (
    "default_type text/plain;",
    'add_header Cache-Control "no-store" always;',
    'add_header Retry-After "2" always;',
    'return 503 "Postern is starting or cannot answer right now; while it cannot decide, the answer is no.\\n'
    'Reload this page in a moment. Request id: $request_id\\n";',
)


def _web_headers(front: Front) -> Iterator[tuple[str, str]]:
    """What the web process hears on every way to it; it believes the ones that only nginx can have set."""
    yield "Host", front.host + front.netloc_port
    yield "Connection", ""
    yield "X-Real-Ip", "$remote_addr"
    yield "X-Forwarded-For", "$remote_addr"
    yield "X-Forwarded-Proto", front.scheme
    yield "X-Forwarded-Host", ""
    yield "X-Request-Id", "$request_id"
    for name in (
        *("App", "Wants", "Reasons", "Detail", "Status", "Method", "Target", "User"),
        *("Access", "Assertion", "Email", "Groups", "Cookie", "Location", "State"),
    ):
        yield f"X-Postern-{name}", ""


def _app(front: Front, site: Site) -> str:
    """An app's host: each request is asked about, then passed on; everything else is ours and named `postern`."""
    return block(
        "server",
        *_listen(front),
        f"server_name {site.host};",
        f"client_max_body_size {site.spec.max_body or 0};",
        _authz(site),
        _served(front, site) if site.addresses else _unresolved(),
        sign_in(),
        *(_page(front, site, name) for name in ("denied", "unavailable", "unreachable")),
        *short_pages(),
        *(_own(front, site, name) for name in ("callback", "sign-out")),
        block("location /.postern/", "return 404;"),
        block("location /_postern/", "return 404;"),
    )


def _authz(site: Site) -> str:
    """The question to the decision service: about the raw target, as it will go upstream."""
    asked = (
        ("Host", ""),
        ("Connection", ""),
        ("Content-Length", ""),
        ("X-App", site.id),
        ("X-Uri", site.spec.uri),
        ("X-Method", "$request_method"),
        ("X-Target", "$request_uri"),
        ("X-Peer", "$remote_addr"),
        ("X-Id", "$request_id"),
        ("X-Wants", "$postern_wants"),
        ("X-Upgrade", "$http_upgrade"),
        ("X-Origin", "$http_origin"),
        ("X-Cookie", "$http_cookie"),
        ("X-Auth", "$http_authorization"),
    )
    return block(
        "location = /_postern/authz",
        "internal;",
        "access_log off;",
        "proxy_pass http://postern_authz/;",
        "proxy_pass_request_headers off;",
        "proxy_pass_request_body off;",
        "proxy_connect_timeout 1s;",
        f"proxy_read_timeout {AUTHZ_TIMEOUT};",
        f"proxy_send_timeout {AUTHZ_TIMEOUT};",
        "proxy_next_upstream error timeout;",
        "proxy_next_upstream_tries 2;",
        "proxy_buffer_size 32k;",
        *_set_headers(asked),
    )


_ANSWERS = (
    *("user", "email", "groups", "assertion", "cookie", "access"),
    *("reasons", "detail", "location", "state", "problem", "text"),
)


def _asking() -> list[str]:
    return [
        "auth_request /_postern/authz;",
        *(f"auth_request_set $postern_{name} $upstream_http_x_postern_{name};" for name in _ANSWERS),
    ]


_ERRORS = (
    "error_page 401 = @postern_sign_in;",
    "error_page 403 /_postern/denied$postern_short;",
    "error_page 500 503 =503 /_postern/unavailable$postern_short;",
    "error_page 502 504 /_postern/unreachable;",
)


def _served(front: Front, site: Site) -> str:
    upstream = upstream_of(site.spec.uri)
    netloc = front.app_netloc(site.host)
    return block(
        "location /",
        *_asking(),
        *_ERRORS,
        f"set $postern_app {site.id};",
        f"proxy_pass $postern_target_{_label(site)};",
        *(_set_header(*header) for header in upstream_headers(site.spec, netloc, upstream.netloc, front.scheme)),
        *_STREAMING,
        *_redirects(front, site, upstream),
        *_ANSWER_HEADERS,
        *(_tls(front, site, upstream) if upstream.tls else []),
    )


def _unresolved() -> str:
    """The upstream's name has no address: whoever may open the app hears that it does not answer."""
    return block("location /", *_asking(), *_ERRORS, 'proxy_pass "http://unix:/nowhere:/";')


_STREAMING = (
    "proxy_request_buffering off;",
    "proxy_max_temp_file_size 0;",
    "proxy_connect_timeout 5s;",
    "proxy_send_timeout 300s;",
    "proxy_read_timeout 300s;",
    "proxy_socket_keepalive on;",
)

_ANSWER_HEADERS = (
    # An app commands neither this nginx nor what browsers keep for other hosts.
    "proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Charset;",
    "proxy_hide_header Clear-Site-Data;",
    "proxy_hide_header Alt-Svc;",
    # Cookies stay with the host that set them, and ours cannot be set: `__Host-` without Secure is refused by browsers.
    'proxy_cookie_domain ~. "";',
    "proxy_cookie_flags ~^__Host-postern nosecure;",
)


def _redirects(front: Front, site: Site, upstream: Upstream) -> Iterator[str]:
    """Redirects to the name the app has for itself lead to the name it has for people."""
    public = f"{front.scheme}://{front.app_netloc(site.host)}/"
    names = dict.fromkeys((upstream.netloc, f"{upstream.host}:{upstream.port}", upstream.host))
    for name in names:
        for scheme in ("http", "https"):
            yield f"proxy_redirect {quoted(f'{scheme}://{name}/')} {quoted(public)};"
    if front.scheme == "https":
        yield f"proxy_redirect {quoted('http://' + front.app_netloc(site.host) + '/')} {quoted(public)};"


def _tls(front: Front, site: Site, upstream: Upstream) -> Iterator[str]:
    yield "proxy_ssl_server_name on;"
    yield f"proxy_ssl_name {quoted(site.spec.tls.server_name or upstream.host)};"
    yield "proxy_ssl_protocols TLSv1.2 TLSv1.3;"
    yield "proxy_ssl_session_reuse on;"
    if site.spec.tls.verify:
        yield "proxy_ssl_verify on;"
        yield "proxy_ssl_verify_depth 5;"
        yield f"proxy_ssl_trusted_certificate {quoted_path(site.ca_file or front.ca_bundle)};"


def _page(front: Front, site: Site, name: str) -> str:
    """A page about a failure, made by the web process; nothing of the client's request goes there but its name."""
    said = {
        **dict(_web_headers(front)),
        "Content-Length": "",
        "Transfer-Encoding": "",
        "X-Postern-App": site.id,
        "X-Postern-Wants": "$postern_wants",
        "X-Postern-Reasons": "$postern_reasons",
        "X-Postern-Detail": "$postern_detail",
        "X-Postern-Status": "$status",
        "X-Postern-Method": "$request_method",
        "X-Postern-Target": "$request_uri",
        "X-Postern-User": "$postern_user",
        "X-Postern-Access": "$postern_access",
    }
    return block(
        f"location = /_postern/{name}",
        "internal;",
        f"proxy_pass http://postern_web/_postern/{name};",
        "proxy_pass_request_headers off;",
        "proxy_pass_request_body off;",
        *_set_headers(said.items()),
    )


def _own(front: Front, site: Site, name: str) -> str:
    """An address of ours on the app's host, answered by the web process."""
    said = {**dict(_web_headers(front)), "X-Postern-App": site.id, "X-Postern-Wants": "$postern_wants"}
    said |= {"Authorization": "", "X-Forwarded-User": "", "X-Forwarded-Email": "", "X-Forwarded-Groups": ""}
    return block(
        f"location = /.postern/{name}",
        "client_max_body_size 16k;",
        f"proxy_pass http://postern_web/_postern/{name}$is_args$args;",
        *_set_headers(said.items()),
    )


def _set_headers(headers: Iterable[tuple[str, str]]) -> list[str]:
    return [_set_header(name, value, False) for name, value in headers]


def _set_header(name: str, value: str, literal: bool) -> str:
    return f"proxy_set_header {quoted(name)} {quoted(value)};" if literal else f'proxy_set_header {name} "{value}";'


def _label(site: Site) -> str:
    return site.id.replace("-", "")
