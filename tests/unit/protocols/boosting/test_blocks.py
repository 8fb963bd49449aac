"""Blocks of slots in one plaintext: sums come out exactly, whatever the carries at both ends of a block; and nothing
else does."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols._native import PlainVec
from protocols.boosting import blocks, prepare
from protocols.boosting.blocks import GUARD, MASK, Block, Layout, Slots
from protocols.boosting.params import Params
from protocols.boosting.rings import Shares
from protocols.boosting.scale import Scale
from protocols.boosting.sealed import layout_of
from protocols.cipher import HEAD_ROOM
from protocols.errors import ConfigError
from protocols.randomness import Seed

SEED = Seed("arbiter", b"s" * 32)


def one(value: int) -> PlainVec:
    return PlainVec.from_ints([value])


# -- a block's window: exhaustively, for blocks and guards of few bits


@pytest.mark.parametrize("guard", [0, 3])
def test_every_carry_at_both_ends_of_a_block_is_undone(guard: int) -> None:
    """All sums of pads and xi in a block of 4 bits, with all guards, with carries from below and overflow above: the
    block of the sum comes out."""
    block, below = Block(0, 5, guard, 4), (0, 1, (1 << 5) - 1)
    cases = list(product(range(-16, 17), range(16), range((1 << guard) - 1) if guard else [0]))
    xi, beta = (PlainVec.from_ints([case[i] for case in cases]) for i in (1, 2))
    for low, mask in product(below, (0, 1, 77, (1 << 20) - 1, -(1 << 20))):
        opened = PlainVec.from_ints([(pads << (block.offset + guard)) + low + mask for pads, _, _ in cases])
        masks = PlainVec.from_ints([mask] * len(cases))
        answer = (xi.shift_left(guard) - block.window(masks) + beta).residue(guard + 4)
        found = block.unguarded(block.window(opened) + answer).to_ints()
        # into the guard, or where there is none into the block
        carried = mask % (1 << block.offset) + low >= 1 << block.offset
        for case, value in zip(cases, found, strict=True):
            assert (value - case[0] - case[1] - (carried if not guard else 0)) % 16 == 0, (case, low, mask)
            assert -8 <= value < 8


def test_the_highest_guard_value_would_spill_and_is_never_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """beta = 2^guard - 1 and a carry from below make one unit too many."""
    guard, block = 3, Block(0, 5, 3, 4)
    mask, low = one((1 << 5) - 1), 1
    opened = one((6 << 8) + low) + mask

    def found(beta: int) -> int:
        answer = (one(1).shift_left(guard) - block.window(mask) + one(beta)).residue(7)
        return block.unguarded(block.window(opened) + answer).to_ints()[0]

    assert [found(beta) for beta in range(7)] == [7] * 7
    assert found(7) == -8
    words = np.array([2**64 - 1, 2**64 - 2**4, 2**64 - 2**4 - 1, 0], dtype=np.uint64)
    monkeypatch.setattr(Seed, "words", lambda self, length: words[:length])
    assert prepare.guards(SEED, 4).to_ints() == [0, 0, (1 << GUARD) - 2, 0]


def test_guards_are_uniform_below_their_bound() -> None:
    drawn = np.array(prepare.guards(SEED, 4000).to_ints(), dtype=np.float64) / 2**GUARD
    assert 0 <= drawn.min() < 0.01 < 0.99 < drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 0.03


def test_sums_are_opened_without_how_often_they_wrapped() -> None:
    """The number of wraps of a sum of shares is the number of rows that it is over: the block's residue is the same,
    however many there are."""
    block = Block(0, 0, 0, 16)
    found = {block.unguarded(block.window(one(-5 + (wraps << 16)))).to_ints()[0] for wraps in range(100)}
    assert found == {-5}


# -- a whole preparation, in the clear


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(2, 40), st.sampled_from([600, 1024, 2048]))
def test_sums_of_all_trees_and_levels_come_out_of_one_plaintext(
    seed: int, depth: int, rows: int, key_bits: int
) -> None:
    """Pads, masks and guards as the parties draw them; the sums of shares at every node are those of the rows."""
    rng = np.random.default_rng(seed)
    count = rows.bit_length() + 1
    layout = Layout(rows, depth, Slots(8 + count, 7 + count), key_bits)
    secret = Seed("arbiter", rng.bytes(32))
    inside = rng.random(rows) < rng.choice([0.1, 0.5, 1.0])
    plain = [PlainVec.zeros(rows) for _ in range(layout.planes)]
    for tree, levels in enumerate(layout.blocks):
        for level, block in enumerate(levels):
            pad = blocks.pads(secret.child(f"{tree} {level}"), block, rows)
            assert 0 <= min(pad.to_ints()) <= max(pad.to_ints()) < 1 << block.bits
            plain[block.plane] = plain[block.plane] + pad.shift_left(block.offset + block.guard)
    masks = [secret.child(f"mask {k}").integers(1, key_bits - 1) for k in range(layout.planes)]
    opened = [v.take(np.flatnonzero(inside)).sum() + m for v, m in zip(plain, masks, strict=True)]
    assert all(v.max_bits() <= layout.room for v in plain)
    assert layout.room + MASK + HEAD_ROOM < key_bits
    for tree, levels in enumerate(layout.blocks):
        for level, block in enumerate(levels):
            nodes = layout.nodes(level)
            node, g, h = rng.integers(nodes, size=rows), rng.integers(-128, 128, rows), rng.integers(0, 128, rows)
            shares = row_blocks(layout, node, g, h, nodes)
            xi = (shares - blocks.pads(secret.child(f"{tree} {level}"), block, rows)).residue(block.bits)
            answer = xi.take(np.flatnonzero(inside)).sum().shift_left(block.guard) - block.window(masks[block.plane])
            if block.guard:
                answer = answer + prepare.guards(secret.child(f"beta {tree} {level}"), 1)
            sums = block.unguarded(block.window(opened[block.plane]) + answer.residue(block.guard + block.bits))
            found = layout.slots.split(sums, nodes)
            for k in range(nodes):
                here = inside & (node == k)
                assert (found[0][k, 0], found[1][k, 0]) == (g[here].sum(), h[here].sum())


def row_blocks(layout: Layout, node: np.ndarray, g: np.ndarray, h: np.ndarray, nodes: int) -> PlainVec:
    """Of each row its g and h at the node where it is, 0 at the others."""
    slots, x = layout.slots, []
    for k in range(nodes):
        here = (node == k).astype(np.int64)
        x.append(PlainVec.from_i64(g * here) + PlainVec.from_i64(h * here).shift_left(slots.g_bits))
    return layout.stacked(Shares(tuple(x), np.zeros((len(x), len(g)), dtype=np.uint64)))


# -- slots


@pytest.mark.parametrize(("g_bits", "h_bits"), [(4, 8), (5, 7), (3, 3), (4, 2)])
def test_every_pair_of_sums_is_read_as_it_was_written(g_bits: int, h_bits: int) -> None:
    """All g and h that a slot can hold, next to every kind of neighbour."""
    slots = Slots(g_bits, h_bits)
    least = -(1 << max(0, h_bits - blocks.SLACK))
    gs, hs = range(-(1 << (g_bits - 1)), 1 << (g_bits - 1)), range(least, (1 << h_bits) + least)
    pairs = list(product(gs, hs))
    for g0, h0 in ((0, 0), (gs[0], hs[0]), (gs[-1], hs[-1]), (-1, 0), (0, -1)):
        low, high = (
            PlainVec.from_ints([g + (h << g_bits) for g, h in pairs]),
            one(g0 + (h0 << g_bits)).take(np.zeros(len(pairs), np.int64)),
        )
        for values, place in ((low + high.shift_left(slots.width), 0), (high + low.shift_left(slots.width), 1)):
            g, h = slots.split(values.residue(2 * slots.width), 2)
            assert list(zip(g[place].tolist(), h[place].tolist(), strict=True)) == pairs
            assert set(g[1 - place].tolist()) == {g0}
            assert set(h[1 - place].tolist()) == {h0}


def test_few_rows_whose_h_is_known_have_slots() -> None:
    """Squared error: a slot of h has fewer bits than the slack of others."""
    slots = layout_of(Params(objective="reg:squarederror", max_depth=1), 2, 2048, False).slots
    assert slots.h_bits < blocks.SLACK
    g, h = slots.split(PlainVec.from_ints([-3 + (2 << slots.g_bits)]), 1)
    assert (g.tolist(), h.tolist()) == ([[-3]], [[2]])


# -- layouts


def check_places(layout: Layout) -> None:
    """No block reaches into another one, or beyond the room."""
    by_plane: dict[int, list[Block]] = {}
    for levels in layout.blocks:
        assert len(levels) == layout.depth
        for level, block in enumerate(levels):
            assert block.bits == layout.slots.width * layout.nodes(level)
            by_plane.setdefault(block.plane, []).append(block)
    for placed in by_plane.values():
        end = 0
        for k, block in enumerate(sorted(placed, key=lambda block: block.offset)):
            assert block.offset == end
            assert block.guard == (GUARD if k else 0)
            end = block.offset + block.guard + block.bits + layout.carry
        assert end <= layout.room
    assert sorted(by_plane) == list(range(layout.planes))
    assert layout.room + MASK + 2 + HEAD_ROOM <= layout.key_bits


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 7), st.integers(3, 16), st.sampled_from([512, 1024, 2048, 3072, 4096]))
def test_layouts_fit_or_are_refused(rows: int, depth: int, bits: int, key_bits: int) -> None:
    p, scale = Params(max_depth=depth, gradient_bits=bits), Scale("binary:logistic", bits, rows)
    needed = scale.slots.width * 2 ** max(0, depth - 2) + rows.bit_length()
    if needed <= key_bits - HEAD_ROOM - 2 - MASK:
        check_places(layout_of(p, rows, key_bits, False))
        return
    with pytest.raises(ConfigError, match="head-room") as refused:
        layout_of(p, rows, key_bits, False)
    assert refused.value.expected == needed


@pytest.mark.parametrize(
    ("rows", "depth", "bits", "key_bits", "trees", "planes"),
    [
        (10_000, 4, 8, 2048, 3, 1),
        (10_000, 4, 8, 3072, 4, 1),
        (21_000, 5, 8, 2048, 3, 2),
        (1_000_000, 5, 8, 2048, 3, 2),
        (1_000_000, 6, 6, 2048, 4, 5),
        (200, 3, 12, 512, 1, 1),
        (200, 4, 12, 512, 2, 3),
        (200, 2, 8, 2048, 4, 1),
    ],
)
def test_as_many_trees_share_plaintexts_as_make_them_fewest(
    rows: int, depth: int, bits: int, key_bits: int, trees: int, planes: int
) -> None:
    layout = layout_of(Params(max_depth=depth, gradient_bits=bits), rows, key_bits, False)
    check_places(layout)
    assert (layout.trees, layout.planes) == (trees, planes)


@pytest.mark.parametrize(
    ("depth", "key_bits", "planes"), [(3, 512, [1, 2, 3, 4]), (4, 512, [2, 3, 5, 6]), (4, 2048, [1, 1, 1, 2])]
)
def test_fewer_trees_take_no_more_plaintexts_than_they_need(depth: int, key_bits: int, planes: list[int]) -> None:
    """A step that has fewer trees left than share plaintexts."""
    layout = layout_of(Params(max_depth=depth, gradient_bits=12), 120, key_bits, False)
    for trees, expected in enumerate(planes, 1):
        fewer = replace(layout, together=trees)
        check_places(fewer)
        assert (fewer.trees, fewer.planes) == (trees, expected)
