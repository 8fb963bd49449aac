"""Alignment equals a plain intersection, in one order for all, and refuses what is not in order."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import alignment, tags
from protocols.alignment import ecdh as psi
from protocols.alignment import lists
from protocols.alignment.lists import Blinding
from protocols.alignment.outcome import Request
from protocols.channel import Tap
from protocols.cipher import Identity, Keyring
from protocols.errors import DataError, InvalidPoint, PeerAborted, RemoteProtocolError
from protocols.ids import Ids
from protocols.local import run_local
from protocols.message import Message
from protocols.ristretto import PointVec
from protocols.session import Roles, Session
from tests.harness import Recording, Sent

Lists = dict[str, list[bytes]]


def run(
    ids: Lists, least: int = 1, taps: dict[str, list[Tap]] | None = None, *, or_none: bool = False
) -> dict[str, alignment.Alignment]:
    guest, *hosts = ids
    roles = Roles(guest, tuple(hosts), "arbiter")
    programs = {p: (lambda s, own=own: alignment.align(s, own, least, or_none=or_none)) for p, own in ids.items()}
    programs["arbiter"] = lambda s: alignment.serve(s, least, or_none=or_none)
    return run_local(roles, programs, Identity(), taps=taps)


def common(ids: Lists, found: dict[str, alignment.Alignment]) -> list[bytes]:
    """The aligned ids, after checking that all parties have the same in the same order."""
    found_ids = [[own[i] for i in found[p].rows] for p, own in ids.items()]
    assert all(aligned == found_ids[0] for aligned in found_ids)
    return found_ids[0]


id_lists = st.lists(st.integers(0, 40).map(lambda i: f"id-{i}".encode()), unique=True, min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(st.lists(id_lists, min_size=2, max_size=4))
def test_equals_the_plain_intersection(tables: list[list[bytes]]) -> None:
    ids = {f"p{i}": own for i, own in enumerate(tables)}
    expected = set(tables[0]).intersection(*tables[1:])
    if not expected:
        with pytest.raises(DataError, match="no id is common"):
            run(ids)
        return
    found = run(ids)
    assert sorted(common(ids, found)) == sorted(expected)
    for party in ids:
        assert found[party].sizes == {p: len(own) for p, own in ids.items()}


def test_the_order_depends_on_no_table_and_changes_between_runs() -> None:
    own = [f"{i:05d}".encode() for i in range(200)]
    ids = {"guest": own, "host": own}
    first, second = (common(ids, run(ids)) for _ in range(2))
    assert first != second
    assert first not in (own, own[::-1])
    rank = np.argsort([own.index(i) for i in first])
    assert abs(np.corrcoef(rank, np.arange(200))[0, 1]) < 0.3


@pytest.mark.parametrize("hosts", [1, 2])
def test_of_rows_to_be_scored_none_may_be_common(hosts: int) -> None:
    """None, or at least as many as the minimum; of one to one less, only the size travels."""
    host = {f"host{i}": [b"c", b"d", b"e"] for i in range(hosts)}
    assert all(len(one.rows) == 0 for one in run({"guest": [b"a"]} | host, 3, or_none=True).values() if one)
    assert len(run({"guest": [b"c", b"d", b"e"]} | host, 3, or_none=True)["guest"].rows) == 3
    for few, said in (([b"c", b"x"], "only 1 of the rows to be scored is known"), ([b"c", b"d"], "only 2 of the rows")):
        with pytest.raises(DataError, match=said) as caught:
            run({"guest": few} | host, 3, or_none=True)
        assert "predict.min_rows" in caught.value.remedy
    with pytest.raises(DataError, match="no id is common to all parties, and this job wants at least 1"):
        run({"guest": [b"a"]} | host, 1)  # of a training


@pytest.mark.parametrize("hosts", [1, 2])
def test_below_the_minimum_only_the_size_travels(hosts: int) -> None:
    ids = {"guest": [b"a", b"b", b"c"]} | {f"host{i}": [b"c", b"d"] for i in range(hosts)}
    transcript: list[Sent] = []
    taps = {p: [Recording(p, transcript)] for p in (*ids, "arbiter")}
    with pytest.raises(DataError, match="only 1 ids are"):
        run(ids, least=2, taps=taps)
    kinds = {sent.kind.kind for sent in transcript}
    assert kinds & {"IntersectionSize", "AgreedSize"}
    assert not kinds & {"HostRows", "GuestRows", "CommonRows", "PlacesAfter"}


def test_arbiter_hears_nothing_with_one_host_and_no_party_sees_two_lists_under_the_same_secrets() -> None:
    transcript: list[Sent] = []
    ids = {"guest": [b"a", b"b"], "host": [b"b", b"c"]}
    run(ids, taps={p: [Recording(p, transcript)] for p in ids})
    assert transcript
    assert all("arbiter" not in (s.sender, s.receiver) for s in transcript)

    transcript.clear()
    shared = [f"{i}".encode() for i in range(6)]
    parties = {"guest": shared, "h1": shared, "h2": shared, "h3": shared}
    run(parties, taps={p: [Recording(p, transcript)] for p in (*parties, "arbiter")})
    for (
        party
    ) in parties:  # the same customers in every list: equal points would be a list under the same set of secrets
        relayed = [frozenset(points(s)) for s in transcript if s.receiver == party and s.kind.kind == "RelayedIds"]
        assert len(relayed) == 3
        assert not any(a & b for i, a in enumerate(relayed) for b in relayed[i + 1 :])


def points(sent: Sent) -> list[bytes]:
    data = sent.message(Keyring()).points.to_bytes()  # type: ignore[attr-defined]
    return [data[i : i + 32] for i in range(0, len(data), 32)]


def forged_host(message: Message) -> object:
    """A host that follows the protocol up to step 6 and then sends `message`."""

    def role(session: Session) -> None:
        own = Blinding(session, (Ids.of([b"a", b"b"]),))
        found = psi.exchange(session, session.guest, own, 0, Request(1)).whole()
        session.guest.send(psi.SortedTags(found[tags.order(found)].tobytes(), 0))
        session.guest.recv(psi.IntersectionSize)
        session.guest.recv(psi.HostRows)
        session.guest.send(message)

    return role


@pytest.mark.parametrize("rows", [[0], [0, 0], [0, 7], [-1, 0]])
def test_row_positions_that_do_not_exist_are_refused(rows: list[int]) -> None:
    programs = {
        "guest": lambda s: alignment.align(s, [b"a", b"b"], 1),
        "host": forged_host(psi.GuestRows(np.array(rows, dtype=np.int32))),
        "arbiter": lambda s: None,
    }
    with pytest.raises(RemoteProtocolError) as caught:
        run_local(Roles("guest", ("host",), "arbiter"), programs, Identity())
    assert caught.value.party == "host"


@pytest.mark.parametrize("point", [bytes(32), b"\xff" * 32, (1).to_bytes(32, "little")])
def test_invalid_points_are_refused_before_anything_depends_on_them(point: bytes) -> None:
    transcript: list[Sent] = []

    def host(session: Session) -> None:
        session.guest.recv(psi.BlindedIds)
        session.guest.wire.send(msgspec.msgpack.encode(["BlindedIds", point, 0]))
        session.guest.recv(psi.HostRows)

    programs = {"guest": lambda s: alignment.align(s, [b"a"], 1), "host": host, "arbiter": lambda s: None}
    with pytest.raises(InvalidPoint) as caught:
        run_local(
            Roles("guest", ("host",), "arbiter"), programs, Identity(), taps={"guest": [Recording("guest", transcript)]}
        )
    assert caught.value.party == "host"
    assert [s.kind.kind for s in transcript] == ["BlindedIds"]


@pytest.mark.parametrize("kind", ["BlindedIds", "SortedTags"])
def test_a_chunk_larger_than_a_chunk_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ids that fit one chunk here, and a peer that puts the double into one message."""
    ids = [b"%d" % i for i in range(8)]

    def host(session: Session) -> None:
        twice = PointVec.hash_to_group([b"%d" % i for i in range(9)], b"d")
        session.guest.recv(psi.BlindedIds)
        if kind == "BlindedIds":
            session.guest.send(psi.BlindedIds(twice, 0))
        else:
            session.guest.send(psi.BlindedIds(twice.take(np.arange(8)), 0))
            session.guest.send(psi.SortedTags(bytes(16 * 4 * 8 + 16), 0))
        session.guest.recv(psi.HostRows)

    monkeypatch.setattr(lists, "CHUNK", 8)
    programs = {"guest": lambda s: alignment.align(s, ids, 1), "host": host, "arbiter": lambda s: None}
    with pytest.raises(RemoteProtocolError, match="larger than a chunk may be") as caught:
        run_local(Roles("guest", ("host",), "arbiter"), programs, Identity())
    assert caught.value.party == "host"


def test_an_error_says_in_which_step_it_came_up() -> None:
    def guest(session: Session) -> None:
        with session.phase("align"):
            raise DataError("no id is common", remedy="Check")

    with pytest.raises(DataError, match=r"no id is common \[step: align\]\. Check"):
        run_local(Roles("guest", ("host",), "arbiter"), {"guest": guest}, Identity())


def test_the_peer_hears_a_code_and_no_more() -> None:
    heard: list[PeerAborted] = []

    def host(session: Session) -> None:
        try:
            session.guest.recv(psi.BlindedIds)
        except PeerAborted as error:
            heard.append(error)
            raise

    def guest(session: Session) -> None:
        raise DataError("row 17 holds a secret")

    with pytest.raises(DataError):
        run_local(
            Roles("guest", ("host",), "arbiter"), {"guest": guest, "host": host, "arbiter": lambda s: None}, Identity()
        )
    assert heard[0].peer_code == "data"
    assert "17" not in str(heard[0])
