"""Ciphertexts at the workers of Ray and Dask: the suite that every cipher passes, and the bytes of no workers, also
where a worker dies."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator

import pytest

from protocols import parts
from protocols.cipher import DecryptionKey, Paillier
from protocols.cipher.sharded import Sharded
from protocols.workers.cluster import Cluster as Held
from tests.promises.clusters.clusters import Cluster
from tests.promises.conformance import test_ciphers as suite
from tests.unit.protocols.cipher import test_sharded as bytewise
from vfl.compute.opening import Pool, opened

TESTS: list[Callable[[DecryptionKey], None]] = [
    suite.test_what_is_fresh_and_to_whom,
    suite.test_a_factor_is_spent_once,
    suite.test_what_was_received_cannot_go_back,
    suite.test_opening_checks_the_promised_range,
    suite.test_only_the_whole_opening_gives_what_is_beyond_the_head_room,
]


@pytest.fixture(scope="module")
def pool(cluster: Cluster) -> Iterator[Pool]:
    with opened(cluster.compute(3)) as found:
        assert found is not None
        yield found


@pytest.fixture
def scheme(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Sharded:
    """On three workers, with leaves of two rows."""
    monkeypatch.setattr(parts, "LEAF", 2)
    return Sharded(512, Held(pool.caller(b"a run of tests")))


def test_it_passes_the_suite_of_every_cipher(scheme: Sharded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "KEYS", {"Sharded": scheme})
    monkeypatch.setattr(suite, "_made", {})
    suite.test_arithmetic_equals_integers()
    for test in TESTS:
        test(suite._made["Sharded"])


def test_every_operation_gives_the_bytes_of_no_workers_though_one_dies(pool: Pool, scheme: Sharded) -> None:
    alone, key = (one.generate("arbiter", bytewise.seed("key")) for one in (Paillier(512), scheme))
    for number, ((name, due), (_, found)) in enumerate(zip(bytewise.steps(alone), bytewise.steps(key), strict=True)):
        if number in (3, 9):  # between two operations, with all that it holds
            os.kill(json.loads(pool.engine.greet(b"nonce")[number % 3])["pid"], signal.SIGKILL)
        assert found.raw.to_bytes() == due.raw.to_bytes(), name
        assert key.open_whole(found) == alone.open_whole(due), name
