"""An arbiter that deviates in the verdicts of a network's early stopping: it lets a host's first weight differ in every
second epoch, and says that each epoch is better, so that each loss is compared with the one before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import CipherVec
from protocols.glm import losses
from protocols.network import first_layer, stopping
from protocols.network.descent import Descent, Share
from protocols.network.plan import FINE
from protocols.session import Session
from tests.unit.protocols.network.test_stopping import STOPS, Trained

SHIFT = 0.5  # of the weight
GUESTS = 2  # columns


class Thief:
    def __init__(self, patch: pytest.MonkeyPatch, *, plain: bool) -> None:
        self.opened = list[int]()
        patch.setattr(stopping, "arbiter", self.arbiter)
        if plain:
            patch.setattr(stopping, "blinded", unblinded)
        self.world = Trained(STOPS)

    def arbiter(self, session: Session, key: Any, plan: Any, descent: Descent, pads: Any, _: bytes) -> None:
        watch, own = stopping.watched(descent), dict(descent.shares)
        if watch.made % 2 == 0:
            size = len(own["host1"].weights)
            added = [round(SHIFT * 2**FINE), *([0] * (size - 1))]
            own["host1"] = Share(own["host1"].weights + PlainVec.from_ints(added), own["host1"].momenta)
        first = {party: own[party] for party in session.roles.data_parties}
        z = first_layer.forward_arbiter(session, plan, pads, first)
        z = stopping.last_sums(session, plan, z, descent.shares)
        held, _ = stopping.loss_of(plan.terms).arbiter(session, z, weighted=False)
        session.guest.send(stopping.HeldOutLoss(key.encrypt(held, session.seed("l", held.to_bytes()))))
        if watch.made > 1:
            value = session.guest.recv(stopping.EpochSign).value
            self.opened += key.open(value, key.public.plain_bits).to_ints()
        session.guest.send(stopping.BetterEpoch(True))
        best = watch.judge(better=True)
        broadcast([session.channels[party] for party in session.roles.data_parties], stopping.EpochVerdict(best))
        if best:
            descent.go_back(best)

    @property
    def true(self) -> list[float]:
        """By how much the loss is lower than in the epoch before, less the tolerance."""
        one, found = self.world, list[float]()
        twin = one.started.twin(one.hosts)
        for epoch in range(STOPS.epochs):
            twin.train_epoch(one.x, one.y, one.started.order, epoch)  # type: ignore[arg-type]
            added = round(SHIFT * 2**FINE) * (epoch % 2)
            twin.first.values[0, GUESTS] += added
            found.append(one.loss(twin))
            twin.first.values[0, GUESTS] -= added
        return list(-np.diff(found) - 1e-3)

    @property
    def read(self) -> list[float]:
        """What it opened, as if it were that."""
        return [value / (2**losses.UNIT * len(self.world.known)) for value in self.opened]


def unblinded(session: Session, total: CipherVec, *_: Any) -> CipherVec:
    """The planted fault: the difference itself is opened."""
    return total


def test_it_reads_nothing_from_the_numbers_that_it_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    thief = Thief(monkeypatch, plain=False)
    sizes = [abs(found).bit_length() for found in thief.opened]
    assert len(sizes) == STOPS.epochs - 1
    assert min(map(abs, thief.read)) > 2.0**100
    assert np.ptp(sizes) > 50  # the size is that of the factor
    assert [value >= 0 for value in thief.opened] == [
        value >= 0 for value in thief.true
    ]  # and the sign is what it asked


def test_control_without_factors_it_reads_how_the_loss_depends_on_a_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    thief = Thief(monkeypatch, plain=True)
    assert np.abs(np.array(thief.read) - thief.true).max() < 2e-4 < np.abs(thief.true).max() / 10
