"""One small cluster of each kind for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.promises.clusters.clusters import Cluster, started


@pytest.fixture(scope="package", params=["ray", "dask"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three workers."""
    with started(request.param, 3, tmp_path_factory.mktemp(request.param)) as found:
        yield found
