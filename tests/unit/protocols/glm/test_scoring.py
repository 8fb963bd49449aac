"""Scores of rows, from weights that their owners know and from shares of weights that nobody knows: the same integers,
and always the same for a row."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.cipher import Keyring, Paillier, PhePaillier, Scheme, key_offer
from protocols.glm import pair_masks, predictors, scoring, shares
from protocols.glm.scoring import UNIT, Slots
from protocols.local import run_local
from protocols.parts import parts
from protocols.randomness import Seed
from protocols.session import Session
from tests.harness import TOY, Escrow, Sent
from tests.promises.leakage import audit
from tests.unit.protocols.glm.scoring_world import FIRST, MODEL, Numbers, World

ALL = "guest h0 h1 h2"


@pytest.mark.parametrize("shared", ["", "guest", "h0", ALL])
@pytest.mark.parametrize(("hosts", "models"), [(1, 1), (3, 2)])
def test_the_sum_of_all_parts_to_the_last_bit(hosts: int, models: int, shared: str) -> None:
    world = World(hosts, models=models, shared=shared)
    assert np.array_equal(world.score(), world.wanted)


@pytest.mark.parametrize("scheme", [TOY, PhePaillier(512), Paillier(1024)], ids=["toy", "phe", "1024"])
@pytest.mark.parametrize("rows", [1, 2, 7, 60])
def test_every_cipher_computes_the_same_integers(scheme: Scheme, rows: int) -> None:
    world = World(1, rows, width=2, models=2)
    assert np.array_equal(world.score(scheme), world.wanted)


def test_no_row_is_no_message_about_weights() -> None:
    world, transcript = World(rows=1), list[Sent]()
    assert world.score(rows=slice(0), transcript=transcript, **nothing_moves(world)).shape == (0, 1)
    assert {s.kind for s in transcript} <= {scoring.ScoringStart, key_offer.PublicKeyOffer}


def nothing_moves(world: World) -> dict[str, Any]:
    """The programs of a scoring of no row, after which all hold what they held."""

    def guest(session: Session) -> Any:
        key_offer.accept(session)
        found, moved = scoring.guest(session, world.part("guest", slice(0)))
        assert moved is None
        return found, shares.Moved(FIRST, world.own["guest"].latest)

    def host(session: Session) -> Any:
        key_offer.accept(session)
        assert scoring.host(session, world.part("h0", slice(0))) is None
        return shares.Moved(FIRST, world.own["h0"].latest)

    def arbiter(session: Session) -> Any:
        key = session.scheme.generate("arbiter", session.seed("key"))
        key_offer.offer(session, key)
        assert scoring.arbiter(session, key, MODEL, world.held) == {}
        return {p: shares.Moved(FIRST, one.latest) for p, one in world.held.items()}

    return {"guest": guest, "h0": host, "arbiter": arbiter}


def test_a_hundred_scorings_in_any_company_give_the_same_bits_while_all_shares_move() -> None:
    world, rng = World(2, rows=12), np.random.default_rng(1)
    first, seen = world.wanted, set[bytes]()
    for _ in range(100):
        rows = rng.permutation(12)[: rng.integers(1, 13)]
        assert np.array_equal(world.score(rows=rows), first[rows])
        now = {one.latest.tobytes() for part in (world.own, world.held) for one in part.values()}
        assert not seen & now
        seen |= now
        assert all(np.array_equal(world.own[p].latest + world.held[p].latest, world.w[p]) for p in world.held)


def test_planted_masks_that_do_not_cancel_or_errors_drawn_afresh_change_the_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    honest = shares.words_of
    monkeypatch.setattr(shares, "words_of", lambda values: honest(values) + np.uint64(1))
    assert np.array_equal(world.score(), world.wanted)  # the same at both holders: it cancels
    calls = itertools.count()
    monkeypatch.setattr(shares, "words_of", lambda values: honest(values) + np.uint64(2 ** next(calls)))
    assert not np.array_equal(world.score(), world.wanted)
    monkeypatch.undo()
    before = world.score()
    world.error["h0"] = np.random.default_rng(9).integers(-(1 << 29), 1 << 29, (30, 1))
    assert not np.array_equal(world.score(), before)


class NoMask(Seed):
    """Draws 0 where a mask is drawn."""

    def integers(self, length: int, bits: int) -> PlainVec:
        return PlainVec.zeros(length)


def opened_at_the_arbiter(rows: Numbers, patch: pytest.MonkeyPatch) -> NDArray[np.uint64]:
    """(rows, parties): all that the arbiter opens of each row in one scoring of a world whose shares are those of its
    training."""
    found, honest = list[NDArray[np.uint64]](), scoring.opened
    with patch.context() as inner:
        inner.setattr(scoring, "opened", lambda *args: found.append(honest(*args)) or found[-1])  # type: ignore[func-returns-value]
        World(2, rows=40).score(rows=rows)
    return np.concatenate(found, axis=1)


def test_the_arbiter_cannot_link_the_rows_of_two_scorings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build without masks, and whose shares move by the same number each time, planted: equal numbers are the same
    customers, all of them."""
    rng = np.random.default_rng(4)
    a, b = rng.permutation(40)[:25], rng.permutation(40)[:25]

    def linked() -> set[tuple[int, int]]:
        first, second = (opened_at_the_arbiter(rows, monkeypatch) for rows in (a, b))
        apart = first[:, None] - second[None] + np.uint64(1)  # 0 to 2: without masks a slot borrows from the next one
        return {(int(i), int(j)) for i, j in np.argwhere((apart <= 2).any(axis=2))}

    assert linked() == set()
    honest = Session.seed

    def seed(self: Session, label: str, value: bytes = b"") -> Seed:
        drawn = honest(self, label, value)
        return {"score mask": NoMask(self.me, drawn.secret), "weight share move": Seed(self.me, bytes(32))}.get(
            label, drawn
        )

    monkeypatch.setattr(Session, "seed", seed)
    assert linked() == {(int(i), int(j)) for i, j in np.argwhere(a[:, None] == b[None])}


def test_the_transcript_of_a_scoring_is_declared_randomised_and_masked() -> None:
    """And each check finds what is planted."""
    world, transcript, escrow = World(2, rows=40, width=4), list[Sent](), Escrow(TOY)
    world.score(escrow, transcript)
    (key,), keys = escrow.keys, Keyring()
    keys.add(key.public)
    assert audit.unrandomised(transcript, keys) == []
    assert audit.repeated(transcript, keys) == []
    assert audit.repeated([*transcript, *transcript], keys) != []
    packed = [s.vectors(keys)[0] for s in transcript if s.kind is scoring.MaskedProducts]
    opened = [v for one in packed for v in key.open_whole(one).to_ints()]
    slots = Slots.of(key.public, 40, 4)
    assert len(opened) == 3 * -(-40 // slots.count)
    assert audit.not_uniform([(v << 200) // key.public.raw.n for v in opened], 200) == []
    assert audit.not_uniform([(v >> 45 << 200) // key.public.raw.n for v in opened], 200) != []
    for kind, senders in ((scoring.Scores, 2), (scoring.ArbiterScores, 1)):
        masked = [int(v) for s in transcript if s.kind is kind for v in s.message(keys).masked]  # type: ignore[attr-defined]
        assert len(masked) == senders * 40
        assert audit.not_uniform(masked, 64) == []
    plain = World(1, rows=40, width=4, shared="")
    plain.score(transcript=(open_ones := list[Sent]()))
    known = [int(v) for s in open_ones if s.kind is scoring.Scores for v in s.message(keys).masked]  # type: ignore[attr-defined]
    assert audit.not_uniform(known, 64) != []  # one host that knows its weights: its own part


def test_a_guest_that_moves_its_own_part_by_less_than_a_step_meets_the_same_error() -> None:
    """It learns z + e with one and the same e, however often it asks; with errors drawn afresh the mean of its scores
    would be z."""
    world = World(rows=1, shared="")
    own, step = world.w["guest"][0].view(np.int64), 1 << 30
    exact = world.wanted - world.error["h0"] / 2.0**UNIT
    found = []
    for k in range(200):
        world.x["guest"][0, 0] += 1
        found.append(world.score()[0, 0] - (k + 1) * own[0] / 2.0**UNIT)
    apart = abs(np.mean(found) - exact[0, 0]) * 2.0**UNIT
    assert apart == pytest.approx(abs(world.error["h0"][0, 0]), abs=1)
    fresh = [exact[0, 0] + e / 2.0**UNIT for e in np.random.default_rng(0).integers(-step // 2, step // 2, 200)]
    assert abs(np.mean(fresh) - exact[0, 0]) * 2.0**UNIT < step / 10  # the planted fault averages the error away


def costs(world: World, scheme: Paillier) -> float:
    """Products modulo n^2 of one scoring, of all parties together, a row."""
    escrow = Escrow(scheme)
    made: list[Any] = []

    class Kept(Escrow):
        def accept(self, n: int, proof: bytes, holder: str) -> Any:
            made.append(super().accept(n, proof, holder))
            return made[-1]

    counted = Kept(escrow.scheme)
    world.score(counted)
    return sum(k.raw.products for k in [*made, *(k.public for k in counted.keys)]) / len(world.x["guest"])


def step_1(world: World, scheme: Paillier) -> float:
    """The same of step 1 of a training, the predictors, of as many rows and columns."""
    rows, width = world.x["guest"].shape
    keys = []

    def block(party: str) -> Any:
        from protocols.glm.block import Block, Share

        zeros = np.zeros((0, width), np.int64)
        return Block(world.x[party], zeros, zeros, 0, False), Share.start(
            shares.integers_of(world.own[party].latest[0])
        )

    def guest(session: Session) -> None:
        keys.append(key_offer.accept(session))
        pair_masks.relay(session)
        own, (part,) = block("guest"), parts(rows)
        predictors.guest(session, *own, predictors.receive_share(session, width), part)

    def host(session: Session) -> None:
        keys.append(key_offer.accept(session))
        masks = pair_masks.agree(session, "predictor")
        own, (part,) = block(session.me), parts(rows)
        predictors.host(session, *own, predictors.receive_share(session, width), masks, 0, part)

    def arbiter(session: Session) -> None:
        key = session.scheme.generate("arbiter", session.seed("key"))
        keys.append(key.public)
        key_offer.offer(session, key)
        predictors.serve(session, key, {p: block(p)[1] for p in world.roles.data_parties})

    programs = {"guest": guest, "arbiter": arbiter} | dict.fromkeys(world.roles.hosts, host)
    run_local(world.roles, programs, scheme)
    return sum(k.raw.products for k in keys) / rows


@pytest.mark.parametrize(
    ("rows", "width", "hosts", "bits"),
    [
        (1000, 3, 1, 2048),
        pytest.param(500, 10, 1, 2048, marks=pytest.mark.slow),
        pytest.param(1000, 10, 1, 2048, marks=pytest.mark.slow),
        pytest.param(1000, 20, 1, 3072, marks=pytest.mark.slow),
        pytest.param(5000, 10, 2, 3072, marks=pytest.mark.slow),
    ],
)
def test_scoring_costs_at_most_half_more_than_the_predictors_of_a_pass(
    rows: int, width: int, hosts: int, bits: int
) -> None:
    scoring_, training = (f(World(hosts, rows, width), Paillier(bits)) for f in (costs, step_1))
    print(
        f"{rows} rows, {hosts} hosts, {width} columns each, {bits} bits: {scoring_:.0f} products a row, step "
        f"1 of a pass {training:.0f}"
    )
    assert scoring_ <= 1.5 * training


@pytest.mark.parametrize(
    ("rows", "width", "bits", "most"), [(50, 10, 2048, 2.3), pytest.param(200, 20, 3072, 1.8, marks=pytest.mark.slow)]
)
def test_of_few_rows_the_tables_that_each_party_fills_once_show(rows: int, width: int, bits: int, most: float) -> None:
    """The guest re-randomises too, unlike in a pass, and every slot has its encryptions: what docs/protocols/glm.md
    says of fewer than 500 rows."""
    scoring_, training = (f(World(1, rows, width), Paillier(bits)) for f in (costs, step_1))
    print(
        f"{rows} rows, {width} columns each, {bits} bits: {scoring_:.0f} products a row, step 1 of a pass "
        f"{training:.0f}"
    )
    assert 1.5 * training < scoring_ <= most * training
