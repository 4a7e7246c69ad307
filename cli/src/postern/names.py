"""The names that reach a file name, a shell or a broker address: checked by charset, character by character.

Without `re`, since ssh's ProxyCommand imports this and must start fast.
"""

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")
DIGITS = frozenset("0123456789")
LOGIN = LETTERS | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ") | DIGITS | frozenset("_.-")
SERVER = LETTERS | DIGITS | frozenset(".-")
ADDRESS = LOGIN | frozenset(":%")

LOOPBACK = ("127.0.0.1", "::1")
DEFAULT_SUFFIX = "postern"


def is_login(text: str) -> bool:
    """Whether `text` may be an account on a server: 1 to 32 letters, digits, `_ . -`, not beginning with `.` or `-`."""
    return 0 < len(text) <= 32 and LOGIN.issuperset(text) and text[0] not in ".-"


def is_server(text: str) -> bool:
    """Whether `text` may name a server: 1 to 63 of a-z, digits, `.` and `-`, the two not at its ends."""
    return 0 < len(text) <= 63 and SERVER.issuperset(text) and text[0] not in ".-" and text[-1] not in ".-"


def is_address(text: str) -> bool:
    """Whether `text` looks like a host name or an IP address, so that it may stand in a file as one word."""
    return 0 < len(text) <= 253 and ADDRESS.issuperset(text) and text[0] not in ".-"


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by its very name: `localhost` or under it (RFC 6761), 127.0.0.0/8 or ::1."""
    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost") or host == "::1":
        return True
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isascii() and part.isdigit() for part in parts)


def server_of(host: str, suffix: str) -> str:
    """The server's name in the host name ssh was given (`db-1.postern` → `db-1`); raises `ValueError` in words."""
    server = host.removesuffix("." + suffix)
    if server == host or not is_server(server):
        raise ValueError(f"{host[:80]!r} is not a server's name: it must look like NAME.{suffix}, of a-z, 0-9, . and -")
    return server


def checked_login(login: str) -> str:
    """`login`, or a `ValueError` in words."""
    if not is_login(login):
        raise ValueError(
            f"{login[:80]!r} is not a login: it must be 1 to 32 letters, digits, _ . - and not begin with . or -"
        )
    return login
