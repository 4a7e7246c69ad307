"""Runs `manage.py setup` in a process of its own, so that the supervisor stays small and loads no Django."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Any

from broker.environment import BASE_DIR
from broker.errors import PosternError
from broker.supervise.deathsig import with_parent


class SetupFailed(PosternError):
    """The set-up said itself why; nothing is left to add."""


async def run(command: str) -> dict[str, Any]:
    """What `manage.py COMMAND --json` answers. What it says to people goes straight to our standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(BASE_DIR / "manage.py"), command, "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=with_parent(),
    )
    try:
        answer, _ = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        raise
    if process.returncode:
        raise SetupFailed(f"manage.py {command} failed")
    result: dict[str, Any] = json.loads(answer)
    return result
