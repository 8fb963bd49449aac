"""The estimate of networks: products, bytes and CPU seconds as they are counted, and what `vfl check` says."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from protocols import network
from protocols.cipher import Identity, Paillier
from protocols.local import run_local
from protocols.network import HeldOut, Stopping, Terms
from protocols.session import Roles, Session
from tests.unit.protocols.glm.test_prepared_cost import Counted
from vfl.cost import estimate, layers
from vfl.cost.machine import Machine
from vfl.cost.meter import Meter
from vfl.cost.network import round_trips
from vfl.job import load_job, starter_job
from vfl.models.workload import NetworkWork
from vfl.taps.counting import CountingTap

BITS = 2048
ROLES = Roles("guest", ("host",), "arbiter")
SMALL = Terms((8, 3), "tanh", "logistic", 2, 60, 0.05, clip=6.0)


def trained(rows: int, columns: tuple[int, int], terms: Terms, held_out: int = 0) -> np.ndarray[Any, Any]:
    """Products, bytes and CPU seconds of a training; held_out: so many of its rows besides decide when it ends."""
    rng, scheme = np.random.default_rng(0), Counted(Paillier(BITS))
    x = rng.normal(size=(rows, sum(columns))).clip(-6, 6)
    y = (0.3 * x.sum(axis=1) + rng.logistic(size=rows) > 0).astype(float)
    own, theirs = np.split(x, [columns[0]], axis=1)
    taps = {p: [CountingTap()] for p in ROLES.all}

    def arbiter(session: Session) -> Any:
        return network.arbiter(session, scheme.generate("arbiter", session.seed("key")), terms)

    guest = partial(network.guest, x=own, y=y, terms=terms, model_id=bytes(16))
    host = partial(network.host, x=theirs, terms=terms)
    if held_out:
        guest = partial(guest, held_out=HeldOut(own[:held_out], y[:held_out]))
        host = partial(host, held_out=theirs[:held_out])
    began = time.process_time()
    programs = {"guest": guest, "host": host, "arbiter": arbiter}
    run_local(ROLES, programs, scheme, taps=taps)  # type: ignore[arg-type]
    spent = time.process_time() - began
    sent = sum(count.bytes_sent for (tap,) in taps.values() for count in tap.totals().values())
    return np.array([sum(key.raw.products for key in scheme.keys), sent, spent])


def apart(rows: int, columns: tuple[int, int], terms: Terms, machine: Machine | None = None) -> list[float]:
    """By how much a second chunk of epochs is missed: products, bytes, and CPU seconds on a machine."""
    work = NetworkWork("network", rows, *columns, 1, terms=terms)
    chunk = layers.plan_of(replace(work, terms=replace(terms, epochs=100)), BITS).together
    one = replace(work, terms=replace(terms, epochs=chunk))
    whole = trained(rows, columns, replace(terms, epochs=2 * chunk)) - trained(rows, columns, one.terms)
    count = layers.counts(one, BITS)
    found = [count.products / whole[0] - 1, count.bytes / whole[1] - 1]
    found += [] if machine is None else [layers.one_core_s(one, BITS, machine) / whole[2] - 1]
    print([round(miss, 3) for miss in found])
    return found


def test_products_and_bytes_as_they_are_counted() -> None:
    assert max(map(abs, apart(120, (2, 3), SMALL))) < layers.WORST


@pytest.mark.slow
@pytest.mark.parametrize("family", ["logistic", "linear"])
def test_products_and_bytes_of_rows_that_decide_when_training_ends(family: Any) -> None:
    terms = replace(SMALL, family=family)
    stops, work = replace(terms, stopping=Stopping(1e-3, 100)), NetworkWork("network", 120, 2, 3, 1, terms=terms)
    found = trained(120, (2, 3), stops, 90) - trained(120, (2, 3), terms)
    count = layers.evaluations(replace(work, held_out=90), BITS)
    missed = [count.products / found[0] - 1, count.bytes / found[1] - 1]
    print([round(miss, 3) for miss in missed])
    assert max(map(abs, missed)) < layers.WORST


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("rows", "terms"),
    [
        (1_000, Terms((16,), "tanh", "logistic", 1, 1_000, 0.05, clip=6.0)),
        (1_000, Terms((64, 32), "tanh", "logistic", 1, 1_000, 0.05, clip=6.0)),
        (2_000, Terms((16,), "relu", "logistic", 1, 200, 0.01, clip=6.0)),
    ],
)
def test_cpu_seconds_as_they_are_measured(rows: int, terms: Terms) -> None:
    assert max(map(abs, apart(rows, (5, 18), terms, Machine.measured(BITS)))) < layers.WORST


def estimated(write: Any, **changes: object) -> float:
    text = starter_job(kind="mlp-classifier")
    for key, value in changes.items():
        line = next(line for line in text.splitlines() if line.startswith(f"{key} = "))
        text = text.replace(line, f"{key} = {value}")
    return min(estimate.times(load_job(write(text)), 8_000, 12).values())


def test_what_makes_a_network_longer_makes_its_estimate_longer(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "measured", classmethod(lambda cls, key_bits: Machine(3e-7, 0.045)))
    base = estimated(write)
    assert estimated(write, max_iter=200) == pytest.approx(2 * base, rel=0.1)
    assert 2 * base < estimated(write, hidden_layer_sizes="[64]") < 4 * base
    assert base < estimated(write, hidden_layer_sizes="[16, 8]") < 1.5 * base
    said = estimate.in_words(load_job(write(starter_job(kind="mlp-classifier"))), (8_000, 12))
    assert said.startswith("about ")
    assert f"bytes of networks are predicted within {layers.WORST:.0%}" in said


@pytest.mark.parametrize("hidden", [(4,), (4, 3)])
def test_round_trips(hidden: tuple[int, ...]) -> None:
    """As the messages of a metered chunk are played again on a network that has latency alone."""
    terms = replace(SMALL, hidden=hidden, batch_size=30)
    chunk = chunk_of(terms)
    found, told = (of(terms, 3 * chunk) - of(terms, chunk) for of in (played, counted))
    print(found, told)
    assert told == pytest.approx(found, rel=layers.WORST)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["logistic", "linear"])
@pytest.mark.parametrize("hidden", [(4,), (4, 3)])
def test_round_trips_of_verdicts(hidden: tuple[int, ...], family: Any) -> None:
    """What they add to those of the training."""
    terms = replace(SMALL, hidden=hidden, batch_size=30, family=family)
    stops, chunk = replace(terms, stopping=Stopping(1e-3, 100)), chunk_of(terms)
    found, told = (of(stops, chunk, 60) - of(terms, chunk) for of in (played, counted))
    print(found, told)
    assert told == pytest.approx(found, rel=layers.WORST)


def chunk_of(terms: Terms) -> int:
    """How many epochs it has."""
    return layers.plan_of(NetworkWork("network", 30, 2, 2, 1, terms=replace(terms, epochs=100)), BITS).together


def counted(terms: Terms, epochs: int, held_out: int = 0) -> float:
    work = NetworkWork("network", 30, 2, 2, 1, terms=replace(terms, epochs=epochs), held_out=held_out)
    return layers.counts(work, BITS).round_trips


def played(terms: Terms, epochs: int, held_out: int = 0) -> float:
    meters, x, terms = (
        {p: Meter() for p in ROLES.all},
        np.linspace(-1, 1, 120).reshape(30, 4),
        replace(terms, epochs=epochs),
    )
    y, more = (x[:, 0] > 0).astype(float), np.tile(x, (held_out // 30, 1))

    def arbiter(session: Session) -> Any:
        return network.arbiter(session, Identity(BITS).generate("arbiter", session.seed("key")), terms)

    guest = partial(network.guest, x=x[:, :2], y=y, terms=terms, model_id=bytes(16))
    host = partial(network.host, x=x[:, 2:], terms=terms)
    if held_out:
        guest = partial(guest, held_out=HeldOut(more[:, :2], np.tile(y, held_out // 30)))
        host = partial(host, held_out=more[:, 2:])
    programs = {"guest": guest, "host": host, "arbiter": arbiter}
    run_local(ROLES, programs, Identity(BITS), taps={p: [m] for p, m in meters.items()})  # type: ignore[arg-type]
    return round_trips({p: m.events for p, m in meters.items()})
