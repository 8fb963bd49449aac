"""What is dealt for a scoring by a network meets one value each: a guest that stops, and resumes with other rows, reads
no difference of activations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols import row_blocks
from protocols.channel import Tap
from protocols.cipher import key_offer
from protocols.errors import LocalProtocolError
from protocols.glm import attempts
from protocols.network import layers, scoring
from protocols.network.dealt import Dealt
from protocols.session import Roles, Session
from tests.promises.recovery import interrupted
from tests.promises.recovery.interrupted import Interrupted
from tests.unit.protocols.network.networks import TERMS
from tests.unit.protocols.network.test_scoring import PLAIN, Scorer

ROWS, RING = list(range(6)), 1 << 128
AFTER_SHARES = 7  # messages of the guest after its last share: TrainingStored, AllStored, NetworkScores, ScoresAdded
Numbers = list[list[int]]  # by attempt


class Attack:
    """opened: what the guest sees of activations less their pads; shares: what guest and arbiter have of them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.scorer, self.moved = Scorer(replace(TERMS, hidden=(3,))), 0.0
        self.opened: Numbers = []
        self.shares: dict[str, Numbers] = {"guest": [], "arbiter": []}
        honest, honest_look_up = Dealt.open, layers.look_up

        def open_(dealt: Dealt, channel: Any, **factors: Any) -> None:
            honest(dealt, channel, **factors)
            self.opened += [dealt.opened["A1"].to_ints()] if dealt.first else []

        def look_up(session: Session, *given: Any, **more: Any) -> Any:
            found = honest_look_up(session, *given, **more)
            self.shares[session.me].append(found[0].to_ints())
            return found

        patch.setattr(Dealt, "open", open_)
        patch.setattr(layers, "look_up", look_up)
        patch.setattr(interrupted, "Numbered", lambda *_: Tap())  # the guest's messages are others

    def program(self, session: Session) -> Any:
        one, me = self.scorer, session.me
        if me == "arbiter":
            key = PLAIN.generate(me, session.seed("key"))
            key_offer.offer(session, key)
            return scoring.arbiter(session, key, bytes(16), one.layers, one.held)
        key_offer.accept(session)
        x = one.blocks[0] + self.moved if me == "guest" else one.blocks[1]
        own = one.own(me, x[ROWS], [b"%d" % row for row in ROWS])
        return scoring.guest(session, own) if me == "guest" else scoring.host(session, own)

    @property
    def run(self) -> Interrupted:
        return Interrupted(
            Roles("guest", ("host1",), "arbiter"), dict.fromkeys(("guest", "host1", "arbiter"), self.program), PLAIN
        )

    def read(self) -> float:
        """The part of differences of activations that the guest reads."""
        run = self.run
        assert run.attempt() is not None
        late = run.killers["guest"].seen - AFTER_SHARES  # of the messages that tell of scores
        self.opened.clear()
        self.shares = {"guest": [], "arbiter": []}
        run.keepers.clear()
        assert run.attempt("guest", late) is None
        self.moved = 0.3
        assert run.attempt() is not None
        first, second = self.opened
        held = [
            [(a + b) % RING for a, b in zip(*both, strict=True)] for both in zip(*self.shares.values(), strict=True)
        ]
        same = [(b - a - d + c) % RING == 0 for a, b, c, d in zip(first, second, *held, strict=True)]
        assert held[0] != held[1]
        return sum(same) / len(same)


def test_a_guest_that_resumes_with_other_rows_reads_no_activation() -> None:
    with pytest.MonkeyPatch.context() as patch:
        assert Attack(patch).read() == 0


def test_planted_deals_that_serve_two_attempts_give_all_differences_away() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "begin", lambda *_: (b"", False))
        assert Attack(patch).read() == 1


class BreaksOff:
    """A guest that has its scores, stops before it says so, and comes back without a checkpoint and with other values
    of its own columns: the host counts one scoring."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.attack = Attack(patch)
        self.told = list[list[int]]()  # the opened scores of each attempt
        honest = row_blocks.receive_vector

        def receive(channel: Any, kind: Any, *given: Any) -> Any:
            found = honest(channel, kind, *given)
            self.told += [found.to_ints()] if kind is scoring.NetworkScores else []
            return found

        patch.setattr(row_blocks, "receive_vector", receive)
        self.run = self.attack.run
        self.expected = self.run.attempt()
        assert self.expected is not None
        self.run.keepers.clear()
        self.told.clear()
        assert self.run.attempt("guest", self.run.killers["guest"].seen) is None
        assert len(self.told) == 1

    def again(self) -> Any:
        self.run.keepers["guest"] = interrupted.MemoryKeeper()
        self.attack.moved += 0.3
        return self.run.attempt()


def test_a_guest_that_breaks_off_with_its_scores_gets_no_others() -> None:
    with pytest.MonkeyPatch.context() as patch:
        one = BreaksOff(patch)
        for _ in range(2):
            with pytest.raises(LocalProtocolError, match="training or scoring that had ended at all parties"):
                one.again()
        assert len(one.told) == 1


def test_control_a_scoring_of_which_nobody_stores_the_end_is_repeated() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "end", lambda *_: None)
        one = BreaksOff(patch)
        for _ in range(2):
            found = one.again()
            assert found is not None
            assert np.abs(found["guest"][0] - one.expected["guest"][0]).min() > 1e-3
            one.run.keepers["guest"].spent.clear()
            for keeper in one.run.keepers.values():
                keeper.checkpoints.clear()
        assert len(one.told) == 3


def test_a_guest_that_is_killed_when_it_has_its_scores_gets_the_same_ones() -> None:
    with pytest.MonkeyPatch.context() as patch:
        one = BreaksOff(patch)
        found = one.run.attempt()
        assert found is not None
        assert np.array_equal(found["guest"][0], one.expected["guest"][0])
