"""From a provider's back-channel logout to the last cut: 100 live WebSockets while others ask for pages all the time.

The clock starts before the logout token is posted and stops when that person's WebSocket is closed *and* their requests
are refused: the token's signature, the provider's keys, the database and the feed all lie between.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from bench._logout_seed import CONNECTOR
from bench._web_parts import Seeded, percentile
from bench.figure import Figure
from bench.revoke import BUSY, SOCKETS, busy, cut, websocket
from tests.accounts.oidc.provider import HostileProvider
from tests.real.echo import Echo
from tests.real.product import Product


def run() -> Iterable[Figure]:
    """p99 from the provider's POST to the cut."""
    with (
        tempfile.TemporaryDirectory(prefix="ptn") as scratch,
        Echo() as echo,
        HostileProvider() as op,
        Product(Path(scratch) / "data") as product,
    ):
        seeded = AtTheProvider(product, echo.uri, op)
        try:
            with contextlib.ExitStack() as stack:
                sockets = [stack.enter_context(websocket(seeded, number)) for number in range(SOCKETS)]
                stack.enter_context(busy(seeded))
                took = [cut(seeded, number, sockets[number]) for number in range(SOCKETS)]
        finally:
            seeded.close()
    yield Figure("logout", "p99_ms", percentile(took, 0.99), "ms", 500)
    yield Figure("logout", "median_ms", percentile(took, 0.5), "ms")


class AtTheProvider(Seeded):
    """People whose sessions end at the provider they came from."""

    def __init__(self, product: Product, uri: str, op: HostileProvider) -> None:
        super().__init__(product, uri, SOCKETS + BUSY, op.issuer, seed="bench._logout_seed")
        self._op = op
        self._http = product.http()

    def end(self, number: int) -> float:
        """The provider says that this person's session there is over; the time before it began to say so."""
        token = self._op.logout_token(sub=None, sid=f"session-{number}")
        began = time.time()
        answer = self._http.post(f"/oidc/{CONNECTOR}/backchannel-logout", data={"logout_token": token})
        assert answer.status_code == 200, answer.text
        return began
