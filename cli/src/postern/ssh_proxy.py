"""ssh's ProxyCommand: see to a good certificate, connect to the server, hand the socket to ssh and be gone.

Run by ssh for every connection as `python -I -S -E ssh_proxy.py HOME SUFFIX LOGIN HOST` with `ProxyUseFdpass yes`. ssh
reads its CertificateFile only afterwards and then talks to the server itself: no byte of the session passes through
Python. While the certificate on disk is good for another minute there is no network but ssh's own connection, and
nothing is imported but a few C modules; `socket` alone would double the time, hence `_socket`.
"""

import _socket
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120 - pathlib is slow

from postern import certificate_cache, names
from postern.stop import Stop

CONNECT_TIMEOUT = 15.0


def main(arguments: list[str]) -> int:
    """Do all of it; the exit code tells ssh only good or bad, the line on stderr tells the person."""
    try:
        connect_for_ssh(*_checked(arguments))
    except Stop as stop:
        os.write(2, f"postern: {stop}\n".encode(errors="replace"))
        return stop.code
    return 0


def _checked(arguments: list[str]) -> tuple[str, str, str, str]:
    if len(arguments) != 4:
        raise Stop("usage: ssh_proxy.py HOME SUFFIX LOGIN HOST (ssh calls this; see: postern ssh-config)", 2)
    home, suffix, login, host = arguments
    try:
        names.checked_login(login)
        names.server_of(host, suffix)
    except ValueError as problem:
        raise Stop(str(problem), 2) from None
    return home, suffix, login, host


def connect_for_ssh(home: str, suffix: str, login: str, host: str) -> None:
    """Renew the certificate if need be, connect, and pass the socket to ssh over stdout."""
    path = certificate_cache.path_of(home, login, host)
    found = certificate_cache.read(path)
    if found is None or found.until - time.time() < certificate_cache.ENOUGH:
        import site

        site.main()  # what -S left out: to ask the broker is to sign, with `cryptography`
        from postern import renew

        found = renew.renewed(home, suffix, login, host, found)
    _hand_over(_connected(found.address, found.port))


def _connected(address: str, port: int) -> _socket.socket:
    problem: OSError = OSError("no address found")
    for family, kind, protocol, _, place in _places(address, port):
        connection = _socket.socket(family, kind, protocol)
        try:
            connection.settimeout(CONNECT_TIMEOUT)
            connection.connect(place)
            connection.settimeout(None)
            connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return connection
    raise Stop(f"cannot reach the server at {address} port {port}: {_words(problem)}")


def _places(address: str, port: int) -> list[tuple[int, int, int, str, tuple[str | int, ...]]]:
    hosts = names.LOOPBACK if names.is_loopback(address) and address.endswith("localhost") else (address,)
    found = []
    for host in hosts:
        try:
            found += _socket.getaddrinfo(host.encode(), port, 0, _socket.SOCK_STREAM)  # bytes: str loads IDNA
        except OSError as error:
            raise Stop(f"cannot find the server's address {address}: {_words(error)}") from None
    return found  # type: ignore[return-value]


def _hand_over(connection: _socket.socket) -> None:
    """Pass the socket as RFC-less UNIX custom has it: one byte, with the descriptor as ancillary data."""
    descriptor = connection.fileno().to_bytes(4, sys.byteorder)
    try:
        to_ssh = _socket.socket(fileno=1)
        to_ssh.sendmsg([b"\0"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptor)])
    except OSError:
        raise Stop("this is ssh's ProxyCommand and needs ProxyUseFdpass yes; see: postern ssh-config", 2) from None


def _words(error: OSError) -> str:
    return (error.strerror or str(error) or "timed out").lower()


if __name__ == "__main__":
    # Not sys.exit: ssh waits for this process, and taking Python apart takes as long as the work.
    os._exit(main(sys.argv[1:]))
