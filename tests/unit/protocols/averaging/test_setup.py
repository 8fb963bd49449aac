"""All members end with one seed to which each contributed; whoever changes what is relayed is named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols.averaging import secure_sum, secure_sum_aggregator, setup
from protocols.averaging.cohorts import Terms
from protocols.averaging.setup import Identities, Joined, Joins, SeedPart, SeedParts
from protocols.channel import Tap
from protocols.cipher import Identity
from protocols.errors import RemoteProtocolError, TooFewMembers, TransportError
from protocols.local import run_local
from protocols.message import Message
from protocols.session import Roles, Session
from tests.harness import Recording, Sent
from tests.unit.protocols.averaging.world import JOB, names

FOUR = names(4)
TERMS = Terms(FOUR)
SECRETS = {n: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(n.encode()).digest()) for n in FOUR}
KNOWN = Identities(JOB, {n: key.public_key().public_bytes_raw() for n, key in SECRETS.items()})
Program = Callable[[Session], Any]


def programs(aggregator: Program, members: Program) -> dict[str, Program]:
    return {"trustee": aggregator, **dict.fromkeys(FOUR, members)}


def run(aggregator: Program, member: Program | None = None, **options: Any) -> dict[str, Any]:
    honest = member or (lambda s: setup.member(s, TERMS, KNOWN, SECRETS[s.me]))
    return run_local(Roles.averaging(FOUR, "trustee"), programs(aggregator, honest), Identity(), **options)


def honest(session: Session) -> Any:
    return setup.aggregator(session, TERMS, KNOWN)


def test_all_parties_share_one_setup_to_which_every_member_contributed() -> None:
    first, second = run(honest), run(honest)
    assert len({found.digest for found in (first["trustee"], *(first[n][0] for n in FOUR))}) == 1
    assert first["trustee"].seed != second["trustee"].seed
    assert sorted(first["trustee"].boxes) == list(FOUR)
    assert "contents not shown" in repr(first["m00"][1])


def test_members_have_no_channel_with_each_other() -> None:
    found = run(lambda s: None, lambda s: sorted(s.channels))
    assert found["m00"] == ["trustee"]


def relay(change: Callable[[list[Joins]], bytes], parts: Callable[[list[bytes]], bytes] = b"".join) -> Program:
    """An aggregator that changes what it relays."""

    def aggregator(session: Session) -> None:
        channels = [session.channels[n] for n in FOUR]
        joins = [c.recv(Joins) for c in channels]
        for channel in channels:
            channel.send(Joined(change(joins)))
        pieces = [c.recv(SeedPart).part for c in channels]
        for channel in channels:
            channel.send(SeedParts(parts(pieces)))

    return aggregator


def packed(joins: list[Joins]) -> bytes:
    return b"".join(j.commitment + j.box + j.signature for j in joins)


@pytest.mark.parametrize(
    ("aggregator", "match"),
    [
        (relay(lambda joins: packed([joins[0], joins[0], *joins[2:]])), "signature of m01"),
        (relay(lambda joins: packed(joins)[:-1]), "another length"),
        (relay(packed, lambda parts: b"".join([parts[0], bytes(32), *parts[2:]])), "m01 that does not fit its hash"),
        (relay(packed, lambda parts: b"".join(parts[:3])), "another length"),
    ],
)
def test_a_relay_that_changes_something_is_named(aggregator: Program, match: str) -> None:
    with pytest.raises(RemoteProtocolError, match=match) as raised:
        run(aggregator)
    assert raised.value.party == "trustee"


def test_own_part_replaced_by_one_that_fits_is_noticed() -> None:
    """By check_own: an aggregator that could sign as m00 still cannot replace m00's part unnoticed."""
    part, keys = setup.begin(lambda label: _seed(label), SECRETS["m00"])
    agreed = setup.Setup(b"", b"", {"m00": keys.box.public_key().public_bytes_raw()})
    setup.check_own(agreed, part, part, keys, TERMS, "m00", "trustee")
    with pytest.raises(RemoteProtocolError, match="another part"):
        setup.check_own(agreed, bytes(32), part, keys, TERMS, "m00", "trustee")
    with pytest.raises(RemoteProtocolError, match="another part"):
        setup.check_own(setup.Setup(b"", b"", {"m00": bytes(32)}), part, part, keys, TERMS, "m00", "trustee")


def _seed(label: str) -> Any:
    from protocols.randomness import Seed

    return Seed("m00", hashlib.sha256(label.encode()).digest())


def test_a_member_with_another_job_is_named_by_the_aggregator() -> None:
    other = Identities(b"another job", KNOWN.keys)
    with pytest.raises(RemoteProtocolError, match="signature of m02"):
        run(honest, lambda s: setup.member(s, TERMS, other if s.me == "m02" else KNOWN, SECRETS[s.me]))


def test_a_member_that_is_not_there_ends_the_setup() -> None:
    def absent(session: Session) -> Any:
        return None if session.me == "m03" else setup.member(session, TERMS, KNOWN, SECRETS[session.me])

    with pytest.raises(TransportError, match="sent nothing"):
        run(honest, absent, deadline=0.2)


# -- sums over channels


def member(session: Session, sums: int = 3) -> list[int]:
    agreed, keys = setup.member(session, TERMS, KNOWN, SECRETS[session.me])
    mine = np.full(2, FOUR.index(session.me) + 1, np.uint64)
    side = secure_sum.Member(
        session.me, "trustee", TERMS, agreed, KNOWN, keys, session.seed, lambda turn: mine, lambda: 2
    )
    heard: list[int] = []

    def opened(found: secure_sum.Sum) -> bool:
        heard.append(int(found.words[0]))
        return len(heard) < sums

    secure_sum.take_part(session, side, opened)
    return heard


def aggregator(session: Session, sums: int = 3) -> list[int]:
    side = secure_sum_aggregator.Aggregator("trustee", TERMS, setup.aggregator(session, TERMS, KNOWN), KNOWN)
    return [int(secure_sum_aggregator.add_up(session, side, 2, 20.0).words[0]) for _ in range(sums)]


def test_sums_over_channels() -> None:
    transcript: list[Sent] = []
    taps = {party: [Recording(party, transcript)] for party in ("trustee", *FOUR)}
    found = run(aggregator, member, taps=taps)
    assert {tuple(heard) for heard in found.values()} == {(10, 10, 10)}
    kinds: set[type[Message]] = {sent.kind for sent in transcript}
    assert {*secure_sum.ASKED, *secure_sum.ANSWERED, secure_sum.OpenedSum, Joins, Joined, SeedPart, SeedParts} == kinds


class Dies(Tap):
    """The party stops before it sends its second update."""

    def __init__(self) -> None:
        self.updates = 0

    def check(self, peer: str, kind: type[Message]) -> None:
        self.updates += kind is secure_sum.MaskedUpdate
        if self.updates == 2:
            raise TransportError("this member's power failed")


def test_a_member_that_dies_is_left_out_and_too_few_end_the_run() -> None:
    """Of four members three are the threshold: after one sum of four, three differ by one member only."""

    def watched(session: Session) -> Any:
        with pytest.raises(TooFewMembers, match="fewer than 3 members") as raised:
            aggregator(session)
        ended.append(raised.value)
        raise raised.value

    ended: list[TooFewMembers] = []
    with pytest.raises(TransportError, match=r"power failed|fewer than 3 members"):
        run(watched, member, taps={"m03": [Dies()]})
    assert len(ended) == 1
