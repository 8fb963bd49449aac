"""An alignment on workers: the same bytes as without any, and no id or secret in what goes to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from protocols import alignment, tags
from protocols.alignment import Ids, lists, pieces
from protocols.alignment.lists import Blinding
from protocols.alignment.pieces import Hands
from protocols.cipher import Identity
from protocols.local import run_local
from protocols.randomness import Randomness, Seed
from protocols.ristretto import PointVec
from protocols.session import Roles, Session
from protocols.workers.calls import Job
from protocols.workers.cluster import Cluster
from protocols.workers.run import Caller, Inline
from protocols.workers.seal import Seal, Sealed
from tests.harness import Recording, Sent

SEAL = Seal(b"k" * 32, b"run")
Keys = tuple[list[bytes], ...]


class Watched(Inline):
    """Keeps what goes to workers, and kills one before each third call."""

    def __init__(self, count: int) -> None:
        super().__init__(count, SEAL)
        self.went, self.jobs = list[bytes](), list[Job]()

    def call(self, jobs: Sequence[Job]) -> list[Sealed]:
        if len(self.jobs) % 3 == 2:
            self.replace(0)
        self.jobs += jobs
        answers = super().call(jobs)
        self.went += [part for sealed in (*(job.arguments for job in jobs), *answers) for part in sealed]
        return answers


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "CHUNK", 8)
    monkeypatch.setattr(lists, "BLOCK", 3)
    monkeypatch.setattr(pieces, "LEAST_PIECE", 1)


def tables(parties: int) -> dict[str, Keys]:
    """Two keys; some rows match by the second only, some have none of the first."""
    rng = np.random.default_rng(4)
    found = dict[str, Keys]()
    for number in range(parties):
        rows = rng.permutation(70)[:60]
        first = [b"" if i % 7 == 0 else b"canary-%d-%d" % (i, number if i % 5 == 0 else 9) for i in rows]
        found[f"p{number}"] = (first, [b"second-canary-%d" % i for i in rows])
    return found


def run(
    parties: int, workers: dict[str, Inline]
) -> tuple[list[tuple[str, str, bytes]], dict[str, alignment.Alignment]]:
    ids = tables(parties)
    guest, *hosts = ids
    roles, sent = Roles(guest, tuple(hosts), "arbiter"), list[Sent]()

    def own(session: Session, me: str) -> object:
        session.cluster = Cluster(Caller(workers[me], SEAL)) if me in workers else None
        if me == "arbiter":
            return alignment.serve(session, 1, keys=2)
        return alignment.align(session, tuple(Ids.of(key) for key in ids[me]), 1)

    programs = {me: (lambda s, me=me: own(s, me)) for me in (*ids, "arbiter")}
    drawn = {me: Randomness(me, bytes([n]) * 32, b"") for n, me in enumerate(programs)}
    taps = {me: [Recording(me, sent)] for me in programs}
    found = run_local(roles, programs, Identity(), taps=taps, randomness=drawn)
    return sorted(((s.sender, s.receiver, s.data) for s in sent), key=lambda s: s[:2]), found


@pytest.mark.parametrize("parties", [2, 3])
def test_the_same_messages_and_rows_with_any_number_of_workers(parties: int) -> None:
    messages, rows = run(parties, {})
    assert 0 < len(rows["p0"].rows) < 60
    for count in (1, 2, 3, 5):
        for who in ("p0", "p1", "arbiter"):
            found = run(parties, {who: Watched(count)})
            assert found[0] == messages
            assert all(np.array_equal(found[1][p].rows, rows[p].rows) for p in tables(parties))
    everybody = {who: Watched(count) for who, count in (("p0", 2), ("p1", 5), ("arbiter", 3))}
    assert run(parties, everybody)[0] == messages
    assert all(one.jobs for who, one in everybody.items() if parties == 3 or who != "arbiter")


def test_every_worker_has_a_part_also_where_there_are_more_than_chunks() -> None:
    workers = Watched(7)
    run(2, {"p0": workers})
    for operation in ("blind", "tag", "match"):
        assert {job.worker for job in workers.jobs if job.operation == operation} == set(range(7))


def test_nothing_that_goes_to_workers_holds_an_id_a_scalar_a_tag_or_a_point(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets, init = list[bytes](), Blinding.__init__

    def spied(self: Blinding, session: Session, keys: Sequence[Ids]) -> None:
        init(self, session, keys)
        secrets.extend(self.scalars)

    monkeypatch.setattr(Blinding, "__init__", spied)
    workers = Watched(2)
    run(2, {"p0": workers})
    bytes_there, points = b"".join(workers.went), PointVec.hash_to_group([b"canary-1-9"], lists.domain(0))
    assert len(secrets) == 4
    assert b"canary" not in bytes_there
    assert not any(secret in bytes_there for secret in secrets)
    tag = next(s for s in secrets[:1])
    assert all((points * a * b).tag_bytes() not in bytes_there for a in secrets for b in (tag, *secrets))
    assert all((points * a).to_bytes() not in bytes_there for a in secrets)

    monkeypatch.setattr("protocols.workers.seal.modes.GCM", lambda nonce, tag=None: Plain(tag))  # the positive control
    monkeypatch.setattr("protocols.workers.seal.Cipher", lambda algorithm, mode: mode)
    workers = Watched(2)
    run(2, {"p0": workers})
    bytes_there = b"".join(workers.went)
    assert b"canary" in bytes_there
    assert any(secret in bytes_there for secret in secrets)
    assert any((points * a).to_bytes() in bytes_there for a in secrets)


class Plain:
    """A seal that seals nothing."""

    def __init__(self, tag: bytes | None) -> None:
        self.tag = tag or bytes(16)

    def encryptor(self) -> Plain:
        return self

    decryptor = encryptor

    def authenticate_additional_data(self, data: bytes) -> None: ...

    def update(self, data: bytes) -> bytes:
        return bytes(data)

    def finalize(self) -> bytes:
        return b""


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_matching_by_ranges_is_matching(count: int) -> None:
    rng = np.random.default_rng(count)
    words = rng.integers(0, 2**64, (400, 2), dtype=np.uint64)
    words[:40, 0] = np.repeat(words[:20, 0], 2)  # a first word in two tags
    words[40:44, 0] = [0, 2**64 - 1, 2**63, 2**63 - 1]
    left = words[rng.permutation(400)[:300]]
    left, right = left[tags.order(left)], words[rng.permutation(400)[:300]]
    for mine, theirs in ((left, right), (left[:0], right), (left, right[:0])):
        expected = tags.match(mine, theirs)
        found = Hands(Caller(Inline(count, SEAL), SEAL)).match(mine, theirs)
        assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))


def test_points_of_workers_are_those_that_they_stand_for() -> None:
    points = PointVec.hash_to_group([b"a", b"b", b"c"], b"test")
    own, scalar = PointVec.of_own(points.to_bytes()), Seed("me", b"s" * 32).scalar()
    assert len(own) == 3
    assert own.to_bytes() == points.to_bytes()
    assert (own * scalar).to_bytes() == (points * scalar).to_bytes()
    assert own.take(np.array([2, 0])).to_bytes() == points.take(np.array([2, 0])).to_bytes()
