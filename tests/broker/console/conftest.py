"""What the tests of the console share."""

from __future__ import annotations

import pytest

from broker.services.authorities import ensure_authorities
from tests.broker.cast import Cast


@pytest.fixture
def cast(db: None) -> Cast:
    """Everybody, and what there is to open."""
    ensure_authorities()
    return Cast()
