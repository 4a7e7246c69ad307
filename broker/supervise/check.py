"""`python -m broker.supervise.check`: exit code 0 while `/readyz` answers through nginx, for containers to ask."""

from __future__ import annotations

import asyncio
import sys

from broker.environment import load
from broker.errors import PosternError
from broker.supervise.output import fail
from broker.supervise.ready import front_door

if __name__ == "__main__":
    try:
        sys.exit(0 if asyncio.run(front_door(load())()) else fail("/readyz does not answer"))
    except PosternError as error:
        sys.exit(fail(error.message, error.hint))
