"""What a scoring refuses: parts and shares that do not belong together, numbers out of range, keys that a guest relays
wrongly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols.cipher import key_offer
from protocols.errors import DataError, ModelError, RemoteProtocolError, VFLError
from protocols.glm import pair_masks, scoring, shares
from protocols.glm.plan import FEATURE
from protocols.glm.shares import NAME, WeightShares
from protocols.session import Session
from tests.harness import Sent
from tests.unit.protocols.glm.scoring_world import FIRST, MODEL, World


def wrong(world: World, error: type[VFLError], match: str, **changed: Any) -> VFLError:
    with pytest.raises(error, match=match) as caught:
        world.score(**changed)
    return caught.value


def test_parts_of_different_models_are_refused() -> None:
    def other(session: Session) -> Any:
        return scoring.guest(session, replace(World(shared="").part("guest"), model_id=b"x" * 16))

    found = wrong(World(shared=""), ModelError, "another model", guest=other)
    assert found.party == "h0"


def test_shares_of_different_copies_of_the_folders_are_refused_by_name() -> None:
    """The host's folder was put back from an old copy: nothing is scored, and the error says who, and what to do."""
    world = World()
    old = world.own["h0"]
    world.score()
    world.own["h0"] = old
    transcript: list[Sent] = []
    found = wrong(world, ModelError, "do not fit each other", transcript=transcript)
    assert found.party == "h0"
    assert "put the newest one back at h0 and at arbiter" in found.remedy
    assert not {scoring.Scores, scoring.ArbiterScores} & {s.kind for s in transcript}
    world.own["h0"] = WeightShares((FIRST, b"n" * NAME), np.stack([old.latest, old.latest]))
    world.held["h0"] = WeightShares(
        (b"p" * NAME, FIRST), np.stack([world.held["h0"].latest, world.w["h0"] - old.latest])
    )
    assert np.array_equal(world.score(), world.wanted)  # a run that was interrupted left several: one fits


@pytest.mark.parametrize("value", [1 << 35, -(1 << 35)])
def test_a_score_out_of_range_is_refused(value: int) -> None:
    world = World(shared="")
    world.x["h0"][0, 0] = value
    world.w["h0"][0, 0] = np.uint64(1 << 26)
    assert wrong(world, DataError, "beyond 2\\^20").party == "guest"


def test_a_value_that_masks_would_not_cover_is_refused() -> None:
    world = World()
    world.x["h0"][0, 0] = (128 << FEATURE) + 1
    assert wrong(world, DataError, "beyond 128").party == "h0"


@pytest.mark.parametrize(
    ("sent", "match"),
    [
        (shares.HeldShares(b"", bytes(32)), "impossible shares"),
        (shares.HeldShares(bytes(15), bytes(32)), "impossible shares"),
        (shares.HeldShares(FIRST * 65, bytes(32)), "impossible shares"),
        (shares.HeldShares(FIRST, bytes(31)), "impossible shares"),
    ],
)
def test_impossible_shares_are_refused(sent: shares.HeldShares, match: str) -> None:
    def host(session: Session) -> None:
        key_offer.accept(session)
        session.guest.recv(scoring.ScoringStart)
        session.arbiter.send(sent)
        session.arbiter.recv(shares.ChosenShare)

    assert wrong(World(), RemoteProtocolError, match, h0=host).party == "h0"


def test_an_arbiter_that_chooses_what_was_not_offered_is_refused() -> None:
    def arbiter(session: Session) -> None:
        key_offer.offer(session, session.scheme.generate("arbiter", session.seed("key")))
        session.guest.recv(scoring.ScoringStart)
        for channel in (session.guest, *session.hosts):
            channel.recv(shares.HeldShares)
            channel.send(shares.ChosenShare(b"q" * NAME))
        session.guest.recv(scoring.ScoresAdded)

    assert wrong(World(), RemoteProtocolError, "was not offered", arbiter=arbiter).party == "arbiter"


@pytest.mark.parametrize("relay", [b"", bytes(64), b"same" * 16])
def test_relayed_keys_that_are_not_the_hosts_own_are_refused(relay: bytes) -> None:
    def guest(session: Session) -> None:
        for channel in session.hosts:
            channel.send(scoring.ScoringStart(MODEL, 30))
            channel.recv(pair_masks.MaskKey)
            channel.send(pair_masks.MaskKeys(relay))
        for channel in session.hosts:
            channel.recv(scoring.Scores)

    wrong(World(2, shared=""), RemoteProtocolError, "relayed|not valid|length", guest=guest)
