"""Access certificates on disk, where ssh's CertificateFile looks for them: `certs/LOGIN@HOST-cert.pub`.

Until when one is good and where its server listens stand in the line's comment, which ssh ignores: one file, one
rename, so that the three can never disagree. Plain classes and no `pathlib`: ssh's ProxyCommand imports this and must
start fast.
"""

import os

MARK = "postern-until"
ENOUGH = 60
"""Seconds a certificate must still be good for, so that it does not end between here and the server."""


class Cached:
    """A certificate on disk: good `until` (Unix seconds), for the server at `address` and `port`."""

    __slots__ = ("address", "port", "until")

    def __init__(self, until: int, address: str, port: int) -> None:
        self.until = until
        self.address = address
        self.port = port


def path_of(home: str, login: str, host: str) -> str:
    """Where the certificate for `login` at `host` (as typed after ssh) lives; both must have been checked."""
    return f"{home}/certs/{login}@{host}-cert.pub"


def line(certificate: str, until: int, address: str, port: int) -> str:
    """The certificate file's text: `certificate` is `TYPE BASE64`, perhaps with a comment, which is replaced."""
    kind, blob = certificate.split()[:2]
    return f"{kind} {blob} {MARK} {until} {address} {port}\n"


def read(path: str) -> Cached | None:
    """What the file says, or None when there is no file or it is none of ours. Does not look at the time."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        words = os.read(descriptor, 65536).decode("ascii", "replace").split()
    finally:
        os.close(descriptor)
    if len(words) != 6 or words[2] != MARK or not (words[3].isdigit() and words[5].isdigit()):
        return None
    return Cached(int(words[3]), words[4], int(words[5]))
