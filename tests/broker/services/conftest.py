"""What the services' tests share."""

from __future__ import annotations

import pytest

from tests.broker.cast import Cast


@pytest.fixture
def cast(db: None) -> Cast:
    """Everybody, and what there is to open."""
    return Cast()
