"""The cubic look-up: every cell within the stated error, any ring of shares, several curves at once; what is sent is
uniform, and what is malformed is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols import look_up
from protocols._native import DpfKeys, PlainVec
from protocols.cipher import Identity, Keyring
from protocols.curves import BEYOND, REST, TABLE_BITS, Curve, exp, logistic_slope
from protocols.errors import RemoteProtocolError
from protocols.glm.links import LOGISTIC, SOFTPLUS, capped
from protocols.glm.sealed_link import UNIT
from protocols.local import run_local
from protocols.look_up import Deal, LookupIndex, MaskedFactors
from protocols.randomness import Randomness, Seed
from protocols.session import Roles, Session
from tests.harness import Recording, Sent
from tests.promises.leakage import audit

Floats = NDArray[np.float64]
ROLES = Roles("guest", ("host",), "arbiter")
SLOPE = Curve(logistic_slope, UNIT)


def evaluated(
    first: Sequence[int],
    second: Sequence[int],
    curves: Sequence[Curve],
    taps: Any = None,
    theirs: Sequence[Curve] | None = None,
) -> tuple[list[Floats], int, int]:
    """(values of every curve, rows near the edge, rows beyond the knee) by the three parties.

    first, second: the shares of z; theirs: the second party's curves, if it has others.
    """

    def dealer(session: Session) -> None:
        for channel, part in zip(
            (session.guest, session.arbiter), look_up.deal(session.seed("deal"), len(first), len(curves)), strict=True
        ):
            channel.send(part)

    def party(
        session: Session, share: Sequence[int], own: Sequence[Curve], peer: str
    ) -> tuple[list[PlainVec], PlainVec]:
        received = session.channels["host"].recv(Deal)
        dealt = look_up.accept("host", received, len(share), len(curves), first=peer == "arbiter")
        return look_up.evaluate(session.channels[peer], dealt, PlainVec.from_ints(list(share)), own)

    guest, arbiter = (
        partial(party, share=first, own=curves, peer="arbiter"),
        partial(party, share=second, own=theirs or curves, peer="guest"),
    )
    found = run_local(ROLES, {"host": dealer, "guest": guest, "arbiter": arbiter}, Identity(), taps=taps, deadline=20.0)
    (mine, edge), (others, other) = found["guest"], found["arbiter"]
    values = [
        np.array((a + b).to_ints(), dtype=np.float64) / 2.0**c.fraction
        for a, b, c in zip(mine, others, curves, strict=True)
    ]
    beyond, near = divmod((edge + other).mod_2_128().to_ints()[0], 2**BEYOND)
    return values, near, beyond


def shared(z: Floats, unit: int, ring: int, seed: int = 0) -> tuple[list[int], list[int]]:
    """Shares modulo 2^ring: half of them uniform, the others at what carries and wraps."""
    rng, size = np.random.default_rng(seed), 1 << ring
    whole = [round(float(v) * 2**unit) for v in z]
    cell = 1 << LOGISTIC.cell
    planted = [0, 1, size - 1, size // 2, size // 2 - 1, cell - 1, cell, size - cell]
    first = [
        planted[i % 16] if i % 16 < 8 else int.from_bytes(rng.bytes(32), "little") % size for i in range(len(whole))
    ]
    return first, [(w - mine) % size for w, mine in zip(whole, first, strict=True)]


def worst(curve: Curve, function: Any, floor: float = 0.0, coefficients: NDArray[np.int64] | None = None) -> float:
    """The largest error in any cell in which rows may lie, at 257 places of each; beside max(function, floor) if a
    floor is given."""
    c = curve.coefficients if coefficients is None else coefficients
    inside = np.abs(curve.middles) < 2.0 ** (curve.range_log2 - 1)
    inside &= curve.middles < (np.inf if curve.knee is None else curve.knee)
    t = np.linspace(-1, 1, 257) * curve.width
    z = curve.middles[inside, np.newaxis] + t
    found = sum(ck[inside, np.newaxis] * t**m for m, ck in enumerate(c)) / 2.0**curve.fraction
    return float((np.abs(found - function(z)) / (np.maximum(function(z), floor) if floor else 1.0)).max())


def logistic(z: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-z)))


MEANS = (-19, -3, 0, 5, 19)


def test_every_cell_of_every_table_is_within_the_stated_error() -> None:
    assert worst(LOGISTIC, logistic) < 4.1e-5
    assert worst(SOFTPLUS, lambda z: np.logaddexp(0, z)) < 4.1e-5
    assert worst(SLOPE, lambda z: logistic(z) * logistic(-z)) < 8e-5
    for mean_log2 in MEANS:
        mean, loss = capped(mean_log2)
        unit = 2.0**-mean.fraction
        floor = max(2.0 ** (mean_log2 - 8), unit * 2**16)  # below it counts what a unit is, not what the table is
        assert worst(mean, np.exp, floor) < 3e-5
        assert worst(loss, np.exp, floor) < 3e-5


def test_planted_coarser_tables_and_misplaced_knees_are_beyond_it() -> None:
    line = LOGISTIC.coefficients.copy()
    line[2:] = 0
    assert worst(LOGISTIC, logistic, coefficients=line) > 1e-3
    mean, _ = capped(0)
    assert worst(replace(mean, knee=mean.knee + mean.width), np.exp, 2.0**-8) > 5e-4  # type: ignore[operator]  # the cell at the true knee, not counted
    with pytest.raises(ValueError, match="border of two cells"):
        replace(mean, knee=np.log(32.0))


def test_tables_are_the_same_on_every_machine() -> None:
    """Two parties whose tables differ in a bit open noise: so the bits are fixed, and do not come from the CPU's own
    exponential."""
    tables = (LOGISTIC, SOFTPLUS, SLOPE, *capped(0), *capped(7), *capped(-5))
    digest = hashlib.sha256(
        b"".join(c.coefficients.astype("<i8").tobytes() + c.counted.astype("<i8").tobytes() for c in tables)
    )
    assert digest.hexdigest() == "7a241cbda5dea6f788ad894236109f9311a3d04dffc8060f4190ffd73d278a85"
    assert np.allclose(exp(np.array([-64.0, 0.0, 1.0, 128.0])), np.exp([-64.0, 0.0, 1.0, 128.0]), rtol=1e-15)


def test_planted_tables_that_differ_in_one_bit_open_noise() -> None:
    """What the fixed bits stand against."""
    z = np.linspace(-5, 5, 50)
    other = replace(LOGISTIC)
    other.coefficients[0, 300] += 1
    (found,), _, _ = evaluated(*shared(z, UNIT, 48), [LOGISTIC], theirs=[other])
    assert np.abs(found - logistic(z)).min() > 1


def places(curve: Curve) -> Floats:
    """Every inner cell's border and middle, the units beside a border, and places at random."""
    reach = 2.0 ** (curve.range_log2 - 1) - curve.width
    borders = np.arange(-reach, reach, curve.width / 2)
    beside = [b + d * 2.0**-curve.unit for b in borders[::8] for d in (-1, 1)]
    return np.concatenate([borders, beside, np.random.default_rng(1).uniform(-12, 12, 1500)])


@pytest.mark.parametrize("ring", [48, 64, 128, 200])
def test_shares_modulo_any_power_of_two_from_the_period_on_are_exact(ring: int) -> None:
    z = places(LOGISTIC)
    (found,), near, _ = evaluated(*shared(z, UNIT, ring), [LOGISTIC])
    assert near == 0
    assert np.abs(found - logistic(z)).max() < 4.5e-5
    assert abs((found - logistic(z)).mean()) < 2e-6


def test_shares_modulo_less_than_the_period_are_not() -> None:
    z = np.random.default_rng(1).uniform(-12, 12, 200)
    (found,), _, _ = evaluated(*shared(z, UNIT, 46), [LOGISTIC])
    assert np.abs(found - logistic(z)).max() > 0.1


def test_signed_shares_of_any_length_are_exact() -> None:
    z = places(LOGISTIC)
    masks = Seed("guest", b"m" * 32).integers(len(z), 129).to_ints()
    whole = [round(float(v) * 2**UNIT) for v in z]
    (found,), near, _ = evaluated([-m for m in masks], [w + m for w, m in zip(whole, masks, strict=True)], [LOGISTIC])
    assert near == 0
    assert np.abs(found - logistic(z)).max() < 4.5e-5


@pytest.mark.parametrize("unit", [REST, 24, UNIT])
def test_several_curves_at_one_place_in_one_exchange(unit: int) -> None:
    curves = [replace(c, unit=unit) for c in (LOGISTIC, SLOPE)]
    z = np.rint(places(LOGISTIC) * 2.0**unit) / 2.0**unit
    transcript = list[Sent]()
    (mean, slope), near, _ = evaluated(
        *shared(z, unit, unit + 8), curves, {p: [Recording(p, transcript)] for p in ROLES.all}
    )
    assert near == 0
    assert np.abs(mean - logistic(z)).max() < 4.5e-5
    assert np.abs(slope - logistic(z) * logistic(-z)).max() < 8.5e-5
    assert [s.kind for s in transcript if s.sender == "guest"] == [LookupIndex, MaskedFactors]


@pytest.mark.parametrize("mean_log2", MEANS)
def test_the_exponential_below_its_knee(mean_log2: int) -> None:
    mean, loss = capped(mean_log2)
    assert mean.knee is not None
    z = np.concatenate(
        [
            np.random.default_rng(2).uniform(max(-31, mean.knee - 12), mean.knee - mean.width, 1500),
            [-31.0, mean.knee - mean.width],
        ]
    )
    found, near, beyond = evaluated(*shared(z, UNIT, 64), [mean, loss])
    assert (near, beyond) == (0, 0)
    for values in found:
        assert np.all(np.abs(values - np.exp(z)) <= 4.5e-5 * np.exp(z) + 3 * 2.0**-mean.fraction)


def test_rows_in_the_outer_half_and_beyond_the_knee_are_counted() -> None:
    z = np.array([0.0, 63.0, 70.0, -80.0, 100.0, -127.0, 3.0, -63.0])
    assert evaluated(*shared(z, UNIT, 48), [LOGISTIC])[1] == 4
    mean, _ = capped(0)
    assert mean.knee == 3.25
    below, above = np.array([-5.0, 0.0, 2.99]), np.array([3.25, 5.0, 31.0])
    assert evaluated(*shared(np.concatenate([below, above]), UNIT, 48), [mean])[1:] == (0, 3)


def opened(rows: int = 600) -> tuple[list[int], list[int], list[int]]:
    """What both parties know after the exchange, of rows whose z is the same: positions (as middles of 2^64), t - b,
    and all c_m - a_m."""
    transcript = list[Sent]()
    mine, theirs = shared(np.array([0.3]), UNIT, 48)
    evaluated(mine * rows, theirs * rows, [LOGISTIC, SLOPE], {p: [Recording(p, transcript)] for p in ROLES.all})
    sent: Any = {
        kind: [s.message(Keyring()) for s in transcript if s.kind is kind] for kind in (LookupIndex, MaskedFactors)
    }
    index = sum(message.index for message in sent[LookupIndex]) % 2**TABLE_BITS
    rest, factors = (
        (getattr(sent[MaskedFactors][0], part) + getattr(sent[MaskedFactors][1], part)).mod_2_128().to_ints()
        for part in ("rest", "factors")
    )
    return [(2 * int(v) + 1 - 2**TABLE_BITS) << (63 - TABLE_BITS) for v in index], rest, factors


def test_what_both_parties_open_is_uniform() -> None:
    index, rest, factors = opened()
    assert audit.not_uniform(index, 64) == []
    assert audit.not_uniform(rest, look_up.RING) == []
    assert audit.not_uniform(factors, look_up.RING) == []


def test_planted_short_masks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = look_up._factors
    monkeypatch.setattr(look_up, "_positions", lambda _, rows: np.zeros(rows, np.int64))
    monkeypatch.setattr(look_up, "_factors", lambda *given: honest(*given).shift_right(9))
    index, rest, factors = opened()
    assert audit.not_uniform(index, 64)
    assert audit.not_uniform(rest, look_up.RING)
    assert audit.not_uniform(factors, look_up.RING)


def test_dealt_numbers_are_what_they_must_be_and_never_twice_the_same() -> None:
    drawn = Randomness("host", b"r" * 32, b"input")
    seeds = [drawn.draw("deal", b"", b"") for _ in range(3)]
    rows, curves = 20, 2
    pairs = []
    for seed in seeds:
        parts = [
            look_up.accept("host", part, rows, curves, first=first)
            for part, first in zip(look_up.deal(seed, rows, curves), (True, False), strict=True)
        ]
        factors, products = (
            np.array([v % 2**128 for v in (getattr(parts[0], of) + getattr(parts[1], of)).to_ints()], dtype=object)
            for of in ("factors", "products")
        )
        b, *a = factors.reshape(rows, -1).T
        wanted = [b**2, b**3, *(factor * b**j for k, factor in enumerate(a) for j in range(1, k % 3 + 2))]
        assert np.array_equal(products.reshape(rows, -1).T, np.array(wanted) % 2**128)
        pairs.append(look_up.deal(seed, rows, curves))
    again = look_up.deal(Randomness("host", b"r" * 32, b"input").draw("deal", b"", b""), rows, curves)
    assert [p.seed for p in again] == [p.seed for p in pairs[0]]  # what resuming sends again
    assert again[0].products == pairs[0][0].products
    assert again[1].keys.to_bytes() == pairs[0][1].keys.to_bytes()
    assert len({p.seed for pair in pairs for p in pair}) == 6
    assert all(a[0].products != b[0].products for a, b in pairwise(pairs))


@pytest.mark.parametrize("wrong", ["seed", "rows", "products", "curves", "party", "table"])
def test_a_malformed_deal_is_refused(wrong: str) -> None:
    first, second = look_up.deal(Seed("host", b"s" * 32), 4)
    match wrong:
        case "seed":
            first = replace(first, seed=first.seed[:16])
        case "rows":
            first, _ = look_up.deal(Seed("host", b"s" * 32), 5)
        case "products":
            first = replace(first, products=first.products.take(np.arange(31)))
        case "curves":
            first, _ = look_up.deal(Seed("host", b"s" * 32), 4, curves=2)
        case "party":
            first = replace(first, keys=second.keys)
        case "table":
            first = replace(first, keys=DpfKeys.deal(bytes(32), np.zeros(4, np.int64), TABLE_BITS + 1)[0])
    with pytest.raises(RemoteProtocolError, match="host"):
        look_up.accept("host", first, 4, 1, first=True)


@pytest.mark.parametrize("bad", ["negative", "outside", "fewer", "rest", "factors"])
def test_a_malformed_answer_names_its_sender(bad: str) -> None:
    index = {"negative": [-1, 0, 0], "outside": [2**TABLE_BITS, 0, 0], "fewer": [1, 2]}.get(bad, [1, 2, 3])
    sizes = {"rest": (2, 9), "factors": (3, 8)}.get(bad, (3, 9))

    def dealer(session: Session) -> None:
        session.guest.send(look_up.deal(session.seed("deal"), 3)[0])

    def guest(session: Session) -> None:
        dealt = look_up.accept("host", session.channels["host"].recv(Deal), 3, 1, first=True)
        look_up.evaluate(session.arbiter, dealt, PlainVec.zeros(3), [LOGISTIC])

    def arbiter(session: Session) -> None:
        session.guest.send(LookupIndex(np.array(index, np.int32)))
        session.guest.send(MaskedFactors(*(PlainVec.zeros(size) for size in sizes)))

    with pytest.raises(RemoteProtocolError, match="arbiter"):
        run_local(ROLES, {"host": dealer, "guest": guest, "arbiter": arbiter}, Identity(), deadline=20.0)


def test_curves_that_share_no_place_are_refused() -> None:
    dealt = look_up.accept("host", look_up.deal(Seed("host", b"s" * 32), 1, 2)[0], 1, 2, first=True)
    for curves in ([LOGISTIC], [LOGISTIC, replace(SLOPE, unit=24)], [LOGISTIC, capped(0)[0]]):
        with pytest.raises(ValueError, match="one range and unit"):
            look_up.evaluate(None, dealt, PlainVec.zeros(1), curves)  # type: ignore[arg-type]
