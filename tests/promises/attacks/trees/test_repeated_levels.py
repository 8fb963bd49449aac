"""A host of sealed trees that deviates, breaks off within a tree, and sends another share of its directions when the
run resumes: the guest's next number is under the same pad, and the difference is a pad of the level above.

With this pad the host has the gradient of every row, and so its label.  Ledgers refuse it: pads of trees are drawn
again from the run's seed, and what prevents a second value under one of them is that nobody may send another message
under an old number.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols import codec
from protocols._native import PlainVec
from protocols.boosting import sealed_host
from protocols.boosting.product import Level, ShareLessPad
from protocols.boosting.sealed import Blocks
from protocols.channel import Tap
from protocols.cipher import Identity, Keyring
from protocols.errors import RemoteProtocolError
from protocols.message import Message
from protocols.session import Session
from tests.promises.attacks.ledgers import Ledgers
from tests.promises.recovery import interrupted
from tests.promises.recovery.interrupted import Interrupted, Killed
from tests.unit.protocols.boosting.samples import small
from tests.unit.protocols.boosting.world import bin_blocks, roles_of, sealed_programs

ROWS, LIAR = 80, "host1"
Ints = NDArray[np.int64]


class Heard(Tap):
    """What the host receives of a tree's first levels; it breaks off at the second level's numbers."""

    def __init__(self) -> None:
        self.less_pad, self.blocks = list[PlainVec](), list[PlainVec]()

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        if kind not in (ShareLessPad, Blocks):
            return
        message: Any = codec.decode(data, kind, peer, Keyring())
        if kind is ShareLessPad:
            self.less_pad.append(message.x)
        else:
            self.blocks.append(message.xi)
            if len(self.blocks) == 2:  # of the root, and of its left child
                raise Killed


class Attack:
    """ledgers: where honest parties have theirs; None: they have none."""

    def __init__(self, ledgers: Ledgers | None, patch: pytest.MonkeyPatch) -> None:
        p, x = small(n_estimators=1, max_depth=2), np.random.default_rng(3).normal(size=(ROWS, 3))
        self.y = (x[:, 0] + np.random.default_rng(4).normal(size=ROWS) > 0).astype(np.float64)
        blocks = bin_blocks([np.ones((ROWS, 1)), x], p)
        self.heard, self.lies, self.order, self._ledgers = list[Heard](), False, np.zeros(0, np.int64), ledgers
        begun, send_bits = sealed_host.start_host, Level.send_bits

        def start_host(*given: Any) -> Any:
            columns, order, name = begun(*given)
            self.order = order[:]
            return columns, order, name

        def moved(level: Level, session: Session, party: str, difference: Any) -> None:
            send_bits(level, session, party, difference - np.uint64(self.lies and session.me == LIAR))

        patch.setattr(sealed_host, "start_host", start_host)
        patch.setattr(Level, "send_bits", moved)
        patch.setattr(interrupted, "Numbered", self.tap)
        roles = roles_of(1)
        self.run = Interrupted(roles, sealed_programs(roles, blocks, self.y, p), Identity())

    def tap(self, me: str, *_: Any) -> Tap:
        if me == LIAR:
            return self.heard[-1]
        return Tap() if self._ledgers is None else self._ledgers.tap(me)

    def attempt(self) -> None:
        self.heard.append(Heard())
        try:
            assert self.run.attempt() is None
        finally:
            if self._ledgers is not None:
                self._ledgers.close()

    def read(self) -> Ints:
        """(rows,) labels, from both attempts: x = (x - a) + a."""
        first, second = self.heard
        less = first.less_pad[0] + first.less_pad[1]
        pad = second.blocks[1] - first.blocks[1]  # the second share of directions is 1 more, so that a is added
        bits = small(n_estimators=1).bits(ROWS) + (ROWS + ROWS // 64 + 1).bit_length()
        gradients = (less + pad).residue(bits).to_i64()
        found = np.zeros(ROWS, np.int64)
        found[self.order] = gradients < 0
        return found


def test_a_host_that_sends_other_directions_in_a_second_attempt_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = Attack(Ledgers(tmp_path, LIAR), monkeypatch)
    attack.attempt()
    attack.lies = True
    with pytest.raises(RemoteProtocolError, match=r"host1 sent another message \d+ than before"):
        attack.attempt()
    assert [len(heard.blocks) for heard in attack.heard] == [2, 1]


def test_control_without_ledgers_it_reads_every_label(monkeypatch: pytest.MonkeyPatch) -> None:
    attack = Attack(None, monkeypatch)
    attack.attempt()
    attack.lies = True
    attack.attempt()
    assert np.array_equal(attack.read(), attack.y)


def test_a_host_that_breaks_off_and_sends_the_same_reads_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attack = Attack(Ledgers(tmp_path, LIAR), monkeypatch)
    for _ in range(2):
        attack.attempt()
    first, second = attack.heard
    assert first.blocks == second.blocks
