"""A row's score is a function of model and row alone, in every bit, and equals that of the network in the clear."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from protocols.channel import Tap
from protocols.cipher import Identity, key_offer
from protocols.glm.block import fixed_point
from protocols.local import run_local
from protocols.network import scoring
from protocols.network.rows import Layers, Own, row_draws
from protocols.session import Roles, Session
from tests.unit.protocols.glm.test_glm import problem
from tests.unit.protocols.network.networks import TERMS, Floats, Started, run

PLAIN, BITS = Identity(512), 10


class Scorer:
    """A trained network, whose shares move on from scoring to scoring."""

    def __init__(self, terms: Any, widths: tuple[int, ...] = (2, 3)) -> None:
        self.blocks, y = problem(n=40, widths=widths)
        self.layers, self.hosts = Layers(terms.hidden, terms.activation), [f"host{k}" for k in range(1, len(widths))]
        with pytest.MonkeyPatch.context() as patch:
            started = Started(patch)
            found = run(self.blocks, y, terms, PLAIN, fixed=True)
        self.twin = started.twin(self.hosts)
        self.twin.train(np.concatenate(self.blocks, axis=1), y, started.order)  # type: ignore[arg-type]
        self.shares = {party: found[party].shares for party in ("guest", *self.hosts)}
        self.held = found["arbiter"].shares

    def own(self, party: str, x: Floats, names: list[bytes]) -> Own:
        fixed, guests = fixed_point(x, party == "guest"), party == "guest"
        drawn = row_draws(party.encode().ljust(32), bytes(16), names, fixed, self.layers)
        return Own(bytes(16), self.layers, fixed, self.shares[party], drawn, None if guests else BITS)

    def scores(self, blocks: list[Floats], rows: list[int], taps: dict[str, list[Tap]] | None = None) -> Floats:
        names = [b"%d" % row for row in rows]

        def arbiter(session: Session) -> Any:
            key = PLAIN.generate("arbiter", session.seed("key"))
            key_offer.offer(session, key)
            return scoring.arbiter(session, key, bytes(16), self.layers, self.held)

        def guest(session: Session) -> Any:
            key_offer.accept(session)
            return scoring.guest(session, self.own("guest", blocks[0][rows], names))

        def host(session: Session, k: int) -> Any:
            key_offer.accept(session)
            return scoring.host(session, self.own(session.me, blocks[k][rows], names))

        programs = {"guest": guest, "arbiter": arbiter}
        programs |= {h: partial(host, k=k) for k, h in enumerate(self.hosts, 1)}  # type: ignore[misc]
        found = run_local(Roles("guest", tuple(self.hosts), "arbiter"), programs, PLAIN, taps=taps)
        moved = {"guest": found["guest"][1], **{h: found[h] for h in self.hosts}}
        self.shares = {party: one.alone for party, one in moved.items()}
        self.held = {party: one.alone for party, one in found["arbiter"].items()}
        return np.asarray(found["guest"][0][:, 0])


@pytest.mark.parametrize("hidden", [(3,), (4, 3)])
def test_scores_of_the_network_in_the_clear_and_the_same_whenever(hidden: tuple[int, ...]) -> None:
    one = Scorer(replace(TERMS, hidden=hidden), (2, 2, 1) if len(hidden) > 1 else (2, 3))
    every = one.scores(one.blocks, list(range(40)))
    clear = one.twin.predictors(np.concatenate(one.blocks, axis=1))
    assert np.abs(every - clear).max() < len(one.hosts) * 0.5**11 + 1e-3
    assert np.abs(every - clear).max() > 0.5**13  # the hosts' errors
    again = one.scores(one.blocks, [7, 3, 30])
    assert np.array_equal(again, every[[7, 3, 30]])
    changed = [one.blocks[0] + 0.01, *one.blocks[1:]]
    moved = one.scores(changed, [7, 3, 30]) - again
    expected = one.twin.predictors(np.concatenate(changed, axis=1))[[7, 3, 30]] - clear[[7, 3, 30]]
    assert np.abs(moved - expected).max() < 2.5e-4  # the same error, whatever the guest's part
