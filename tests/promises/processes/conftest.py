from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises.processes.institutions import Institutions, institutions


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[Institutions]:
    """Institutions in a fresh folder, not laid out yet; every process is ended afterwards."""
    with institutions(tmp_path) as made:
        yield made
