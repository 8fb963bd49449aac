"""Scores of rows, from weights that their owners know and from shares of weights that nobody knows: the same integers,
and always the same for a row."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import vfl
from protocols._native import PlainVec
from protocols.cipher import Identity, Keyring, Paillier, PhePaillier, Scheme, key_offer
from protocols.errors import DataError, ModelError, RemoteProtocolError, VFLError
from protocols.glm import pair_masks, predictors, scoring, shares
from protocols.glm.plan import FEATURE
from protocols.glm.scoring import UNIT, Own, Slots
from protocols.glm.shares import NAME, WeightShares
from protocols.local import run_local
from protocols.parts import parts
from protocols.randomness import Seed
from protocols.session import Roles, Session
from tests.harness import TOY, Escrow, Recording, Sent
from tests.parts import words
from tests.promises.leakage import audit

MODEL, FIRST = b"m" * 16, b"f" * NAME
Numbers = NDArray[np.int64]


class World:
    """A guest and hosts with integer columns and weights of `models` models; of the parties in `shared` the arbiter
    holds a share."""

    def __init__(
        self,
        hosts: int = 1,
        rows: int = 30,
        width: int = 3,
        models: int = 1,
        shared: str = "guest h0 h1 h2",
        seed: int = 0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.roles = Roles("guest", tuple(f"h{k}" for k in range(hosts)), "arbiter")
        parties = self.roles.data_parties
        self.x = {p: rng.integers(-(6 << FEATURE), 6 << FEATURE, (rows, width)) for p in parties}
        self.w = {p: words(rng.normal(size=(models, width))) for p in parties}
        self.error = {p: rng.integers(-(1 << 29), 1 << 29, (rows, models)) for p in self.roles.hosts}
        self.held: dict[str, WeightShares] = {}
        self.own: dict[str, WeightShares] = {}
        for p in parties:
            if p in shared.split():
                mine = rng.integers(0, 1 << 63, self.w[p].shape, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
                self.own[p], self.held[p] = (
                    WeightShares((FIRST,), mine[None]),
                    WeightShares((FIRST,), (self.w[p] - mine)[None]),
                )
            else:
                self.own[p] = WeightShares((), self.w[p][None])

    @property
    def wanted(self) -> NDArray[np.float64]:
        """(rows, models) what the guest must get, by integers in the clear."""
        total = sum(
            self.x[p].astype(object) @ self.w[p].view(np.int64).astype(object).T for p in self.roles.data_parties
        )
        return np.asarray((total + sum(self.error.values())).astype(np.float64) / 2.0**UNIT)

    def part(self, party: str, rows: Numbers | slice = slice(None)) -> Own:
        error = self.error.get(party)
        x = np.ascontiguousarray(self.x[party][rows])
        return Own(MODEL, x, self.own[party], bool(self.held), None if error is None else error[rows])

    def score(
        self,
        scheme: Scheme | None = None,
        transcript: list[Sent] | None = None,
        rows: Any = slice(None),
        **changed: Any,
    ) -> Any:
        """The guest's scores; all shares move on.  changed: another program of a party."""

        def data_party(session: Session) -> Any:
            me = session.me
            if not self.own[me].whole:
                key_offer.accept(session)
            return (scoring.guest if me == "guest" else scoring.host)(session, self.part(me, rows))

        def arbiter(session: Session) -> Any:
            if not self.held:
                return {}
            key = session.scheme.generate("arbiter", session.seed("key"))
            key_offer.offer(session, key, list(self.held))
            return scoring.arbiter(session, key, MODEL, self.held)

        programs = dict.fromkeys(self.roles.data_parties, data_party) | {"arbiter": arbiter} | changed
        taps = None if transcript is None else {p: [Recording(p, transcript)] for p in self.roles.all}
        results = run_local(self.roles, programs, scheme or Identity(), taps=taps)
        found, moved = results["guest"]
        for party in self.held:
            own = moved if party == "guest" else results[party]
            self.own[party], self.held[party] = own.alone, results["arbiter"][party].alone
        return found


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


def wrong(world: World, error: type[VFLError], match: str, **changed: Any) -> VFLError:
    with pytest.raises(error, match=match) as caught:
        world.score(**changed)
    return caught.value


def test_parts_of_different_models_are_refused() -> None:
    def other(session: Session) -> Any:
        return scoring.guest(session, replace(World(shared="").part("guest"), model_id=b"x" * 16))

    found = wrong(World(shared=""), ModelError, "another model", guest=other)
    assert found.party == "h0"


def test_shares_of_different_copies_of_the_folders_are_refused_by_name() -> None:
    """The host's folder was put back from an old copy: nothing is scored, and the error says who, and what to do."""
    world = World()
    old = world.own["h0"]
    world.score()
    world.own["h0"] = old
    transcript: list[Sent] = []
    found = wrong(world, ModelError, "do not fit each other", transcript=transcript)
    assert found.party == "h0"
    assert "put the newest one back at h0 and at arbiter" in found.remedy
    assert not {scoring.Scores, scoring.ArbiterScores} & {s.kind for s in transcript}
    world.own["h0"] = WeightShares((FIRST, b"n" * NAME), np.stack([old.latest, old.latest]))
    world.held["h0"] = WeightShares(
        (b"p" * NAME, FIRST), np.stack([world.held["h0"].latest, world.w["h0"] - old.latest])
    )
    assert np.array_equal(world.score(), world.wanted)  # a run that was interrupted left several: one fits


@pytest.mark.parametrize("value", [1 << 35, -(1 << 35)])
def test_a_score_out_of_range_is_refused(value: int) -> None:
    world = World(shared="")
    world.x["h0"][0, 0] = value
    world.w["h0"][0, 0] = np.uint64(1 << 26)
    assert wrong(world, DataError, "beyond 2\\^20").party == "guest"


def test_a_value_that_masks_would_not_cover_is_refused() -> None:
    world = World()
    world.x["h0"][0, 0] = (128 << FEATURE) + 1
    assert wrong(world, DataError, "beyond 128").party == "h0"


@pytest.mark.parametrize(
    ("sent", "match"),
    [
        (shares.HeldShares(b"", bytes(32)), "impossible shares"),
        (shares.HeldShares(bytes(15), bytes(32)), "impossible shares"),
        (shares.HeldShares(FIRST * 65, bytes(32)), "impossible shares"),
        (shares.HeldShares(FIRST, bytes(31)), "impossible shares"),
    ],
)
def test_impossible_shares_are_refused(sent: shares.HeldShares, match: str) -> None:
    def host(session: Session) -> None:
        key_offer.accept(session)
        session.guest.recv(scoring.ScoringStart)
        session.arbiter.send(sent)
        session.arbiter.recv(shares.ChosenShare)

    assert wrong(World(), RemoteProtocolError, match, h0=host).party == "h0"


def test_an_arbiter_that_chooses_what_was_not_offered_is_refused() -> None:
    def arbiter(session: Session) -> None:
        key_offer.offer(session, session.scheme.generate("arbiter", session.seed("key")))
        session.guest.recv(scoring.ScoringStart)
        for channel in (session.guest, *session.hosts):
            channel.recv(shares.HeldShares)
            channel.send(shares.ChosenShare(b"q" * NAME))
        session.guest.recv(scoring.ScoresAdded)

    assert wrong(World(), RemoteProtocolError, "was not offered", arbiter=arbiter).party == "arbiter"


@pytest.mark.parametrize("relay", [b"", bytes(64), b"same" * 16])
def test_relayed_keys_that_are_not_the_hosts_own_are_refused(relay: bytes) -> None:
    def guest(session: Session) -> None:
        for channel in session.hosts:
            channel.send(scoring.ScoringStart(MODEL, 30))
            channel.recv(pair_masks.MaskKey)
            channel.send(pair_masks.MaskKeys(relay))
        for channel in session.hosts:
            channel.recv(scoring.Scores)

    wrong(World(2, shared=""), RemoteProtocolError, "relayed|not valid|length", guest=guest)


@pytest.mark.parametrize("hosts", [2, 3])
def test_masks_in_training_cancel_in_the_sum_and_hide_each_host(hosts: int) -> None:
    def host(session: Session) -> list[list[int]]:
        masks = pair_masks.agree(session, "predictor")
        return [masks.integers(use, parts(200)[0], 126).to_ints() for use in (0, 1)]

    names = tuple(f"h{i}" for i in range(hosts))
    programs: Mapping[str, Any] = {"guest": pair_masks.relay, "arbiter": lambda s: None} | dict.fromkeys(names, host)
    results = run_local(Roles("guest", names, "arbiter"), programs, Identity())
    for use in (0, 1):
        assert [sum(column) for column in zip(*(results[h][use] for h in names), strict=True)] == [0] * 200
    if hosts == 2:
        assert audit.not_uniform(results["h0"][0], 126) == []
        assert audit.not_uniform(results["h0"][1], 126) == []
    assert results["h0"][0] != results["h0"][1]


def test_guest_and_arbiter_together_read_no_single_hosts_predictors(
    small_tables: tuple[pd.DataFrame, dict[str, pd.DataFrame]],
) -> None:
    """What the arbiter's key opens of the guest's mail: with one host its predictors, the positive control; with two,
    numbers as large as masks."""
    guest, others = small_tables
    for hosts in (1, 2):
        scheme, transcript = Escrow(TOY), list[Sent]()
        federation = vfl.Federation.local(
            guest, dict(list(others.items())[:hosts]), on="id", label="default", cipher=scheme, convergence=False
        )
        federation.fit(
            vfl.LogisticRegression(max_iter=5, link="taylor"),
            taps={p: [Recording(p, transcript)] for p in federation.roles.all},
        )
        (key,), keys = scheme.keys, Keyring()
        keys.add(key.public)
        sent = [s.vectors(keys)[0] for s in transcript if s.kind is predictors.Predictor]
        values = [v for z in sent for v in key.open(z, key.public.plain_bits).to_ints()]
        large = sum(abs(v) > 2 ** (predictors.MASK - 40) for v in values)
        assert large == (0 if hosts == 1 else len(values))
