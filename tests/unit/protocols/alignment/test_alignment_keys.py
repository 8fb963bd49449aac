"""Several keys tried in order, the size alone, lists that travel in chunks: against the same in plain Python, with
planted faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import alignment, tags
from protocols.alignment import Alignment, Ids, lists, ring
from protocols.alignment import ecdh as psi
from protocols.alignment.lists import Blinding
from protocols.alignment.outcome import Request
from protocols.cipher import Identity, Keyring
from protocols.errors import DataError, PeerAborted, RemoteProtocolError
from protocols.local import run_local
from protocols.randomness import Seed
from protocols.session import Roles, Session
from tests.harness import Recording, Sent

Row = tuple[bytes, ...]  # one id a key, empty where there is none
Tables = dict[str, list[Row]]


def keys_of(rows: list[Row], keys: int) -> tuple[Ids, ...]:
    return tuple(Ids.of([row[k] for row in rows]) for k in range(keys))


def run(
    tables: Tables, keys: int, least: int = 1, size_only: bool = False, transcript: list[Sent] | None = None
) -> dict[str, Alignment]:
    guest, *hosts = tables
    programs: dict[str, Any] = {
        p: (lambda s, own=rows: alignment.align(s, keys_of(own, keys), least, size_only=size_only))
        for p, rows in tables.items()
    }
    programs["arbiter"] = lambda s: alignment.serve(s, least, keys=keys, size_only=size_only)
    taps = None if transcript is None else {p: [Recording(p, transcript)] for p in programs}
    found = run_local(Roles(guest, tuple(hosts), "arbiter"), programs, Identity(), taps=taps)
    return {p: found[p] for p in tables}


def expected(tables: Tables, keys: int) -> list[tuple[int, tuple[int, ...]]]:
    """(key, each party's row) of every match: key by key, among rows that no earlier key matched."""
    left = [set(range(len(rows))) for rows in tables.values()]
    found = []
    for key in range(keys):
        at = [{rows[r][key]: r for r in free if rows[r][key]} for rows, free in zip(tables.values(), left, strict=True)]
        for value in set(at[0]).intersection(*at[1:]):
            found.append((key, tuple(rows[value] for rows in at)))
            for free, rows in zip(left, at, strict=True):
                free.discard(rows[value])
    return sorted(found)


def check(tables: Tables, keys: int, found: dict[str, Alignment]) -> None:
    parties = list(found.values())
    matches = sorted(
        zip(parties[0].keys.tolist(), zip(*(p.rows.tolist() for p in parties), strict=True), strict=True),
        key=lambda m: (m[0], m[1]),
    )
    assert matches == expected(tables, keys)
    for party in parties:
        assert party.by_key == tuple(sum(k == key for k, _ in matches) for key in range(keys))
        assert party.sizes == {p: len(rows) for p, rows in tables.items()}
        assert np.array_equal(party.keys, parties[0].keys)
    picked = [a.pick([i.take(a.rows) for i in keys_of(t, keys)]) for a, t in zip(parties, tables.values(), strict=True)]
    assert all(p == picked[0] for p in picked)
    assert all(picked[0].present)


@st.composite
def dirty(draw: st.DrawFn) -> tuple[Tables, int]:
    keys = draw(st.integers(1, 3))
    tables: Tables = {}
    for p in range(draw(st.integers(2, 3))):
        value = st.integers(0, 12).map(lambda i: b"v%d" % i)
        column = [draw(st.lists(value, unique=True, min_size=n, max_size=n)) for n in [draw(st.integers(1, 8))]]
        rows = len(column[0])
        columns = [column[0]] + [
            draw(st.lists(value, unique=True, min_size=rows, max_size=rows)) for _ in range(keys - 1)
        ]
        if keys > 1:
            columns = [[b"" if draw(st.integers(0, 3)) == 0 else v for v in c] for c in columns]
        tables[f"p{p}"] = [row for row in zip(*columns, strict=True) if any(row)] or [(b"v0",) * keys]
    return tables, keys


@settings(max_examples=60, deadline=None)
@given(dirty())
def test_keys_in_order_equal_the_same_in_plain_python(case: tuple[Tables, int]) -> None:
    tables, keys = case
    check(tables, keys, run(tables, keys, least=0))


@settings(max_examples=20, deadline=None)
@given(dirty(), st.integers(1, 3), st.integers(1, 3))
def test_lists_in_several_chunks_and_blocks(case: tuple[Tables, int], chunk: int, block: int) -> None:
    tables, keys = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "CHUNK", chunk)
        patch.setattr(lists, "BLOCK", block)
        check(tables, keys, run(tables, keys, least=0))


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(dirty(), st.integers(1, 5), st.integers(1, 3))
def test_thousands_of_tables(case: tuple[Tables, int], chunk: int, block: int) -> None:
    test_lists_in_several_chunks_and_blocks.hypothesis.inner_test(case, chunk, block)  # type: ignore[attr-defined]


def test_planted_wrong_match_is_found() -> None:
    tables: Tables = {"a": [(b"1", b"x"), (b"2", b"y")], "b": [(b"1", b"y"), (b"3", b"x")]}
    found = run(tables, 2)
    assert expected(tables, 2) == [(0, (0, 0))]
    check(tables, 2, found)
    moved = {p: Alignment(f.rows + 1, f.keys, f.sizes, f.by_key) for p, f in found.items()}
    with pytest.raises(AssertionError):
        check(tables, 2, moved)


def test_a_row_is_matched_once_and_the_first_key_goes_first() -> None:
    tables: Tables = {"a": [(b"1", b"x"), (b"2", b"y"), (b"", b"z")], "b": [(b"2", b"x"), (b"", b"y"), (b"9", b"z")]}
    found = run(tables, 2)
    check(tables, 2, found)
    assert found["a"].by_key == (1, 1)


@pytest.mark.parametrize("parties", [2, 3])
@pytest.mark.parametrize("kind", ["none", "all"])
def test_nothing_and_everything_in_common(parties: int, kind: str) -> None:
    rows = [(b"%d" % i, b"k%d" % i) for i in range(40)]
    other = rows if kind == "all" else [(b"o" + a, b"o" + b) for a, b in rows]
    tables: Tables = {"a": rows} | {f"h{i}": other[::-1] for i in range(parties - 1)}
    check(tables, 2, run(tables, 2, least=0))


@pytest.mark.parametrize("parties", [2, 3])
def test_the_minimum_holds_for_the_total(parties: int) -> None:
    rows: list[Row] = [(b"1", b""), (b"2", b""), (b"", b"x"), (b"", b"y")]
    tables: Tables = {"a": rows} | {f"h{i}": rows[:3] for i in range(parties - 1)}
    assert run(tables, 2, least=3)["a"].by_key == (2, 1)
    transcript: list[Sent] = []
    with pytest.raises(DataError, match="only 3 ids are"):
        run(tables, 2, least=4, transcript=transcript)
    assert not {s.kind.kind for s in transcript} & {"HostRows", "GuestRows", "CommonRows", "MatchedKeys"}


@pytest.mark.parametrize(("parties", "keys"), [(2, 1), (2, 2), (3, 1), (3, 2)])
def test_the_size_alone(parties: int, keys: int) -> None:
    rows: list[Row] = [(b"%d" % i, b"k%d" % i)[:keys] for i in range(30)]
    tables: Tables = {"a": rows} | {f"h{i}": rows[i + 10 :] for i in range(parties - 1)}
    transcript: list[Sent] = []
    found = run(tables, keys, least=1000, size_only=True, transcript=transcript)
    for party in found.values():
        assert (party.common, len(party.rows), len(party.keys)) == (22 - parties, 0, 0)
    names = {s.kind.kind for s in transcript}
    assert "SizeOnly" in names
    permits = {s.kind.permit for s in transcript} - {None}
    assert permits <= {"intersection-size-to-parties", "matched-keys-to-parties", "intersection-sizes-to-arbiter"}


# --- order tells nothing


def common_positions(tables: Tables, keys: int = 1) -> list[float]:
    """For a run that opens the size alone: where, from 0 to 1, the ids that are common stand in the lists that each
    side has seen of the other."""
    seen: dict[str, list[bytes]] = {}
    transcript: list[Sent] = []
    run(tables, keys, size_only=True, transcript=transcript)
    for sent in transcript:
        message = sent.message(Keyring())
        if isinstance(message, psi.SortedTags):
            seen["tags"] = [message.tags[i : i + 16] for i in range(0, len(message.tags), 16)]
        if isinstance(message, psi.BlindedIds):
            raw = message.points.to_bytes()
            seen[sent.sender] = [raw[i : i + 32] for i in range(0, len(raw), 32)]
    secret = SCALARS["b"]
    both = [psi.PointVec.receive(p, "b") * secret for p in seen["a"]]
    of_guest = [p.tag_bytes() for p in both]
    hidden = [psi.PointVec.receive(p, "b") * SCALARS["a"] for p in seen["b"]]
    common = set(of_guest) & {p.tag_bytes() for p in hidden}
    return [
        *(i / len(of_guest) for i, t in enumerate(of_guest) if t in common),
        *(i / len(seen["tags"]) for i, t in enumerate(seen["tags"]) if t in common),
        *(i / len(hidden) for i, p in enumerate(hidden) if p.tag_bytes() in common),
    ]


SCALARS: dict[str, bytes] = {}


@pytest.fixture
def scalars(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Seed.scalar

    def kept(self: Seed) -> bytes:
        SCALARS[self.maker] = honest(self)
        return SCALARS[self.maker]

    monkeypatch.setattr(Seed, "scalar", kept)


def sorted_by_a_secret() -> Tables:
    """Both tables list their common customers first: whoever sees the order would see who is common."""
    return {"a": [(b"%04d" % i,) for i in range(400)], "b": [(b"%04d" % i,) for i in [*range(200), *range(1000, 1200)]]}


@pytest.mark.usefixtures("scalars")
def test_in_size_only_mode_order_tells_nothing() -> None:
    """Were the orders those of the tables, all common ids would stand in the first half; here their mean place is 1/2
    within 5 deviations."""
    places = common_positions(sorted_by_a_secret())
    assert len(places) == 600
    for part in (places[:200], places[200:400], places[400:]):
        assert abs(np.mean(part) - 0.5) < 5 / np.sqrt(12 * 200)


@pytest.mark.usefixtures("scalars")
def test_planted_missing_shuffle_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seed, "sort_keys", lambda self, first, last: np.arange(first, last, dtype=np.uint64))
    places = common_positions(sorted_by_a_secret())
    assert np.mean(places[:200]) < 0.26
    assert np.mean(places[400:]) < 0.26


def test_a_table_sorted_by_a_secret_is_not_after_alignment() -> None:
    tables = {"a": [(b"%04d" % i,) for i in range(1000)]}
    tables["b"] = tables["a"]
    rows = run(tables, 1)["a"].rows
    assert abs(np.corrcoef(rows, np.arange(1000))[0, 1]) < 5 / np.sqrt(1000)


@pytest.mark.usefixtures("scalars")
def test_rows_without_an_id_look_like_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: Tables = {"a": [(b"1", b""), (b"", b"y")], "b": [(b"1", b""), (b"", b"y"), (b"7", b"")]}
    transcript: list[Sent] = []
    run(tables, 2, transcript=transcript)
    sizes = [len(s.message(Keyring()).points) for s in transcript if s.kind is psi.BlindedIds]  # type: ignore[attr-defined]
    assert sorted(sizes) == [2, 2, 3, 3]
    points = [s.message(Keyring()).points.to_bytes() for s in transcript if s.kind is psi.BlindedIds]  # type: ignore[attr-defined]
    pieces = [p[i : i + 32] for p in points for i in range(0, len(p), 32)]
    assert len(set(pieces)) == 10
    # planted: an empty text for each would be the same point twice, and common to both parties
    monkeypatch.setattr(lists, "filler", lambda secret, key, row: b"none")
    with pytest.raises((RemoteProtocolError, PeerAborted, AssertionError)):
        check(tables | {"b": [*tables["b"], (b"8", b"")]}, 2, run(tables | {"b": [*tables["b"], (b"8", b"")]}, 2))


# --- a peer that does not keep to the figure


def against_guest(host: Any, keys: int = 1, ids: list[bytes] | None = None) -> Any:
    own = tuple(Ids.of(ids or [b"a", b"b", b"c"]) for _ in range(keys))
    programs = {"guest": lambda s: alignment.align(s, own, 1), "host": host, "arbiter": lambda s: None}
    with pytest.raises(RemoteProtocolError) as caught:
        run_local(Roles("guest", ("host",), "arbiter"), programs, Identity())
    assert caught.value.party == "host"
    return caught


def forged(change: Any, ids: list[bytes] | None = None) -> Any:
    def role(session: Session) -> None:
        own = Blinding(session, (Ids.of(ids or [b"a", b"b"]),))
        found = psi.exchange(session, session.guest, own, 0, Request(1)).whole()
        for message in change(found[tags.order(found)]):
            session.guest.send(message)
        session.guest.recv(psi.IntersectionSize)

    return role


@pytest.mark.parametrize(
    "change",
    [
        lambda t: [psi.SortedTags(t[::-1].tobytes(), 0)],
        lambda t: [psi.SortedTags(t[[0, 0, 1]].tobytes(), 0)],
        lambda t: [psi.SortedTags(t[:2].tobytes(), 0)],
        lambda t: [psi.SortedTags(t.tobytes()[:-1], 0)],
        lambda t: [psi.SortedTags(t.tobytes(), -1)],
        lambda t: [psi.SortedTags(t.tobytes(), 1 << 40)],
        lambda t: [psi.SortedTags(t[:1].tobytes(), 2), psi.SortedTags(t[1:].tobytes(), 0)],
        lambda t: [psi.UnmatchedTags(t.tobytes(), 0)],
    ],
    ids=["order", "twice", "short", "cut", "negative", "endless", "count", "kind"],
)
def test_tags_that_are_not_what_was_asked_for(change: Any) -> None:
    against_guest(forged(change))


def test_an_id_twice_is_refused() -> None:
    against_guest(forged(lambda t: [psi.SortedTags(t.tobytes(), 0)], ids=[b"a", b"a"]))


def test_a_guest_that_counts_otherwise_than_it_marks() -> None:
    def guest(session: Session) -> None:
        (peer,) = session.hosts
        own = Blinding(session, (Ids.of([b"a"]),))
        psi.exchange(session, peer, own, 0, Request(1))
        peer.recv(psi.SortedTags)
        peer.send(psi.SizeOnly(np.array([5], np.int64)))

    programs = {
        "guest": guest,
        "host": lambda s: alignment.align(s, [b"a"], 1, size_only=True),
        "arbiter": lambda s: None,
    }
    with pytest.raises(RemoteProtocolError, match="announced another number"):
        run_local(Roles("guest", ("host",), "arbiter"), programs, Identity())


# --- tags


@given(st.lists(st.integers(0, 6), max_size=30), st.lists(st.integers(0, 6), max_size=30, unique=True), st.booleans())
def test_match_finds_what_both_hold(left: list[int], right: list[int], clash: bool) -> None:
    """clash: tags that share their first word."""

    def words(values: list[int]) -> tags.Tags:
        return np.array([(0, v) if clash else (v, 99 - v) for v in values], np.uint64).reshape(-1, 2)

    in_order = words(sorted(set(left)))
    assert tags.ascending(in_order)
    at_left, at_right = tags.match(in_order, words(right))
    assert [tuple(t) for t in in_order[at_left]] == sorted(
        tuple(t) for t in words(right) if tuple(t) in {tuple(x) for x in in_order}
    )
    assert np.array_equal(in_order[at_left], words(right)[at_right])
    assert np.array_equal(words(left)[tags.order(words(left))], words(sorted(left)))


def test_tags_that_share_too_many_first_words_are_no_tags() -> None:
    same = np.array([(5, i) for i in range(20)], np.uint64)
    assert tags.ascending(same[:8])
    assert not tags.ascending(same)
    assert not tags.ascending(np.array([(5, 1), (5, 1)], np.uint64))


def test_the_arbiter_sees_only_unmatched_rows_of_a_later_key() -> None:
    rows: list[Row] = [(b"%d" % i, b"k%d" % i) for i in range(10)]
    transcript: list[Sent] = []
    run({"a": rows, "b": rows, "c": rows[:6]}, 2, transcript=transcript)
    relayed = [len(s.message(Keyring()).points) for s in transcript if s.kind is ring.RelayedIds]  # type: ignore[attr-defined]
    assert sorted(relayed) == sorted([10, 10, 6] * 2 + [4, 4, 0] * 2)
