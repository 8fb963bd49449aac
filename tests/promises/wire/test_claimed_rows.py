"""A number of rows that a partner only claims, in a message of a few bytes, takes no memory before its rows come."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from protocols import parts
from protocols.boosting import keys, walk
from protocols.boosting.sealed_parts import ArbiterTrees, Shape
from protocols.channel import Channel, MemoryNetwork
from protocols.cipher import Identity, Keyring
from protocols.errors import PeerTimeout
from protocols.glm import attempts, loss_predictors, scoring
from protocols.glm.block import Share
from protocols.glm.shares import HeldShares, WeightShares
from protocols.message import Message
from protocols.network import scoring as network_scoring
from protocols.network.rows import Layers
from protocols.parts import Part
from protocols.randomness import Randomness
from protocols.session import Roles, Session

NAMES, NAME = ("guest", "host", "arbiter"), bytes(16)
FEW, BLOCK = 4 << 20, 64 << 20  # bytes: of hardly anything, and of one block of rows of trees
Role = Callable[[Session], object]
Says = dict[str, list[Message]]


def scored(program: Callable[..., object], *given: Any) -> Role:
    """An arbiter that holds shares of three weights of each data party."""

    def role(session: Session) -> object:
        held = {party: WeightShares.first(np.zeros((1, 3), np.uint64), NAME) for party in NAMES[:2]}
        return program(session, session.scheme.generate("arbiter", session.seed("key")), NAME, *given, held)

    return role


def of_loss(session: Session) -> object:
    key = session.scheme.generate("arbiter", session.seed("key"))
    shares = {party: Share.start(scoring.PlainVec.zeros(1)) for party in NAMES[:2]}
    return loss_predictors.arbiter(session, key, shares, (1, 1 << 40), None)


def walked(session: Session) -> object:
    one = np.zeros((1, 1), np.int64)
    trees = ArbiterTrees(NAME, 1, 10, Shape(1, one, one.copy()), np.zeros((1, 2), np.int64), bytes(32))
    return walk.arbiter(session, keys.agree(session), trees)


def shares() -> list[Message]:
    return [HeldShares(WeightShares.first(np.zeros((1, 3), np.uint64), NAME).names[0], bytes(32))]


def start(rows: int) -> Says:
    return {"guest": [scoring.ScoringStart(NAME, rows), *shares()], "host": shares()}


LAYERS = Layers((2,), "tanh")
CASES: dict[str, tuple[Role, Callable[[int], Says], int, int]] = {  # what it claims, and the limit
    "scores of a regression": (scored(scoring.arbiter), start, (1 << 40) - 1, FEW),
    "scores of a network": (scored(network_scoring.arbiter, LAYERS), start, (1 << 40) - 1, FEW),
    "scores of sealed trees": (walked, lambda rows: {"guest": [walk.SealedName(NAME, rows, 1)]}, 1 << 32, BLOCK),
    "a loss": (of_loss, lambda rows: {"guest": [loss_predictors.LossRows(rows)]}, 1 << 40, FEW),
}


def taken(role: Role, says: Says) -> int:
    """Bytes that an arbiter takes at most, up to where it waits for the rows."""
    network, ring = MemoryNetwork(NAMES), Keyring()
    wires = {name: {p: Channel(w, ring, (), 0.05) for p, w in network.wires(name).items()} for name in NAMES}
    for sender, messages in says.items():
        for message in messages:
            wires[sender]["arbiter"].send(message)
    drawn = Randomness("arbiter", bytes(32), b"")
    session = Session("arbiter", Roles("guest", ("host",), "arbiter"), wires["arbiter"], drawn, ring, Identity())
    tracemalloc.start()
    try:
        with pytest.raises(PeerTimeout):
            role(session)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(autouse=True)
def attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "begin", lambda *_: (NAME, False))


@pytest.mark.parametrize("case", CASES)
def test_rows_that_are_only_claimed_take_no_memory(case: str) -> None:
    role, says, most, limit = CASES[case]
    assert taken(role, says(most)) < limit


@pytest.mark.parametrize("case", CASES)
def test_planted_fault_blocks_that_are_made_before_their_rows_come(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With as few rows as the fault needs to be found."""
    honest = walk.blocks

    def whole(length: int, wide: int = 1) -> Sequence[Part]:
        return list(parts.Parts(length, 64 // wide))

    for module in (scoring, network_scoring.products, loss_predictors):
        monkeypatch.setattr(module, "parts", whole)
    monkeypatch.setattr(walk, "blocks", lambda *given: list(honest(*given)))
    role, says, _, limit = CASES[case]
    assert taken(role, says(limit // 2)) > limit
