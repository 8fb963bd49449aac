"""The arbiter and one data party of three or four put their views of an alignment together: which of that party's rows
does each other party hold?

They compare the lists that the arbiter saw under the same secrets, the party's own stripped off, and take a place in
the party's list for the row that it put there.  Control: the same attack where the other parties keep the order in
which a list reaches them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from protocols import alignment
from protocols.alignment import lists, ring, ring_arbiter
from protocols.alignment.ecdh import BlindedIds
from protocols.alignment.lists import DOMAIN, Blinding
from protocols.alignment.orders import Orders
from protocols.cipher import Identity, Keyring
from protocols.errors import RemoteProtocolError
from protocols.ids import Ids
from protocols.local import run_local
from protocols.ristretto import PointVec
from protocols.session import Roles, Session
from tests.harness import Recording, Sent

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
Tables = dict[str, list[bytes]]
THREE: Tables = {
    "bank": [b"c%d" % i for i in range(300)],
    "telecom": [b"c%d" % i for i in range(200, 400)],
    "shop": [b"c%d" % i for i in (*range(100, 250), *range(350, 380))],
}
FOUR = THREE | {"insurer": [b"c%d" % i for i in range(0, 400, 2)]}


def run(tables: Tables, roles: Sequence[str], taps: dict[str, Any] | None = None, arbiter: Any = None) -> None:
    programs: dict[str, Any] = {p: (lambda s, own=own: alignment.align(s, own, 1)) for p, own in tables.items()}
    programs["trustee"] = arbiter or (lambda s: alignment.serve(s, 1))
    run_local(Roles(roles[0], tuple(roles[1:]), "trustee"), programs, Identity(), taps=taps)


class View:
    """What the arbiter saw, stage by stage, and the secrets of the parties, of which the attack takes one party's."""

    def __init__(self, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ring, self.secrets = list(tables), dict[str, Blinding]()
        honest, transcript = Blinding.__init__, list[Sent]()

        def kept(blinding: Blinding, session: Session, keys: Sequence[Ids]) -> None:
            honest(blinding, session, keys)
            self.secrets[session.me] = blinding

        with monkeypatch.context() as patch:
            patch.setattr(Blinding, "__init__", kept)
            run(tables, self.ring, taps={p: [Recording(p, transcript)] for p in (*tables, "trustee")})
        self.stages: dict[str, list[PointVec]] = {p: [self._points(transcript, p, BlindedIds)] for p in self.ring}
        for t in range(1, len(self.ring)):
            for i, owner in enumerate(self.ring):
                sender = self.ring[(i + t) % len(self.ring)]
                self.stages[owner].append(self._points(transcript, sender, ring.ReblindedIds))

    def _points(self, transcript: list[Sent], sender: str, kind: Any) -> PointVec:
        """The list that `sender` sent first and that was not taken yet: a single chunk."""
        place = next(
            i
            for i, sent in enumerate(transcript)
            if sent.sender == sender and sent.kind is kind and sent.receiver == "trustee"
        )
        return transcript.pop(place).message(Keyring()).points  # type: ignore[attr-defined,no-any-return]

    def guesses(self, traitor: str) -> dict[tuple[str, int], list[int]]:
        """(other party, stage): the traitor's rows that the coalition takes for that party's."""
        secret = self.secrets[traitor]
        scalar = int.from_bytes(secret.scalars[0], "little")
        inverse = pow(scalar, -1, GROUP_ORDER).to_bytes(32, "little")
        at, last, found = self.ring.index(traitor), len(self.ring) - 1, dict[tuple[str, int], list[int]]()
        for other in self.ring:
            if other != traitor:
                found[other, last] = self._matched(secret, self.stages[traitor][last], self.stages[other][last])
        for t in range(
            1,
            last + 1,
            # the traitor's list after t others, its own secret off, is under those t: so is the next party's after t -
            # 1
        ):
            follower = self.ring[(at + 1) % len(self.ring)]
            found[follower, -t] = self._matched(secret, self.stages[traitor][t] * inverse, self.stages[follower][t - 1])
        return found

    @staticmethod
    def _matched(secret: Blinding, own: PointVec, other: PointVec) -> list[int]:
        tags, theirs = own.tag_bytes(), other.tag_bytes()
        held = {theirs[i : i + 16] for i in range(0, len(theirs), 16)}
        return [
            int(secret.shuffle.take(np.array([i // 16]))[0])
            for i in range(0, len(tags), 16)
            if tags[i : i + 16] in held
        ]


def beyond_chance(tables: Tables, traitor: str, other: str, guess: list[int]) -> float:
    """How many standard deviations more rows are guessed right than as many random rows would be."""
    rows, held = tables[traitor], set(tables[other])
    n, truth = len(rows), {i for i, value in enumerate(rows) if value in held}
    assert len(guess) == len(truth)  # that many: declared
    share = len(truth) / n
    deviation = np.sqrt(len(guess) * share * (1 - share) * (n - len(guess)) / (n - 1))
    return float((len(truth & set(guess)) - len(guess) * share) / deviation)


@pytest.mark.parametrize("tables", [THREE, FOUR], ids=["three", "four"])
def test_arbiter_and_a_party_learn_sizes_and_no_rows(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    view = View(tables, monkeypatch)
    found = {(traitor, *key): guess for traitor in tables for key, guess in view.guesses(traitor).items()}
    assert len(found) == len(tables) * 2 * (len(tables) - 1)
    assert all(abs(beyond_chance(tables, traitor, other, guess)) < 5 for (traitor, other, _), guess in found.items())


@pytest.mark.parametrize("tables", [THREE, FOUR], ids=["three", "four"])
def test_planted_fault_without_the_others_orders_all_rows_are_known(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Orders, "_order", lambda self, number, length: np.arange(length))
    view = View(tables, monkeypatch)
    for traitor, rows in tables.items():
        for (other, _), guess in view.guesses(traitor).items():
            assert {rows[i] for i in guess} == set(rows) & set(tables[other])


@pytest.mark.slow
def test_the_same_with_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    tables = {p: [b"c%d" % i for i in rng.choice(20_000, 12_000, replace=False)] for p in ("bank", "telecom", "shop")}
    view = View(tables, monkeypatch)
    for traitor in tables:
        assert all(
            abs(beyond_chance(tables, traitor, other, guess)) < 5 for (other, _), guess in view.guesses(traitor).items()
        )


def test_a_permutation_that_a_single_party_keeps_is_not_enough_for_that_party(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other party's order counts: with one of them left, the final list still tells nothing."""
    honest = Orders._order
    monkeypatch.setattr(
        Orders,
        "_order",
        lambda self, n, length: honest(self, n, length) if self._seed.maker == "telecom" else np.arange(length),
    )
    guess = View(THREE, monkeypatch).guesses("shop")
    assert abs(beyond_chance(THREE, "shop", "bank", guess["bank", 2])) < 5


# -- an arbiter that deviates


def deviating(change: Any) -> Any:
    """An arbiter that sends `change(message)` for each message."""

    def role(session: Session) -> None:
        for channel in session.channels.values():
            honest = channel.send
            channel.send = lambda message, honest=honest: honest(change(message))  # type: ignore[method-assign]
        alignment.serve(session, 1)

    return role


def refused(change: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The arbiter's own checks are off."""
    monkeypatch.setattr(ring_arbiter, "check_lengths", lambda *args, **options: None)
    with pytest.raises(RemoteProtocolError) as caught:
        run(THREE, list(THREE), arbiter=deviating(change))
    assert caught.value.party == "trustee"
    return str(caught.value)


def test_guesses_beyond_the_owners_size_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of another party's list the arbiter relays hashes of guesses: each would be tested against the
    receiver's ids."""
    guesses = PointVec.hash_to_group([b"c%d" % i for i in range(301)], DOMAIN)

    def change(message: Any) -> Any:
        return ring.RelayedIds(guesses, 0) if isinstance(message, ring.RelayedIds) else message

    assert "more ids than their owner has" in refused(change, monkeypatch)


def test_planted_fault_without_the_sizes_the_guesses_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: 1,000 telephone numbers against the telecom's list, as an arbiter that deviates could once test
    2^34."""
    monkeypatch.setattr(ring.Passing, "__init__", unlimited(ring.Passing.__init__))
    ids = {"bank": [b"x"], "telecom": [b"07700900%03d" % i for i in (7, 77, 123, 500, 999)], "shop": [b"y"]}
    stolen: list[bytes] = []

    def evil(session: Session) -> None:
        channel = session.channels["telecom"]
        own = channel.recv(BlindedIds).points
        guesses = [b"07700900%03d" % i for i in range(1000)]
        channel.send(ring.RelayedIds(PointVec.hash_to_group(guesses, DOMAIN), 0))
        answers = channel.recv(ring.ReblindedIds).points.tag_bytes()
        mine = own.tag_bytes()
        held = {mine[i : i + 16] for i in range(0, len(mine), 16)}
        stolen.append(b"%d" % sum(answers[i : i + 16] in held for i in range(0, len(answers), 16)))
        raise SystemExit

    with pytest.raises((SystemExit, RemoteProtocolError)):
        run(ids, list(ids), arbiter=evil)
    assert stolen == [b"5"]


def unlimited(honest: Any) -> Any:
    def init(self: Any, arbiter: Any, own: Any, key: int, orders: Any, sizes: Any) -> None:
        honest(self, arbiter, own, key, orders, [1 << 40] * len(sizes))

    return init


@pytest.mark.parametrize(
    ("pick", "says"),
    [
        (lambda places: places[:-1], "more places of one list than of another|announced other numbers"),
        (lambda places: np.arange(len(places) + 1, dtype=np.int32), "more places of one list|announced other numbers"),
        (lambda places: np.zeros_like(places), "row positions that do not exist"),
        (lambda places: places + np.int32(500), "row positions that do not exist"),
    ],
    ids=["fewer", "more", "twice", "beyond"],
)
def test_places_that_are_not_what_was_announced_are_refused(
    pick: Any, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(message: Any) -> Any:
        return ring.PlacesAfter(pick(message.places)) if isinstance(message, ring.PlacesAfter) else message

    monkeypatch.setattr(ring_arbiter, "check_rows", lambda *args: None)
    assert re.search(says, refused(change, monkeypatch))


def test_sizes_that_the_guest_changes_are_refused() -> None:
    def guest(session: Session) -> None:
        for host in session.hosts:
            host.recv(ring.ListSize)
        for host in session.hosts:
            host.send(ring.ListSizes(np.array([300, 7, 7], np.int64)))

    programs = {p: (lambda s, own=own: alignment.align(s, own, 1)) for p, own in THREE.items()}
    with pytest.raises(RemoteProtocolError, match="impossible sizes") as caught:
        run_local(
            Roles("bank", ("telecom", "shop"), "trustee"),
            programs | {"bank": guest, "trustee": lambda s: None},
            Identity(),
        )
    assert caught.value.party == "bank"


# -- chunks


def test_of_lists_of_several_chunks_the_coalition_learns_how_many_of_each_chunk_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Declared: docs/protocols/alignment.md.  No chunk is short, whatever the length of the list."""
    monkeypatch.setattr(lists, "CHUNK", 64)
    found: list[list[int]] = []
    honest = Orders.add

    def kept(self: Orders, lengths: list[int]) -> None:
        found.append(lengths)
        honest(self, lengths)

    monkeypatch.setattr(Orders, "add", kept)
    run(THREE, list(THREE))
    assert {sum(lengths) for lengths in found} == {300, 200, 180}
    assert min(min(lengths) for lengths in found) >= 32
