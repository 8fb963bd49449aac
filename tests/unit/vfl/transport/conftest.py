"""Fixtures for the transport's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.vfl.transport.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world whose networks are all closed after the test."""
    made = World(tmp_path)
    yield made
    made.close()
