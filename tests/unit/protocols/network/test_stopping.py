"""Early stopping of a network: it ends after the epoch, and with the weights, that the same integers in the clear say;
and faults planted in it are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import r2_score

from protocols import group_size, network
from protocols._native import PlainVec
from protocols.allowance import Allowance
from protocols.channel import Tap
from protocols.cipher import Identity, Scheme
from protocols.errors import ConfigError, RemoteProtocolError, TooFewHeldOut
from protocols.local import run_local
from protocols.network import stopping
from protocols.network.descent import Descent
from protocols.network.plan import Terms
from protocols.network.stopping import HeldOut, Look
from protocols.network.watch import Stopping, Watch
from protocols.session import Roles
from tests.harness import ContextFree
from tests.unit.protocols.glm.test_glm import problem
from tests.unit.protocols.network.networks import TERMS, Floats, Started, opened
from tests.unit.protocols.network.test_training import TABLE
from tests.unit.protocols.network.twin import Twin

KEY = Identity(1024)
STOPS = replace(TERMS, hidden=(2,), epochs=12, batch_size=45, rate=1.0, alpha=0.0, stopping=Stopping(1e-3, 2))
ROWS, TRAINED = 120, 85


class Counting(Allowance):
    """At the guest: what hosts learn of labels."""

    told: Mapping[str, Mapping[str, int]] | None = None

    def training(self, numbers: Mapping[str, Mapping[str, int]], *_: Any, **__: Any) -> None:
        self.told = numbers


class Trained:
    """A training that may end early, and its twin in the clear after each epoch."""

    def __init__(
        self,
        terms: Terms,
        widths: tuple[int, ...] = (2, 3),
        scheme: Scheme = KEY,
        taps: dict[str, list[Tap]] | None = None,
    ) -> None:
        blocks, y = problem(n=ROWS, widths=widths)
        y = y if terms.family == "logistic" else (blocks[-1][:, 0] - blocks[-1][:, -1] ** 2 / 3)
        train, held = [b[:TRAINED] for b in blocks], [b[TRAINED:] for b in blocks]
        hosts = tuple(f"host{k}" for k in range(1, len(blocks)))
        roles = Roles("guest", hosts, "arbiter")
        programs: dict[str, Any] = {
            h: partial(network.host, x=b, terms=terms, held_out=v)
            for h, b, v in zip(hosts, train[1:], held[1:], strict=True)
        }
        weights = np.random.default_rng(5).uniform(0.9, 1.0, ROWS) if terms.weighted else np.ones(ROWS)
        own, theirs = (part if terms.weighted else None for part in np.split(weights, [TRAINED]))
        programs["guest"] = partial(
            network.guest,
            x=train[0],
            y=y[:TRAINED],
            terms=terms,
            model_id=bytes(16),
            weights=own,
            held_out=HeldOut(held[0], y[TRAINED:], theirs),
        )
        programs["arbiter"] = lambda s: network.arbiter(s, scheme.generate("arbiter", s.seed("key")), terms)
        with pytest.MonkeyPatch.context() as patch:
            self.started = Started(patch)
            randomness = {p: ContextFree(p) for p in roles.all}
            self.allowance = Counting()
            allowances = {p: self.allowance if p == "guest" else Allowance() for p in roles.all}
            self.found = run_local(roles, programs, scheme, taps=taps, randomness=randomness, allowances=allowances)
        self.terms, self.hosts = terms, list(hosts)
        self.x, self.new = (np.concatenate(part, axis=1) for part in (train, held))
        self.y, self.known, self.weights, self.weigh = y[:TRAINED], y[TRAINED:], own, weights[TRAINED:]

    @property
    def told(self) -> tuple[int, str, int]:
        """What all data parties say of its end."""
        (said,) = {(one.epochs, one.end, one.best) for party, one in self.found.items() if party != "arbiter"}
        return said

    def loss(self, twin: Twin) -> float:
        z = twin.predictors(self.new)
        if self.terms.family == "logistic":
            return float(np.average(np.logaddexp(0, z) - self.known * z, weights=self.weigh))
        return 1 - r2_score(self.known, z, sample_weight=self.weigh)

    def expected(self) -> tuple[tuple[int, str, int], Floats]:
        """How and when the twin's training ends, and its weights then."""
        twin, best, lowest, stops = self.started.twin(self.hosts), 0, np.inf, self.terms.stopping
        assert stops is not None
        for epoch in range(1, self.terms.epochs + 1):
            twin.train_epoch(self.x, self.y, self.started.order, epoch - 1, self.weights)  # type: ignore[arg-type]
            loss = self.loss(twin)
            assert abs(lowest - loss - stops.tol) > 2e-4, "too near for the error of the table"
            if loss <= lowest - stops.tol:
                best, lowest, weights = epoch, loss, twin.flat()
            if epoch - best > stops.patience:
                return (epoch, "loss", best), weights
        return (epoch, "limit", best), weights

    def apart(self) -> float:
        """The largest difference of a weight from the twin's, per step and unit of the rate."""
        _, weights = self.expected()
        assert self.started.plan is not None
        steps = self.told[2] * self.started.plan.batches
        return float(np.abs(weights - opened(self.found, self.terms)).max()) / (steps * self.terms.rate)


@pytest.mark.parametrize(
    ("changes", "widths", "end"),
    [
        ({}, (2, 3), "loss"),
        ({"epochs": 3, "rate": 0.1, "hidden": (3, 2)}, (2, 1, 1), "limit"),
        ({"family": "linear", "rate": 0.1, "stopping": Stopping(1e-2, 1)}, (1, 2, 1), "loss"),
        ({"weighted": True, "stopping": Stopping(5e-3, 1)}, (2, 3), "loss"),
        ({"weighted": True, "family": "linear", "rate": 0.1, "epochs": 3}, (2, 1), "limit"),
    ],
)
def test_it_ends_as_the_same_integers_in_the_clear(changes: dict[str, Any], widths: tuple[int, ...], end: str) -> None:
    one = Trained(replace(STOPS, **changes), widths)
    assert one.told == one.expected()[0]
    assert one.told[1] == end
    assert one.apart() < TABLE
    assert 1 < one.told[2] <= one.told[0]


def test_all_epochs_of_a_chunk_that_ends_early_and_one_that_does_not() -> None:
    """What decides is the same, whether pads of one epoch or of several are made together."""
    watch = Watch(Stopping(1e-3, 1), 6)
    for epoch, better in enumerate((True, False, True, False, False), 1):
        watch.keep({"w": epoch})  # type: ignore[dict-item]
        best = watch.judge(better=better)
        assert best in watch.possible
        assert best == (3 if epoch == 5 else 0)
    assert (watch.end(3), watch.ended, watch.over) == ({"w": 3}, "loss", True)
    assert sorted(watch.kept) == [3, 4, 5]


def test_the_last_epoch_ends_a_training_whatever_it_is() -> None:
    watch = Watch(Stopping(1e-3, 5), 3)
    for epoch, better in enumerate((True, True, False), 1):
        watch.keep({"w": epoch})  # type: ignore[dict-item]
        best = watch.judge(better=better)
    assert best == 2
    assert watch.possible == (1, 2, 3)
    assert (watch.end(best), watch.ended) == ({"w": 2}, "limit")


def test_a_state_is_stored_and_read_again() -> None:
    watch = Watch(Stopping(1e-3, 5), 3)
    watch.keep({"W1": PlainVec.from_ints([1, -2]), "host 1": PlainVec.from_ints([3])})
    watch.judge(better=True)
    other = Watch(Stopping(1e-3, 5), 3, made=2, over=True)
    other.load(watch.save())
    assert (other.made, other.best, other.over) == (1, 1, False)
    assert {name: values.to_ints() for name, values in other.kept[1].items()} == {"W1": [1, -2], "host 1": [3]}


def test_what_hosts_learn_of_labels_is_counted_as_one_number() -> None:
    one = Trained(replace(STOPS, epochs=2), (2, 1, 1))
    assert one.allowance.told == {"the number of epochs of model 00000000": {"host1": 1, "host2": 1}}


# -- what is refused, and planted faults


def test_what_is_refused_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="more verdicts than a training may"):
        Trained(replace(STOPS, epochs=101))
    monkeypatch.setattr(group_size, "LEAST_ROWS", 36)
    with pytest.raises(TooFewHeldOut, match="35 rows"):
        Trained(STOPS)


def test_a_verdict_that_there_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An arbiter that ends training after the first epoch."""
    honest = stopping.broadcast
    monkeypatch.setattr(stopping, "broadcast", lambda to, _: honest(to, stopping.EpochVerdict(1)))
    with pytest.raises(RemoteProtocolError, match="verdict that there is not here"):
        Trained(STOPS)


def test_a_verdict_from_other_rows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels of other rows than those whose columns are evaluated."""
    honest = Look.of
    monkeypatch.setattr(Look, "of", lambda plan, held: honest(plan, replace(held, y=np.roll(held.y, 1))))
    one = Trained(STOPS)
    assert one.told != one.expected()[0]


def test_weights_that_are_not_those_of_the_best_epoch_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Descent, "go_back", lambda self, best: self.watch.end(best))
    one = Trained(STOPS)
    assert one.told == one.expected()[0]
    assert one.apart() > 10 * TABLE
