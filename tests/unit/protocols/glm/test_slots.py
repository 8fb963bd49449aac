"""Slots: every cut is what its arithmetic says, at planted carries and at both ends of every range, and chunks fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import parts
from protocols._native import PlainVec
from protocols.cuts import cut
from protocols.errors import ConfigError
from protocols.glm.digits import COARSE
from protocols.glm.slots import HEAD_ROOM, LIFT, OVERLAP, SIGMA, SPILL, WRAP, Slots
from protocols.kept import in_memory
from protocols.randomness import Seed

SMALL = Slots(passes=3, rows=2, z_bits=12, g_bits=20)


def seed(label: str) -> Seed:
    return Seed("guest", label.encode().ljust(32))


def centred(value: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


def ints(vectors: list[PlainVec]) -> list[list[int]]:
    return [v.to_ints() for v in vectors]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_cuts_of_shares_add_up_to_the_slot_but_for_a_unit_for_each_share_more(data: st.DataObject) -> None:
    bits, width = data.draw(st.integers(2, 40)), data.draw(st.integers(41, 60))
    value = data.draw(st.integers(-(2**200), 2**200))
    shares = data.draw(st.lists(st.integers(-(2**260), 2**260), min_size=1, max_size=3))
    shares.append(value - sum(shares))
    for slot in range(3):
        whole = value >> (slot * width)
        found = sum(cut(PlainVec.from_ints([s]), slot * width, bits).to_ints()[0] for s in shares)
        assert -centred(found - whole, bits) in range(len(shares)) or bits < 3


def test_planted_carries_cost_a_unit_and_nothing_more() -> None:
    """Two shares whose lower slots carry, and two whose lower slots do not."""
    offset, slot = 55, 5 << 55
    for low, carries in ((1, True), (0, False)):
        first = PlainVec.from_ints([(3 << 55) - low])
        second = PlainVec.from_ints([slot]) - first
        found = cut(first, offset, 48).to_ints()[0] + cut(second, offset, 48).to_ints()[0]
        assert found == 5 - carries
    assert cut(PlainVec.from_ints([2**47 << 55]), 55, 48).to_ints() == [-(2**47)]  # wraps at the upper end
    assert cut(PlainVec.from_ints([(-(2**47) - 1) << 55]), 55, 48).to_ints() == [2**47 - 1]  # and at the lower


def products(slots: Slots, x: np.ndarray, numbers: list[list[int]]) -> tuple[list[int], PlainVec]:
    """The digits of X times u of each row and iteration, exactly; and the packed products."""
    u, digits = [PlainVec.from_ints(one) for one in numbers], slots.digits.of_rows(x)
    exact = [[sum(int(a) * b for a, b in zip(row, one, strict=True)) for row in digits] for one in numbers]
    return exact, slots.bases(u).matmul(slots.laid(x, slice(0, len(x)))[:])  # type: ignore[return-value]


@pytest.mark.parametrize("rows", [1, 2, 5, 8])
@pytest.mark.parametrize(
    "slots",
    [SMALL, Slots(1, 1, 48, 102), Slots(17, 2, 48, 102), Slots(2, 3, 125, 125), Slots(16, 3, 32, 102, digits=COARSE)],
)
def test_a_row_s_products_come_out_of_its_own_slots(slots: Slots, rows: int) -> None:
    """u at both ends of its range, at those of the smaller modulus and at random; masks of any size; all numbers within
    the documented units."""
    rng = np.random.default_rng(rows)
    x = rng.integers(-(2**19), 2**19, size=(rows, 4))
    half, small = 1 << (slots.g_bits - 1), 1 << (slots.z_bits - 1)
    ends = [[-half] * 4, [half - 1] * 4, [small - 1] * 4, [-small] * 4, [half - 1, -half, small, -1]]
    numbers = [*ends, *(seed(f"{t}").integers(4, slots.g_bits).to_ints() for t in range(slots.passes))][: slots.passes]
    numbers = [one * slots.digits.count for one in numbers]
    exact, packed = products(slots, x, numbers)
    masks = [seed(f"mask {k}").integers(slots.packs(rows), slots.mask_bits + 8 * k) for k in range(2)]
    total = packed + masks[0] + masks[1]
    shares = [slots.cut_rows(share, rows) for share in (total, -masks[0], -masks[1])]
    bound = 3 + int(np.abs(x).sum(axis=1).max()) // 2**OVERLAP
    for t in range(slots.passes):
        for row in range(rows):
            found = sum(share[t].to_ints()[row] for share in shares)
            assert abs(centred(found - exact[t][row], slots.z_bits)) <= bound, (t, row)


@pytest.mark.parametrize("rows", [1, 2, 5, 8, 23])
def test_rows_come_in_blocks_as_in_one_piece(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of rows that begin and end within a ciphertext."""
    x = np.random.default_rng(rows).integers(-(2**19), 2**19, size=(rows, 4))
    slots = Slots(2, 3, 125, 125, digits=COARSE)
    whole = slots.laid(x, slice(0, rows))[:]
    _, packed = products(slots, x, [[3] * 12, [5] * 12])
    due = ints(slots.cut_rows(packed, rows))
    monkeypatch.setattr(parts, "ROWS", 4)
    assert [found.whole().to_ints() for found in slots.kept_rows(packed, rows, in_memory)] == due
    laid = slots.laid(x, slice(0, rows))
    assert len(laid) == len(whole)
    assert (np.concatenate([laid[k : k + 2] for k in range(0, len(laid), 2)]) == whole).all()


def test_a_planted_swap_of_two_rows_or_iterations_shows() -> None:
    x, numbers = np.array([[1, 0], [0, 1], [1, 1]]), [[100, 200], [300, 400], [500, 600]]
    exact, packed = products(SMALL, x, numbers)
    assert ints(SMALL.cut_rows(packed, 3)) == exact == [[100, 200, 300], [300, 400, 700], [500, 600, 1100]]
    turned = replace(SMALL, passes=2, rows=3)
    assert ints(turned.cut_rows(packed, 3)) != exact[:2]


@pytest.mark.parametrize("slots", [SMALL, Slots(17, 2, 48, 102), Slots(33, 1, 48, 102, groups=2)])
def test_a_column_s_sums_come_out_of_its_own_slots(slots: Slots) -> None:
    rng = np.random.default_rng(1)
    p, half = rng.integers(-(2**20), 2**20, size=(50, 3)), 1 << (slots.g_bits - 1)
    numbers = [[-half] * 50, [half - 1] * 50, *([seed("r").integers(50, slots.g_bits).to_ints()] * slots.passes)]
    r = [PlainVec.from_ints(one) for one in numbers[: slots.passes]]
    share = seed("mask").integers(3 * slots.groups, 1500)
    packed = slots.columns(r)
    sums = [packed.slice(50 * g, 50 * (g + 1)).t_matmul(p) for g in range(slots.groups)]
    parts = slots.cut_columns(PlainVec.join(sums) + share), slots.cut_columns(-share)
    bound = 2 + int(np.abs(p).sum(axis=0).max()) // 2**OVERLAP
    for t in range(slots.passes):
        exact = r[t].t_matmul(p).to_ints()
        both = zip(parts[0][t].to_ints(), parts[1][t].to_ints(), exact, strict=True)
        assert all(abs(centred(a + b - e, slots.g_bits)) <= bound for a, b, e in both)


def test_shares_of_a_gradient_add_up_as_integers() -> None:
    """Of the largest gradient, with a share at random; a planted modulus without LIFT loses it in many."""
    gradient, bits = 2**60 - 1, 61
    for lift, wraps in ((LIFT, 0), (0, 200)):
        share = seed("share").integers(1000, bits + lift)
        other = (PlainVec.from_ints([gradient] * 1000) - share).residue(bits + lift)
        assert sum(v != gradient for v in (share + other).to_ints()) in (range(1) if not wraps else range(wraps, 1001))


@pytest.mark.parametrize("passes", [1, 5, 17, 18, 60, 400])
@pytest.mark.parametrize("plain_bits", [471, 2007, 3031, 4055])
def test_chunks_cover_all_iterations_and_fit(passes: int, plain_bits: int) -> None:
    for z_bits, gradient_bits, most in ((48, 61, 0), (32, 61, 0), (32, 61, 1000), (31, 75, 1000), (125, 84, 1000)):
        chunks = Slots.of_all(plain_bits, z_bits, gradient_bits, passes, most=most)
        assert sum(s.passes for s in chunks) == passes
        assert {s.passes for s in chunks[:-1]} <= {chunks[0].passes}
        n = 1 << (plain_bits + HEAD_ROOM)  # half the least modulus of this size
        for s in chunks:
            top = s.rows * s.passes * s.z_width + SPILL
            assert s.g_bits == gradient_bits + 1 + LIFT
            assert 1 << (top + SIGMA) <= 1 << s.mask_bits <= n >> WRAP
            assert 1 << (max(s.group_sizes) * s.g_width + SPILL) <= n >> SIGMA
            assert most or s.groups == 1


def test_the_usual_chunks() -> None:
    """Those of the logistic function, 10^4 rows."""
    assert Slots.of_all(2007, 32, 61, 16, COARSE)[0] == Slots(16, 3, 32, 102, digits=COARSE)
    assert [s.passes for s in Slots.of_all(3031, 32, 61, 60, COARSE)] == [24, 24, 12]
    assert [(s.passes, s.groups) for s in Slots.of_all(3031, 32, 61, 100, COARSE, 1000)] == [(73, 3), (27, 1)]
    assert Slots.of_all(3031, 32, 61, 100, COARSE, 27)[0].passes == 24  # a long table has no room for longer ones
    with pytest.raises(ConfigError, match="too small to prepare"):
        Slots.of_all(150, 48, 61, 60)


def test_few_rows_of_a_step_share_few_ciphertexts() -> None:
    """Each row that shares a ciphertext has encrypted weights of its own: with few rows these cost more than
    ciphertexts of predictors."""
    by_rows = [Slots.of_all(2007, 32, 61, 5, COARSE, step_rows=rows)[0].rows for rows in (1, 20, 32, 80, 569, 0)]
    assert by_rows == [1, 3, 4, 6, 9, 9]
    assert Slots.of_all(2007, 32, 61, 16, COARSE, step_rows=569)[0].rows == 3
    few, many = (Slots.of_all(2007, 32, 61, 16, COARSE, step_rows=rows)[0] for rows in (32, 1 << 14))
    assert (few.of_predictors(2).rows, many.of_predictors(2).rows) == (4, 24)
    assert few.of_predictors(16).rows == few.rows
