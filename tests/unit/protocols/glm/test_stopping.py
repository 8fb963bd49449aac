"""The loss that is compared is the mean loss at the weights of that pass, whatever the family, cipher, hosts and
weights; the signs that are opened are those of its differences; training ends by them at all parties alike."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from protocols import glm
from protocols._native import PlainVec
from protocols.cipher import CipherVec, Identity, Keyring, Paillier, Scheme
from protocols.errors import ConfigError, DataError, RemoteProtocolError
from protocols.glm import losses, signs, stopping
from protocols.glm.block import Share
from protocols.glm.links import IDENTITY, LOGISTIC_LINKS, POISSON, Link
from protocols.glm.plan import Penalty, Step
from protocols.glm.progress import (
    ANEW_AT_BEST,
    ANEW_HERE,
    END_AT_BEST,
    END_HERE,
    GO_ON,
    MOST_VERDICTS,
    Judging,
    Progress,
)
from protocols.glm.stopping import LossSigns, Verdict
from protocols.local import run_local
from protocols.session import Roles, Session
from tests.harness import KNOWN, Escrow, Recording, Sent

Matrix = NDArray[np.float64]
EXACT, TAYLOR = LOGISTIC_LINKS["exact"], LOGISTIC_LINKS["taylor"]
LINKS = {"exact": EXACT, "taylor": TAYLOR, "identity": IDENTITY, "poisson": POISSON}


def problem(link: Link, n: int, widths: tuple[int, ...], models: int = 1, seed: int = 0) -> tuple[list[Matrix], Matrix]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, sum(widths))).clip(-4, 4)
    z = x @ rng.normal(size=(x.shape[1], models)) * 0.6
    if link is POISSON:
        y = rng.poisson(np.exp(0.3 * z)).astype(float)
    elif link is IDENTITY:
        y = z + rng.normal(size=z.shape)
        y = (y - y.mean(0)) / y.std(0)
    else:
        y = (z + rng.logistic(size=z.shape) > 0.4).astype(float)
    return np.split(x, np.cumsum(widths)[:-1], axis=1), y.T.copy()


class Run:
    """One training, with what was sent, and the losses that the guest held encrypted."""

    def __init__(
        self,
        blocks: list[Matrix],
        y: Matrix,
        terms: glm.Terms,
        scheme: Scheme | None = None,
        weights: Matrix | None = None,
        held: tuple[list[Matrix], Matrix, Matrix | None] | None = None,
    ) -> None:
        terms = replace(terms, reveal=KNOWN)
        scheme, hosts = scheme or Identity(), tuple(f"host{i}" for i in range(1, len(blocks)))
        roles, self.sent, escrow = Roles("guest", hosts, "arbiter"), list[Sent](), Escrow(scheme)  # type: ignore[arg-type]

        def arbiter(session: Session) -> glm.Kept:
            return glm.arbiter(session, escrow.generate("arbiter", session.seed("key")), terms)

        outside = None if held is None else glm.HeldOut(held[0][0], held[1], held[2])
        programs: dict[str, Any] = {"arbiter": arbiter}
        programs["guest"] = partial(
            glm.guest, x=blocks[0], targets=y, terms=terms, model_id=bytes(16), weights=weights, held_out=outside
        )
        for k, host in enumerate(hosts, 1):
            programs[host] = partial(glm.host, x=blocks[k], terms=terms, held_out=None if held is None else held[0][k])
        self.losses, evaluated = list[CipherVec](), stopping.evaluated

        def watched(*args: Any) -> CipherVec:
            self.losses.append(evaluated(*args))
            return self.losses[-1]

        with patch.object(stopping, "evaluated", watched):
            self.results = run_local(roles, programs, scheme, taps={p: [Recording(p, self.sent)] for p in roles.all})
        self.parts = [self.results[p] for p in roles.data_parties]
        self.key = escrow.keys[0]

    def compared(self, terms: glm.Terms, rows_log2: int) -> list[float]:
        """The losses, which nobody in the protocol opens."""
        bits = losses.UNIT + rows_log2 + stopping.SCALE
        return [self.key.open(v, self.key.public.plain_bits).to_ints()[0] / 2.0**bits for v in self.losses]

    def signs(self) -> list[tuple[bool, ...]]:
        """What the arbiter opened."""
        keys = Keyring()
        keys.add(self.key.public)
        values = [s.vectors(keys)[0] for s in self.sent if s.kind is LossSigns]
        return [tuple(v >= 0 for v in self.key.open(two, self.key.public.plain_bits).to_ints()) for two in values]

    def verdicts(self, party: str) -> list[int]:
        return [s.message(Keyring()).code for s in self.sent if s.kind is Verdict and s.receiver == party]  # type: ignore[attr-defined]


def loss(link: Link, z: Matrix, y: Matrix) -> Matrix:
    if link is EXACT:
        return np.asarray(np.logaddexp(0, z) - y * z)
    if link is POISSON:
        return np.asarray(np.exp(z) - y * z)
    return np.asarray(2 * (z / 4 + 0.5 - y) ** 2 if link is TAYLOR else (z - y) ** 2 / 2)


def mean_loss(run: Run, link: Link, blocks: list[Matrix], y: Matrix, weights: Matrix | None, model: int = 0) -> float:
    guest, *hosts = (part.weights[model] for part in run.parts)
    z = (
        blocks[0] @ guest[:-1]
        + guest[-1]
        + sum((x @ w for x, w in zip(blocks[1:], hosts, strict=True)), np.zeros(len(y)))
    )
    return float(np.average(loss(link, z, y), weights=weights))


def penalty(run: Run, alpha: float, total: float, model: int = 0) -> float:
    guest, *hosts = (part.weights[model] for part in run.parts)
    return alpha / 2 * sum(float(w @ w) for w in (guest[:-1], *hosts)) / total


PREPARED = pytest.mark.parametrize("prepared", [False, True], ids=["direct", "prepared"])


@PREPARED
@pytest.mark.parametrize(("weighted", "widths"), [(False, (2, 3)), (True, (2, 3)), (True, (0, 1, 2))])
@pytest.mark.parametrize("name", LINKS)
def test_the_loss_is_the_objective_at_the_weights(
    name: str, widths: tuple[int, ...], weighted: bool, prepared: bool
) -> None:
    link, n, models = LINKS[name], 90, 2 if name == "exact" else 1
    blocks, y = problem(link, n, widths, models)
    weights = np.random.default_rng(1).uniform(0.2, 3, y.shape) if weighted else None
    if weighted and link is POISSON:
        weights = weights / weights.mean()  # type: ignore[operator]
    penalised = Penalty(0.5, mean=link is POISSON)
    terms = glm.Terms(link, penalised, 6, weighted=weighted, stopping=glm.Stopping(1e-4, 6), prepared=prepared)
    run = Run(blocks, y, terms, weights=weights)
    found = run.compared(terms, 7)
    assert len(found) == models
    assert run.verdicts("guest") == run.verdicts("host1") == [GO_ON] * models
    for k, (loss_there, target) in enumerate(zip(found, y, strict=True)):
        each = None if weights is None else weights[k]
        total = n if each is None else each.sum()
        alpha = 0.5 * n if link is POISSON else 0.5
        wanted = mean_loss(run, link, blocks, target, each, k) + penalty(run, alpha, total, k)
        assert abs(loss_there - wanted) <= 1.5e-4 * (1 + (link is POISSON) * 5)


@PREPARED
@pytest.mark.parametrize("name", LINKS)
def test_the_validation_loss_is_that_of_the_rows_held_out(name: str, prepared: bool) -> None:
    link = LINKS[name]
    blocks, y = problem(link, 121, (2, 2, 1))
    rng = np.random.default_rng(1)
    train, held = np.arange(80), np.arange(80, 121)
    weights = rng.uniform(0.8, 1, y.shape)
    penalised, ends = Penalty(0.01, mean=link is POISSON), glm.Stopping(1e-4, 5, validation=True)
    terms = glm.Terms(link, penalised, 5, weighted=True, stopping=ends, prepared=prepared)
    outside = ([x[held] for x in blocks], y[:, held], weights[:, held])
    run = Run([x[train] for x in blocks], y[:, train], terms, weights=weights[:, train], held=outside)
    (found,) = run.compared(terms, 7)
    wanted = mean_loss(run, link, [x[held] for x in blocks], y[0, held], weights[0, held])
    assert abs(found - wanted) <= 1.5e-4 * (1 + (link is POISSON) * 5)


def converging(
    link: Link = EXACT, every: int = 5, tol: float = 1e-4, **changes: Any
) -> tuple[list[Matrix], Matrix, glm.Terms]:
    blocks, y = problem(link, 150, (2, 2, 1), changes.pop("count", 1))
    terms = glm.Terms(link, Penalty(1.0, mean=False), 200, stopping=glm.Stopping(tol, every, **changes))
    return blocks, y, terms


def test_training_ends_at_the_optimum_at_all_parties_alike_and_each_model_by_itself() -> None:
    blocks, y, terms = converging(count=2)
    run = Run(blocks, y, terms)
    assert len({part.passes for part in run.parts}) == 1
    assert all(15 <= passes < 100 and passes % 5 == 0 for passes in run.parts[0].passes)
    assert sum(run.parts[0].passes) == 5 * len(run.compared(terms, 8))
    assert len({tuple(run.verdicts(p)) for p in ("guest", "host1", "host2")}) == 1
    for k in range(2):
        best = LogisticRegression(tol=1e-10).fit(np.hstack(blocks), y[k])
        z = best.decision_function(np.hstack(blocks))
        least = loss(EXACT, z, y[k]).mean() + (best.coef_**2).sum() / 2 / 150
        found = mean_loss(run, EXACT, blocks, y[k], None, k) + penalty(run, 1.0, 150, k)
        assert -1e-9 <= found - least <= 2e-4


def test_a_lower_tolerance_comes_closer_and_takes_longer() -> None:
    distances, passes = [], []
    for tol in (1e-2, 1e-5):
        (mine, *others), y, terms = converging(IDENTITY, tol=tol)
        blocks = [mine, *(mine + 0.2 * x[:, :1] for x in others)]  # nearly collinear between the parties
        run = Run(blocks, y, terms)
        x = np.column_stack([*blocks, np.ones(150)])
        w = np.linalg.solve(x.T @ x + np.diag([1.0] * 6 + [0.0]), x.T @ y[0])
        least = ((x @ w - y[0]) ** 2).mean() / 2 + w[:-1] @ w[:-1] / 2 / 150
        distances.append(mean_loss(run, IDENTITY, blocks, y[0], None) + penalty(run, 1.0, 150) - least)
        passes.append(run.parts[0].passes[0])
    assert distances[0] > 10 * distances[1] >= 0
    assert passes[0] < passes[1] < 100


def test_held_out_rows_end_training_before_it_fits_noise() -> None:
    """40 columns of noise and few rows: the loss of the rows held out rises soon, and the weights are those from
    before."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(240, 41)), rng.integers(0, 2, (1, 240)).astype(float)
    blocks, held = [x[:120, :20], x[:120, 20:]], ([x[120:, :20], x[120:, 20:]], y[:, 120:], None)
    terms = glm.Terms(EXACT, Penalty(1e-3), 40, stopping=glm.Stopping(1e-4, 5, validation=True))
    run, longer = (
        Run(blocks, y[:, :120], terms, held=held),
        Run(blocks, y[:, :120], glm.Terms(EXACT, Penalty(1e-3), 40)),
    )
    assert run.verdicts("guest") == [GO_ON, ANEW_AT_BEST, END_AT_BEST]
    assert run.parts[0].passes == run.parts[1].passes == (15,)
    assert mean_loss(run, EXACT, held[0], held[1][0], None) < mean_loss(longer, EXACT, held[0], held[1][0], None) - 0.05
    found = run.compared(terms, 7)
    assert found[0] == min(found)
    assert abs(mean_loss(run, EXACT, held[0], held[1][0], None) - found[0]) <= 2e-4


@PREPARED
@pytest.mark.parametrize(("name", "validation"), [("exact", False), ("identity", True)])
def test_ciphertexts_hold_the_same_loss(name: str, validation: bool, prepared: bool) -> None:
    """With 1024 bits, in which the random multiples have room; weights of rows, two hosts, a last pack not full."""
    blocks, y = problem(LINKS[name], 61, (1, 1, 1))
    held = ([x[:31] for x in blocks], y[:, :31], np.ones((1, 31))) if validation else None
    ends = glm.Stopping(1e-4, 5, validation=validation)
    terms = glm.Terms(LINKS[name], Penalty(1.0), 5, weighted=True, stopping=ends, prepared=prepared)
    weights = np.random.default_rng(1).uniform(0.2, 3, y.shape)
    schemes = Identity(), Paillier(1024)
    clear, secret = (Run(blocks, y, terms, scheme, weights, held).compared(terms, 6) for scheme in schemes)
    assert abs(clear[0] - secret[0]) <= 2e-5


@PREPARED
@pytest.mark.parametrize("scheme", [Identity(), pytest.param(Paillier(1024), marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["exact", "identity"])
def test_the_signs_are_those_of_the_losses(name: str, scheme: Scheme, prepared: bool) -> None:
    """Of every loss but the first: lower than the lowest before by tol, and lower at all."""
    tol = 1e-5
    blocks, y, terms = converging(LINKS[name], tol=tol)
    terms = replace(terms, prepared=prepared)
    run = Run(blocks, y, terms, scheme)
    first, *others = run.compared(terms, 8)
    lowest, wanted = first, []
    for one in others:
        wanted.append((one <= lowest - tol, one < lowest))
        lowest = min(lowest, one)
    assert run.signs() == wanted
    assert len(wanted) >= 2
    assert len(set(wanted)) >= 2


@PREPARED
@pytest.mark.parametrize("validation", [False, True])
def test_every_party_adds_multiples_of_what_the_arbiter_encrypted_for_it(
    monkeypatch: pytest.MonkeyPatch, validation: bool, prepared: bool
) -> None:
    """Weights at each party, and the arbiter's part of the loss at the guest; held-out rows have no weights in it."""
    asked, sums = dict[str, list[int]](), {"guest": 1, "host1": 2, "host2": 4}
    multiples = stopping.multiples

    def known(session: Session, encrypted: list[CipherVec], bits: int, what: str) -> CipherVec:
        asked[session.me] = [len(one) for one in encrypted]
        one = multiples(session, encrypted, bits, what).mul_plain(PlainVec.zeros(1))
        return one.add_plain(PlainVec.from_ints([sums[session.me]]))

    monkeypatch.setattr(stopping, "multiples", known)
    blocks, y = problem(EXACT, 61, (1, 2, 3))
    held = ([x[:31] for x in blocks], y[:, :31], None) if validation else None
    ends = glm.Stopping(1e-4, 5, validation=validation)
    run = Run(blocks, y, glm.Terms(EXACT, Penalty(1.0), 5, stopping=ends, prepared=prepared), held=held)
    assert asked == ({"guest": [1]} if validation else {"guest": [2, 2], "host1": [2], "host2": [3]})
    (loss,) = run.losses
    assert run.key.open(loss, run.key.public.plain_bits).to_ints()[1] == (1 if validation else 7)


def test_verdicts_are_few_however_many_iterations_there_are() -> None:
    """Each answers a question of whoever deviates: with planned iterations there are more of them between two."""
    for passes in (200, 1000, 10_000):
        apart = glm.Stopping(1e-4, 5).within(passes).every
        assert apart >= 5
        assert passes // apart <= MOST_VERDICTS
    assert glm.Stopping(1e-4, 5).within(200).every == 5


def test_a_key_without_room_for_long_factors_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "LEAST_RANGE", 10_000)
    blocks, y, terms = converging()
    with pytest.raises(ConfigError, match="too small to hide a number of which only the sign is opened"):
        Run(blocks, y, terms)


def test_too_few_rows_decide_nothing() -> None:
    blocks, y = problem(EXACT, 80, (1, 1))
    terms = glm.Terms(EXACT, Penalty(1.0), 5, stopping=glm.Stopping(1e-4, 5, validation=True))
    for held in (None, ([x[:29] for x in blocks], y[:, :29], None)):
        with pytest.raises(DataError, match="too few to decide when training ends"):
            Run(blocks, y, terms, held=held)


def judged(*losses: float, every: int = 5) -> list[int]:
    """The arbiter's verdicts on the comparisons of these losses."""
    state = Judging({"p": Share.start(PlainVec.zeros(1))}, glm.Stopping(0.01, every))
    codes, lowest = [], float("inf")
    for k, value in enumerate(losses, 1):
        copy = Judging({"p": Share.start(PlainVec.zeros(1))}, glm.Stopping(0.01, every))
        copy.load(state.save())  # as after a kill
        step = Step(0, 0, keeps=False, number=every * k - 1)
        codes.append(copy.judge(value <= lowest - 0.01, value < lowest, step))
        state, lowest = copy, min(lowest, value)
    return codes


def test_verdicts() -> None:
    assert judged(1.0, 0.9, 0.8, 0.7) == [GO_ON] * 4
    assert judged(1.0, 0.9, 0.895, 0.894) == [GO_ON, GO_ON, ANEW_HERE, END_HERE]
    assert judged(1.0, 0.9, 0.95, 0.8, 0.81, 0.82) == [GO_ON, GO_ON, ANEW_AT_BEST, GO_ON, ANEW_AT_BEST, END_AT_BEST]
    assert judged(1.0, 1.0, 1.0) == [GO_ON, ANEW_AT_BEST, END_AT_BEST]


def told(code: int, made: int) -> int:
    """What a party makes of a verdict: none ends training before momentum was restarted, nor restarts it twice, and
    the first loss (after 5 iterations) is the lowest."""

    class Told:
        def recv(self, kind: Any) -> Any:
            return Verdict(code)

    class Fake:
        arbiter = Told()
        roles = Roles("guest", ("host1",), "arbiter")

    state = Progress({"p": Share.start(PlainVec.zeros(1))}, glm.Stopping(0.01, 5))
    steps = [Step(0, 0, keeps=False, number=5 * k - 1) for k in (1, 2, 3, 4)]
    for step, earlier in zip(steps, (GO_ON, GO_ON, ANEW_HERE), strict=False):
        if step.number + 1 < made:
            state.follow(earlier, step)
    return stopping.receive_verdict(Fake(), state, steps[made // 5 - 1])  # type: ignore[arg-type]


def test_a_verdict_that_there_is_not() -> None:
    assert told(GO_ON, made=5) == GO_ON
    for code, made in ((7, 10), (ANEW_HERE, 5), (END_HERE, 10), (END_AT_BEST, 15), (ANEW_AT_BEST, 20)):
        with pytest.raises(RemoteProtocolError, match="a verdict that there is not here"):
            told(code, made)
