"""Ways to build sealed trees wrongly: each gives away what an attack then reads, and the build as it is does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols._native import PlainVec
from protocols.boosting import gradients, keys, prepare, product, rings
from protocols.boosting.gradients import Pair
from protocols.boosting.keys import PairKeys
from protocols.boosting.level_sums import LevelSums
from protocols.boosting.prepare import Owned
from protocols.boosting.product import Level
from protocols.boosting.rings import Shares
from protocols.boosting.scale import Scale
from protocols.boosting.sealed import Blocks, MaskedSums
from protocols.cipher import Identity
from protocols.errors import DataError
from protocols.kept import KeptVec
from protocols.local import run_local
from protocols.parts import parts
from protocols.randomness import Seed
from protocols.session import Session
from tests.promises.attacks.trees.recorded import record
from tests.unit.protocols.boosting.samples import sealed_and_its_twin, small, tables
from tests.unit.protocols.boosting.world import Floats, Ints, roles_of

# -- products: what each party knows of a split, and whether a row's direction follows from it

ROWS = 3000


@contextmanager
def knowledge() -> Iterator[dict[str, list[Any]]]:
    """All numbers modulo 2^48 (rows,) that each party draws or receives, by party, while a product is made."""
    found: dict[str, list[Any]] = {}

    def heard(values: Any) -> None:
        me = threading.current_thread().name.removeprefix("vfl-")
        for row in np.atleast_2d(np.asarray(values)).reshape(-1, ROWS):
            found.setdefault(me, []).append(row & rings.MASK)

    def kept(function: Callable[..., Any], of: Callable[[Any], Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **more: Any) -> Any:
            result = function(*args, **more)
            heard(of(result))
            return result

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rings, "uniform", kept(rings.uniform, lambda shares: shares.u))
        patch.setattr(rings, "from_bytes", kept(rings.from_bytes, lambda words: words))
        patch.setattr(Level, "share_of_bits", kept(Level.share_of_bits, lambda words: words))
        yield found


def split(owner: int, s: np.ndarray, crosswise: str = "") -> dict[str, list[Any]]:
    """One split of a party, on shares of 1; crosswise: who else hears the share of directions."""
    level, owners = Level("split", ROWS, None), np.array([owner])
    left, mine = s[None].astype(np.bool_), np.zeros((0, ROWS), dtype=np.bool_)
    share = Seed("test", b"x" * 32).words(ROWS)[None]

    def guest(session: Session) -> Shares:
        pairs = keys.agree(session)
        bits = left if owner == 0 else mine
        own = Shares((), np.uint64(1) - share)
        return product.guest(session, pairs, level, own, owners, lambda part: bits[:, part.rows], None)

    def arbiter(session: Session) -> Shares:
        pairs = keys.agree(session)
        result = product.arbiter(session, pairs, level, Shares((), share), owners, None)
        if crosswise:
            rings.from_bytes(session.channels[crosswise].recv(product.DirectionShare).low, (1, ROWS), crosswise)
        return result

    def host(session: Session) -> None:
        bits = left if owner else mine
        product.host(session, keys.agree(session), level, lambda part: bits[:, part.rows], int(owner == 0))

    honest = Level.send_bits

    def send_bits(self: Level, session: Session, party: str, difference: Any) -> None:
        honest(self, session, party, difference)
        if crosswise:
            honest(self, session, "arbiter", difference)

    with knowledge() as found, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Level, "send_bits", send_bits)
        results = run_local(roles_of(1), {"guest": guest, "arbiter": arbiter, "host1": host}, Identity())
    whole = rings.signed(results["guest"].u + results["arbiter"].u)
    assert np.array_equal(whole[0], s)
    return found


def readable(numbers: list[Any], s: np.ndarray) -> float:
    """How much better than by tossing a coin the directions follow from any number, sum or difference of two: from its
    last bits, or from whether it is 0 or 1."""
    tried = [*numbers, *(v for k, a in enumerate(numbers) for b in numbers[:k] for v in (a + b, a - b))]
    best = 0.0
    for values in tried:
        small = rings.signed(values)
        for clue in ((small & 1) == 1, (small & 2) == 2, small == 0, np.abs(small) == 1):
            best = max(best, abs(float(clue[s == 1].mean() - clue[s == 0].mean())))
    return best


DIRECTIONS = np.random.default_rng(1).integers(0, 2, ROWS)


@pytest.mark.parametrize("owner", [0, 1])
def test_nobody_reads_a_direction_out_of_a_product(owner: int) -> None:
    found = split(owner, DIRECTIONS)
    for party in {"guest", "arbiter", "host1"} - {["guest", "host1"][owner]}:
        assert readable(found[party], DIRECTIONS) < 0.1, party


@pytest.mark.parametrize(("owner", "crosswise"), [(1, "host1"), (0, "guest")])
def test_planted_share_of_directions_for_whoever_knows_the_pads_is_read(owner: int, crosswise: str) -> None:
    """The arbiter draws s_A with the owner of the split: a message to it that carries s_A - s is the direction of every
    row."""
    assert readable(split(owner, DIRECTIONS, crosswise)["arbiter"], DIRECTIONS) > 0.9


@pytest.mark.parametrize(("owner", "missing", "party"), [(1, "c", "guest"), (1, "s", "guest"), (0, "s", "host1")])
def test_planted_products_without_a_pad_are_read(
    owner: int, missing: str, party: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without c the guest sees s D: 0 where the row goes right.  Without s_A whoever hears s_A - s sees the
    direction."""
    honest = Seed.child

    def child(self: Seed, label: str) -> Seed:
        return Zero(self.maker, self.secret) if label == missing else honest(self, label)

    class Zero(Seed):
        def words(self, length: int) -> Any:
            return np.zeros(length, dtype=np.uint64)

        def child(self, label: str) -> Seed:
            return self

    monkeypatch.setattr(Seed, "child", child)
    assert readable(split(owner, DIRECTIONS)[party], DIRECTIONS) > 0.9


# -- sums: whether how often they wrapped, or a pad that is used twice, tells of rows


def above_windows() -> list[Ints]:
    """What stands above the window in each of the host's messages to the arbiter."""
    run, found = record(), []
    layout = replace(run.layout, together=min(2, run.layout.trees))
    for k, sent in enumerate([s for s in run.transcript if s.kind is MaskedSums and s.sender == "host1"]):
        block = layout.blocks[k // layout.depth % layout.trees][k % layout.depth]
        found.append(sent.message(run.keys).sums.shift_right(block.guard + block.bits - 1).to_i64())  # type: ignore[attr-defined]
    return found


def test_sums_do_not_tell_how_often_they_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum of shares from 0 on wraps about once for every two rows: one that is sent whole tells how many rows it is
    over."""
    assert {int(v) for above in above_windows() for v in above} <= {-1, 0}
    sizes: list[Ints] = []

    honest = LevelSums.add

    def from_zero(self: LevelSums, xi: PlainVec, stretches: Any) -> None:
        bits = self._owned[0].layout.bits(self._level)
        honest(self, xi - xi.shift_right(bits).shift_left(bits), stretches)

    def whole(self: Owned, session: Session, tree: int, level: int, cells: PlainVec) -> PlainVec:
        """As `Owned.answer`, but for the last line."""
        lefts, block = self.lefts, self.layout.blocks[tree][level]
        assert lefts is not None
        if session.me == "host1":
            ones = PlainVec.from_i64(np.ones(len(self.rows), dtype=np.int64))
            sizes.append(lefts.of(lefts.cells(ones, self.rows[:])).take(self.order).to_i64())
        return lefts.of(cells).take(self.order).shift_left(block.guard) - block.window(self.masks[block.plane])

    monkeypatch.setattr(LevelSums, "add", from_zero)
    monkeypatch.setattr(Owned, "answer", whole)
    for found, rows in zip(above_windows(), sizes, strict=True):
        assert np.corrcoef(found, rows)[0, 1] > 0.95


def first_levels(rounds: int = 2) -> list[Ints]:
    """The first level's numbers xi of each round, which every host sees."""
    run = record()
    seen = [m.xi for m in run.of(Blocks)][:: run.layout.depth]
    assert len(seen) == rounds
    bits = run.layout.bits(0)
    return [
        np.array([v % (1 << bits) for v in xi.to_ints()], dtype=np.int64) << (63 - bits) >> (63 - bits) for xi in seen
    ]


def test_a_pad_that_is_used_for_two_trees_tells_how_gradients_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference of what hosts see of two trees is small where the pads are the same: it is the change of g and
    h."""

    def repeats() -> float:
        one, two = first_levels()
        bits = 1 << 12  # far above a gradient, far below a block
        difference = (one - two) % (1 << 20)
        return float((np.minimum(difference, (1 << 20) - difference) < bits).mean())

    assert repeats() < 0.1
    honest = prepare.part_pads
    fixed = Seed("arbiter", b"always".ljust(32))
    monkeypatch.setattr(
        prepare, "part_pads", lambda seed, block, tree, level, part: honest(fixed, block, 0, level, part)
    )
    assert repeats() > 0.9


# -- the cut: whether the rounding of gradients follows from what the arbiter knows


def rounding(local: bool) -> tuple[Floats, dict[str, Floats]]:
    """(rows,) how far each g was rounded, in units, and what the arbiter knows: the low bits of every number of its
    own."""
    scale, rng = Scale("binary:logistic", 8, ROWS), np.random.default_rng(3)
    margin = rng.normal(size=ROWS)
    y = (rng.random(ROWS) < 0.3).astype(np.float64)
    own = rng.integers(0, 1 << 48, ROWS).astype(np.uint64)
    theirs = np.rint(margin * 2.0**40).astype(np.int64).view(np.uint64) - own
    seen: dict[str, PlainVec] = {}
    looked = gradients.of_looked_up

    def of_looked_up(values: list[PlainVec], scale: Scale, labels: PlainVec | None) -> list[PlainVec]:
        found = looked(values, scale, labels)
        seen["guest" if labels is not None else "arbiter"] = found[0]
        return found

    def cut(session: Session, value: list[PlainVec], one: int) -> Pair:
        ones = PlainVec.from_i64(np.full(ROWS, one))
        return Pair(*(KeptVec.of(v.shift_right(shift) + ones) for v, shift in zip(value, scale.shifts, strict=True)))

    def guest(session: Session) -> Pair:
        pairs = keys.agree(session)
        if local:
            found, edge = gradients.look_up_margins(session, theirs, scale.curves, *parts(ROWS), first=True)
            gradients.tell_edge(session, [edge])
            return cut(session, gradients.of_looked_up(found, scale, scale.labels(y)), 1)
        return gradients.guest(session, pairs, scale, "round 0", theirs, y, None, None)

    def arbiter(session: Session) -> Pair:
        pairs = keys.agree(session)
        if local:
            found, edge = gradients.look_up_margins(session, own, scale.curves, *parts(ROWS), first=False)
            gradients.receive_edge(session, [edge])
            return cut(session, gradients.of_looked_up(found, scale, None), 0)
        return gradients.arbiter(session, pairs, scale, "round 0", own)[0]

    def host(session: Session) -> None:
        pairs = keys.agree(session)
        if local:
            gradients.deal(session, *parts(ROWS), len(scale.curves))
        else:
            gradients.host(session, pairs, scale, "round 0", ROWS)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradients, "of_looked_up", of_looked_up)
        rho: list[PlainVec] = []
        pads = gradients.pads

        def drawn(pairs: PairKeys, party: str, label: str, scale: Scale, rows: int) -> list[PlainVec]:
            found = pads(pairs, party, label, scale, rows)
            rho.extend(found[:1] if "rho" in label else [])
            return found

        patch.setattr(gradients, "pads", drawn)
        results = run_local(roles_of(1), {"guest": guest, "arbiter": arbiter, "host1": host}, Identity())
    unit, shift = 1 << scale.g_shift, scale.g_shift
    exact = (seen["guest"] + seen["arbiter"]).mod_2_128().to_i64()
    rounded = (results["guest"].g.whole() + results["arbiter"].g.whole()).mod_2_128().to_i64()
    assert np.abs(rounded - exact / unit).max() <= 1
    known = {"share": seen["arbiter"], "new share": results["arbiter"].g.whole()} | ({"rho": rho[0]} if rho else {})
    low = {name: np.array([v % (1 << shift) for v in value.to_ints()]) / unit for name, value in known.items()}
    return rounded - exact / unit, low


def test_the_arbiters_own_bits_do_not_drive_the_rounding() -> None:
    """A local cut of both shares rounds by the low bits of the arbiter's own: sums then carry numbers that it knows by
    row."""
    off, low = rounding(local=False)
    assert set(low) == {"share", "new share", "rho"}
    assert max(abs(np.corrcoef(off, bits)[0, 1]) for bits in low.values()) < 0.08
    assert abs(off.mean()) < 0.03  # unbiased
    off, low = rounding(local=True)
    assert abs(np.corrcoef(off, low["share"])[0, 1]) > 0.5


# -- rings


def test_planted_ring_of_32_bits_loses_margins(monkeypatch: pytest.MonkeyPatch) -> None:
    p = small()
    blocks, y = tables(p, [2, 3], seed=2, rows=100)
    sealed_and_its_twin(p, blocks, y, Identity(1024))
    monkeypatch.setattr(rings, "BYTES", 4)
    with pytest.raises((AssertionError, DataError)):
        sealed_and_its_twin(p, blocks, y, Identity(1024))
