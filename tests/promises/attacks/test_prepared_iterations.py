"""What each party, and the two that hold most, make of prepared iterations: every number is uniform to its receiver,
and each attack finds what it looks for where one pad is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from protocols._native import PlainVec
from protocols.cipher import CipherVec
from protocols.glm import preparation, prepared
from protocols.glm.chunks import layouts
from protocols.glm.links import LOGISTIC_LINKS, Link
from protocols.glm.plan import Penalty, rows_log2
from protocols.glm.preparation import MaskedGradientPads, MaskedPads, PreparedPredictor
from protocols.glm.prepared import MeanLessPad, PaddedPredictor, ResidualLessPad, WeightsLessPad
from protocols.glm.slots import Slots
from protocols.message import Message
from protocols.randomness import Seed
from protocols.session import Session
from tests.harness import TOY, Escrow, Sent, short_masks
from tests.promises.attacks.families import problem
from tests.promises.attacks.host_view import Matrix, View, gain, record
from tests.promises.leakage.audit import not_uniform

PASSES, MANY = 6, 80  # MANY: so many chunks that they say more than there are unknowns
LINK = LOGISTIC_LINKS["exact"]


@dataclass
class Seen:
    """A training of prepared iterations: what was sent, who held the key, and the numbers that the arbiter drew."""

    view: View
    transcript: list[Sent]
    scheme: Escrow
    drawn: dict[str, list[list[PlainVec]]]  # by label, of each chunk
    slots: list[Slots]

    def numbers(self, kind: type[Message], receiver: str) -> list[int]:
        """All numbers of a kind of message to a receiver, opened where they are encrypted."""
        found = list[int]()
        for s in self.transcript:
            if s.kind is kind and s.receiver == receiver:
                (value,) = (getattr(s.message(self.view.keys), name) for name, _ in kind.schema())
                plain = self.scheme.keys[0].open_whole(value) if isinstance(value, CipherVec) else value
                found += plain.to_ints()
        return found


def trained(blocks: list[Matrix], y: Matrix, link: Link = LINK, passes: int = PASSES) -> Seen:
    scheme, drawn, honest = Escrow(TOY), dict[str, list[list[PlainVec]]](), preparation.drawn

    def recorded(session: Session, label: str, *rest: Any) -> list[PlainVec]:
        drawn.setdefault(label, []).append(honest(session, label, *rest))
        return drawn[label][-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "drawn", recorded)
        view, transcript = record(blocks, y, link, passes, scheme, prepared=True)
    plan = link.plan(rows_log2(len(y)), Penalty(1.0), passes, 2, TOY.bits - 41)
    return Seen(view, transcript, scheme, drawn, layouts(plan, link, None))


def drawing(change: Callable[[str, list[PlainVec]], list[PlainVec]]) -> Callable[..., list[PlainVec]]:
    """`preparation.drawn` with a planted fault."""
    honest = preparation.drawn
    return lambda session, label, *rest: change(label, honest(session, label, *rest))


def without(what: str) -> Callable[[str, list[PlainVec]], list[PlainVec]]:
    """Zeros in the place of the pads whose label begins with this."""
    return lambda label, pads: [PlainVec.zeros(len(p)) for p in pads] if label.startswith(what) else pads


def findings(seen: Seen) -> list[str]:
    """Messages of the training whose numbers are not uniform to their receiver."""
    g_bits, z_bits, n = seen.slots[0].g_bits, seen.slots[0].z_bits, TOY.bits - 1
    ranges: list[tuple[type[Message], str, int]] = [
        (WeightsLessPad, "host", seen.slots[0].u_bits),
        (PaddedPredictor, "guest", z_bits),
        (MeanLessPad, "guest", g_bits),
        (ResidualLessPad, "host", g_bits),
        (MaskedPads, "arbiter", n),
        (MaskedGradientPads, "arbiter", n),
    ]
    key = seen.scheme.keys[0].public.raw.n
    found = []
    for kind, receiver, bits in ranges:
        scale = key / 2.0**n if bits == n else 1.0
        values = [int(v / scale) if scale != 1.0 else v for v in seen.numbers(kind, receiver)]
        assert len(values) >= 3 * len(seen.slots)
        found += [kind.kind] * bool(not_uniform(values, bits) if len(values) > 20 else [])
    return found


def test_every_number_is_uniform_to_its_receiver() -> None:
    _, blocks, y = problem("exact")
    assert findings(trained(blocks, y)) == []


def test_planted_missing_pads_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    _, blocks, y = problem("exact")
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "drawn", drawing(without("residual pad")))
        assert {"MeanLessPad", "ResidualLessPad"} <= set(findings(trained(blocks, y)))
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "drawn", drawing(without("weight pad host")))
        assert "WeightsLessPad" in findings(trained(blocks, y))
    with monkeypatch.context() as patch:
        short_masks(patch, 300)
        assert {"MaskedPads", "MaskedGradientPads"} <= set(findings(trained(blocks, y)))


@pytest.mark.parametrize("family", ["exact", "linear"])
def test_least_squares_over_what_a_host_received_adds_nothing(family: str) -> None:
    link, blocks, y = problem(family)
    seen = trained(blocks, y, link)
    assert seen.view.columns().shape[1] >= PASSES  # the padded residual of each iteration is among what is tried
    assert gain(seen.view)[1] < 0.02


def test_planted_residuals_without_a_pad_give_the_labels_away(monkeypatch: pytest.MonkeyPatch) -> None:
    _, blocks, y = problem("exact")
    monkeypatch.setattr(preparation, "drawn", drawing(without("residual pad")))
    assert gain(trained(blocks, y).view)[1] > 0.2


def equal_rows(seen: Seen) -> float:
    """The part of the guest's padded predictors whose number another row has in the same iteration."""
    each = np.array(seen.numbers(PaddedPredictor, "guest")).reshape(-1, len(seen.view.y))
    return float(np.mean([len(one) - len(np.unique(one)) for one in each]) / each.shape[1])


def yes_or_no() -> tuple[list[Matrix], Matrix]:
    """A host with two columns of two values."""
    _, blocks, y = problem("exact")
    return [blocks[0], np.sign(blocks[1][:, :2])], y


def test_equal_rows_of_a_host_do_not_show() -> None:
    assert equal_rows(trained(*yes_or_no())) == 0.0


def test_planted_predictors_without_a_pad_show_equal_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even under the arbiter's numbers, which are uniform."""
    honest = Slots.cut_rows

    def planted(self: Slots, share: PlainVec, rows: int) -> list[PlainVec]:
        found = honest(self, share, rows)
        return [PlainVec.zeros(rows) for _ in found] if share.max_bits() <= self.mask_bits else found

    monkeypatch.setattr(Slots, "cut_rows", planted)
    monkeypatch.setattr(prepared, "error_bits", lambda digits, rows: 1)  # a host's own error would hide them too
    assert equal_rows(trained(*yes_or_no(), LOGISTIC_LINKS["taylor"])) > 0.9


def solved(seen: Seen) -> float:
    """Arbiter and guest together: they open the host's packs, know u, and solve for its columns; the worst squared
    correlation of a column with what they find.

    The top slot of a pack is, up to what the slots below add, the digits of x times the u of its iteration."""
    x, per_chunk, slots = seen.view.x, seen.drawn["weight pad host"], seen.slots
    packs = [s for s in seen.transcript if s.kind is PreparedPredictor]
    rows = np.arange(slots[0].rows - 1, len(x) - slots[0].rows + 1, slots[0].rows)  # the uppermost of each pack
    left, right = [], []
    for message, u, s in zip(packs, per_chunk, slots, strict=True):
        if s != slots[0]:
            continue
        opened = seen.scheme.keys[0].open_whole(message.message(seen.view.keys).v).to_ints()  # type: ignore[attr-defined]
        offset = (s.rows * s.passes - 1) * s.z_width
        right.append([float(v >> (offset - 60)) / 2.0**60 for v in opened[: len(rows)]])
        left.append([float(v) for v in u[-1].residue(s.z_bits).to_ints()])
    found = np.linalg.lstsq(np.array(left), np.array(right), rcond=None)[0].T
    return min(float(np.corrcoef(x[rows, j], found[:, j])[0, 1] ** 2) for j in range(x.shape[1]))


def test_arbiter_and_guest_learn_nothing_of_a_host_s_columns_from_what_it_prepares() -> None:
    _, blocks, y = problem("exact")
    assert solved(trained([blocks[0], blocks[1][:, :2]], y, passes=MANY)) < 0.1


def test_planted_masks_of_single_slots_give_the_columns_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers uniform modulo B in each slot are pads of predictors modulo B, and hide nothing of what exceeds it."""
    honest = Seed.integers

    def planted(self: Seed, length: int, bits: int) -> PlainVec:
        slots = next((s for s in all_slots if bits == s.mask_bits), None)
        if slots is None:
            return honest(self, length, bits)
        each = [honest(self.child(f"{k}"), length, slots.z_bits) for k in range(slots.rows * slots.passes)]
        return PlainVec.join(each).stack(slots.z_width, len(each))

    _, blocks, y = problem("exact")
    all_slots = layouts(LINK.plan(rows_log2(len(y)), Penalty(1.0), MANY, 2, TOY.bits - 41), LINK, None)
    monkeypatch.setattr(Seed, "integers", planted)
    assert solved(trained([blocks[0], blocks[1][:, :2]], y, passes=MANY)) > 0.99
