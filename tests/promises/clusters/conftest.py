"""One small cluster of each kind for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises.clusters.clusters import Cluster, started
from vfl.compute.engine import PLACE_SECONDS

HERE, STARTS = Path(__file__).parent, 2 * PLACE_SECONDS + 60


@pytest.fixture(scope="package", params=["ray", "dask"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three workers."""
    with started(request.param, 3, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here are for `make test-clusters`, and wait longer than an engine does for its workers.  A cluster of
    Ray takes seconds to start: unless slow tests are asked for, it serves only what concerns Ray alone, and Dask the
    rest."""
    for item in (item for item in items if HERE in item.path.parents):
        item.add_marker(pytest.mark.cluster)
        item.add_marker(pytest.mark.timeout(STARTS))  # of less weight than what a test says itself
        if item.path.name in ("test_ciphers.py", "test_engines.py") and "ray" in item.name.rpartition("[")[2]:
            item.add_marker(pytest.mark.slow)
