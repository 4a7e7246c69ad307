"""Opening the person's browser, where there is one to be seen."""

from __future__ import annotations

import contextlib
import os
import sys
import webbrowser


def open_page(address: str) -> bool:
    """Open `address`; false where only a browser in the terminal could do it, which would take the terminal away."""
    if sys.platform != "darwin" and not any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")):
        return False
    with contextlib.suppress(webbrowser.Error):
        return webbrowser.open(address)
    return False
