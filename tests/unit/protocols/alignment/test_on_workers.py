"""An alignment on workers: the same bytes as without any, and no id or secret in what goes to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from protocols import alignment, shuffle, tags
from protocols.alignment import Ids, IdsAway, away, lists, pieces, spread
from protocols.alignment.away import Range, There
from protocols.alignment.lists import Blinding
from protocols.alignment.spread import Spread
from protocols.cipher import Identity
from protocols.errors import ComputeError
from protocols.local import run_local
from protocols.randomness import Randomness, Seed
from protocols.ristretto import PointVec
from protocols.session import Roles, Session
from protocols.shuffle import Shuffle
from protocols.workers.calls import Answer, Job, State
from protocols.workers.cluster import Cluster
from protocols.workers.run import Caller, Inline
from protocols.workers.seal import Seal, Sealed
from protocols.workers.table import OPERATIONS
from tests.harness import Recording, Sent

SEAL = Seal(b"k" * 32, b"run")
Keys = tuple[list[bytes], ...]


class Watched(Inline):
    """Keeps what goes to workers, and kills one before each call of some number."""

    def __init__(self, count: int, every: int = 3) -> None:
        super().__init__(count, SEAL)
        self.went, self.jobs, self._calls, self._every = list[bytes](), list[Job](), 0, every

    def call(self, jobs: Sequence[Job]) -> list[Sealed]:
        self._calls += 1
        if self._calls % self._every == 0:
            self.replace(self._calls // self._every % self.count)
        self.jobs += jobs
        answers = super().call(jobs)
        self.went += [part for sealed in (*(job.arguments for job in jobs), *answers) for part in sealed]
        return answers


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "CHUNK", 8)
    monkeypatch.setattr(lists, "BLOCK", 3)
    monkeypatch.setattr(pieces, "LEAST_PIECE", 1)
    for module in (away, spread, lists):
        monkeypatch.setattr(module, "PIECE", 16)
    monkeypatch.setitem(OPERATIONS, "test ids", read)


def read(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Stands for what reads a table at a worker."""
    name, *keys = values
    state.put(name, tuple(Ids(keys[k], keys[k + 1]) for k in range(0, len(keys), 2)))
    return Answer()


def ranges(keys: Sequence[Ids], count: int) -> list[Range]:
    """The rows of a table in as many ranges, of unequal lengths."""
    rows = len(keys[0])
    edges = [rows * k * k // count**2 for k in range(count + 1)]
    return [
        Range(k, a, b, "test ids", tuple(part for ids in keys for part in (ids[a:b].data, ids[a:b].ends(slice(None)))))
        for k, (a, b) in enumerate(pairwise(edges))
    ]


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
    parties: int, workers: dict[str, Inline], keys: int = 2, *, there: bool = False
) -> tuple[list[tuple[str, str, bytes]], dict[str, alignment.Alignment]]:
    """keys: how many, of one the second; there: whether workers have read the ids."""
    ids = {party: own[-keys:] for party, own in tables(parties).items()}
    guest, *hosts = ids
    roles, sent = Roles(guest, tuple(hosts), "arbiter"), list[Sent]()

    def own(session: Session, me: str) -> object:
        session.cluster = Cluster(Caller(workers[me], SEAL)) if me in workers else None
        if me == "arbiter":
            return alignment.serve(session, 1, keys=keys)
        own = tuple(Ids.of(key) for key in ids[me])
        if not there or me not in workers:
            return alignment.align(session, own, 1)
        parts = tuple(ranges(own, workers[me].count))
        return alignment.align(session, tuple(IdsAway(parts, k, one.digest()) for k, one in enumerate(own)), 1)

    programs = {me: (lambda s, me=me: own(s, me)) for me in (*ids, "arbiter")}
    drawn = {me: Randomness(me, bytes([n]) * 32, b"") for n, me in enumerate(programs)}
    taps = {me: [Recording(me, sent)] for me in programs}
    found = run_local(roles, programs, Identity(), taps=taps, randomness=drawn)
    return sorted(((s.sender, s.receiver, s.data) for s in sent), key=lambda s: s[:2]), found


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("keys", [1, 2])
@pytest.mark.parametrize("parties", [2, 3])
def test_the_same_messages_and_rows_with_any_number_of_workers(parties: int, keys: int, there: bool) -> None:
    messages, rows = run(parties, {}, keys)
    assert 0 < len(rows["p0"].rows) < 60
    for count in (1, 2, 5):
        for who in ("p0", "p1", "arbiter"):
            found = run(parties, {who: Watched(count, 23)}, keys, there=there)
            assert found[0] == messages
            assert all(np.array_equal(found[1][p].rows, rows[p].rows) for p in tables(parties))
    everybody = {who: Watched(count, 23) for who, count in (("p0", 2), ("p1", 5), ("arbiter", 3))}
    assert run(parties, everybody, keys, there=there)[0] == messages
    assert all(one.jobs for who, one in everybody.items() if who != "arbiter")


def test_every_worker_has_a_part_also_where_there_are_more_than_chunks() -> None:
    workers = Watched(7, 50)
    run(2, {"p0": workers}, 1)
    for operation in ("blind", "tag", "tags match"):
        assert {job.worker for job in workers.jobs if job.operation == operation} == set(range(7))
    workers = Watched(3, 50)
    run(2, {"p0": workers}, 1, there=True)
    assert {job.worker for job in workers.jobs if job.operation == "ids blind"} == set(range(3))


def test_a_worker_that_is_lost_each_time_is_said() -> None:
    with pytest.raises(ComputeError, match="lost 5 times"):
        run(2, {"p0": Watched(2, 2)}, 1)


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


def blocks_of(found: tags.Tags) -> Iterator[tuple[tags.Tags, Any]]:
    for first in range(0, len(found), 50):
        yield found[first : first + 50], np.arange(first, min(first + 50, len(found)))


def some_tags(seed: int) -> tuple[tags.Tags, np.random.Generator]:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**64, (400, 2), dtype=np.uint64)
    words[:40, 0] = np.repeat(words[:20, 0], 2)  # a first word in two tags
    words[40:44, 0] = [0, 2**64 - 1, 2**63, 2**63 - 1]
    return words, rng


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_matching_by_ranges_is_matching(count: int) -> None:
    words, rng = some_tags(count)
    left = words[rng.permutation(400)[:300]]
    left, right = left[tags.order(left)], words[rng.permutation(400)[:300]]
    for mine, theirs in ((left, right), (left[:0], right), (left, right[:0])):
        at_mine, at_theirs = tags.match(mine, theirs)
        cluster = Cluster(Caller(Inline(count, SEAL), SEAL))
        found = Spread(cluster, partial(blocks_of, mine), partial(blocks_of, theirs)).matched()
        assert found is not None
        assert np.array_equal(found.rows, at_theirs)
        assert np.array_equal(lists.marks("peer", found.hits, len(mine)), at_mine)
    twice = np.concatenate([right, right[:1]])
    assert Spread(cluster, partial(blocks_of, words[tags.order(words)]), partial(blocks_of, twice)).matched() is None


@pytest.mark.parametrize("count", [1, 3, 8])
def test_sorting_by_ranges_is_sorting(count: int) -> None:
    words, rng = some_tags(count)
    order, spread_out = tags.order(words), Watched(count, 40)
    there = Spread(Cluster(Caller(spread_out, SEAL)), partial(blocks_of, words), sort=True)
    assert b"".join(there.exported(a, min(a + 37, 400)) for a in range(0, 400, 37)) == words[order].tobytes()
    hits = np.sort(rng.permutation(400)[:123])
    assert np.array_equal(there.places(lists.marked(hits, 400), 123), order[hits])
    del there
    held = spread_out._states[0]._held
    assert len(held) < 2  # of lists that nobody asks for any more


@pytest.mark.parametrize("count", [1, 2, 5])
def test_ids_at_workers_have_the_digest_and_the_repeats_of_ids(count: int) -> None:
    values = [b"" if i % 9 == 0 else b"id-%d" % (i % 50) for i in range(70)]
    for key, own in enumerate(keys := (Ids.of(values), Ids.of([b"%d" % i for i in range(70)]))):
        there = There(Cluster(Caller(Watched(count), SEAL)), ranges(keys, count))
        assert there.digest(key) == own.digest()
        calm = There(Cluster(Caller(Watched(count, 40), SEAL)), ranges(keys, count))
        assert np.array_equal(calm.repeats(key, b"s" * 32), np.flatnonzero(own.repeats()))
    assert keys[0].repeats().any()


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 1000])
def test_an_order_by_segments_is_the_permutation(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "SEGMENT", 16)
    monkeypatch.setattr(shuffle, "STEP", 64)
    whole, found = Seed("me", b"s" * 32).permutation(rows), Shuffle(Seed("me", b"s" * 32), rows)
    assert sorted(whole.tolist()) == list(range(rows))
    assert np.array_equal(found.between(0, rows), whole)
    assert np.array_equal(found.between(rows // 3, rows // 2), whole[rows // 3 : rows // 2])
    places = np.random.default_rng(0).permutation(rows)[: rows // 2].astype(np.int32)
    assert np.array_equal(found.take(places), whole[places])


def test_points_of_workers_are_those_that_they_stand_for() -> None:
    points = PointVec.hash_to_group([b"a", b"b", b"c"], b"test")
    own, scalar = PointVec.of_own(points.to_bytes()), Seed("me", b"s" * 32).scalar()
    assert len(own) == 3
    assert own.to_bytes() == points.to_bytes()
    assert (own * scalar).to_bytes() == (points * scalar).to_bytes()
    assert own.take(np.array([2, 0])).to_bytes() == points.take(np.array([2, 0])).to_bytes()
