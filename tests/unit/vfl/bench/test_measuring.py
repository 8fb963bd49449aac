"""What is measured moves with what is done: planted work and planted waiting show where they were planted."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from protocols.boosting.keys import PairKeys
from protocols.boosting.params import Params
from protocols.boosting.scale import scale_of
from protocols.boosting.sealed import Start, layout_of
from protocols.cipher import CipherVec, Identity, Paillier
from protocols.glm.block import Block
from vfl.bench.fit import coefficients, least
from vfl.bench.worker import federated, measure
from vfl.cost import cost, network
from vfl.cost.jobs import run, tables
from vfl.cost.machine import Machine
from vfl.cost.meter import Event, Meter
from vfl.cost.network import Network, play
from vfl.models.workload import Workload

SMALL = Workload("logistic", 60, guest_columns=2, host_columns=4, passes=5)
TREES = Workload("trees", 60, guest_columns=2, host_columns=3, trees=1, depth=2, bins=8)
TOY = Paillier(512)


def products(work: Workload) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for party, meter in run(work, TOY, repeatable=True).meters.items():
        for event in meter.events:
            found[party, event.phase] = found.get((party, event.phase), 0) + event.products
    return found


def test_products_are_counted_where_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    before, once = products(SMALL), Block.predictor

    def twice(block: Block, theirs: CipherVec, mine: Any) -> CipherVec:
        found = once(block, theirs, mine)
        return found + once(block, theirs, mine) if block.width == SMALL.host_columns else found

    monkeypatch.setattr(Block, "predictor", twice)
    after = products(SMALL)
    assert after["host1", "train"] >= before["host1", "train"] + SMALL.passes * SMALL.rows
    assert after["guest", "train"] == pytest.approx(before["guest", "train"], rel=0.02)  # fresh masks have other digits
    assert after["host1", "align"] == before["host1", "align"] == 0


@pytest.mark.slow
def test_a_sleep_shows_at_its_party_and_phase_and_as_waiting_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    once = Block.of.__func__  # type: ignore[attr-defined]

    def slow(cls: type[Block], x: Any, *rest: Any, **named: Any) -> Block:
        if named["intercept"]:  # the guest's
            time.sleep(1.0)
        return once(cls, x, *rest, **named)  # type: ignore[no-any-return]

    monkeypatch.setattr(Block, "of", classmethod(slow))
    found = measure("clear", SMALL, 2048, judge=False)
    by = {(p["party"], p["phase"]): p for p in found["phases"]}
    assert by["guest", "train"]["seconds"] >= 1.0
    assert by["arbiter", "train"]["waited_s"] >= 0.9
    assert found["path_s"] >= 1.0
    assert found["networks"][network.LINE.name] > found["networks"][network.LAN.name] > 1.0


def test_work_and_waiting_are_told_apart() -> None:
    now = [0.0]
    meter = Meter(lambda: now[0])

    def after(seconds: float) -> None:
        now[0] += seconds

    class Note:
        kind = "Note"

    meter.phase_begins("train")
    after(2)
    meter.sent("host", Note, b"12345")  # type: ignore[arg-type]
    after(1)
    meter.waits("host", Note)  # type: ignore[arg-type]
    after(7)
    meter.arrived("host", Note)  # type: ignore[arg-type]
    after(4)
    meter.received("host", Note, b"123")  # type: ignore[arg-type]
    meter.phase_ends("train")
    assert meter.events == [
        Event("send", "train", "host", "Note", 5, 2.0, 0, 0.0),
        Event("receive", "train", "host", "Note", 3, 1.0, 0, 7.0),
        Event("end", "train", "", "", 0, 4.0, 0, 0.0),
    ]


def test_a_replay_is_what_one_computes_by_hand() -> None:
    def event(what: Any, peer: str, size: int, seconds: float) -> Event:
        return Event(what, "train", peer, "Note", size, seconds, 0, 0.0)

    a = [
        event("send", "b", 1000, 1.0),
        event("send", "b", 1000, 0.0),
        event("receive", "b", 0, 0.5),
        event("end", "", 0, 0.25),
    ]
    b = [event("receive", "a", 1000, 0.0), event("receive", "a", 1000, 3.0), event("send", "a", 500, 2.0)]
    slow = Network("slow", 8000.0, 0.4)  # 1,000 bytes a second
    # a's second message arrives at 1 + 1 + 1 + 0.2; b has worked from 2.2 to 5.2 by then, then 2 more; 0.5 s of line,
    # 0.2 s of way, 0.25 s of work
    assert play({"a": a, "b": b}, slow) == pytest.approx(2.2 + 3 + 2 + 0.5 + 0.2 + 0.25)
    assert network.round_trips({"a": a, "b": b}) == pytest.approx(1.0)
    assert network.bytes_in_line({"a": a, "b": b}) == pytest.approx(2500)
    with pytest.raises(ValueError, match="nobody sends"):
        play({"a": a, "b": b[:2]}, slow)


def test_all_modes_measure_the_same_job() -> None:
    clear, sealed = (measure(mode, TREES, bits, judge=True) for mode, bits in (("clear", 2048), ("paillier", 512)))
    assert 0 <= clear["auc"] <= 1
    assert 0 <= sealed["auc"] <= 1  # not equal: each run shuffles the rows anew, and gradients are rounded by row
    assert clear["products"] == 0 < sealed["products"]
    assert clear["round_trips"] == pytest.approx(sealed["round_trips"], rel=0.2)
    by_wins = ("ShareLessPad", "DirectionShare", "ProductShare")  # who sends them to whom depends on whose splits win
    sent = [
        {(m["from"], m["to"], m["kind"]) for m in found["messages"] if m["kind"] not in by_wins}
        for found in (clear, sealed)
    ]
    assert sent[0] == sent[1]


def test_the_tables_have_the_shape_that_was_asked() -> None:
    work = Workload("trees", 100, guest_columns=3, host_columns=7, hosts=3)
    data = tables(work)
    assert [len(h.columns) - 1 for h in data.hosts.values()] == [3, 2, 2]
    assert len(data.joined()) == 100
    assert len(data.guest) == 125
    assert not set(tables(work, new=True).guest["id"]) & set(data.guest["id"])


# -- the cost model


def test_coefficients_are_found_again_and_never_negative() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.uniform(1, 100, (40, 6))
    true = np.array([3.0, 0.0, 0.5, 0.0, 2.0, 1.0])
    assert least(matrix, matrix @ true, matrix @ true) == pytest.approx(true, abs=1e-8)
    assert (least(matrix, matrix @ (true - 0.2), matrix @ true) >= 0).all()


@pytest.mark.parametrize(
    "work",
    [
        Workload("logistic", 350, guest_columns=4, host_columns=6, passes=6),
        pytest.param(
            Workload("logistic", 300, guest_columns=4, host_columns=6, passes=5, classes=3, weighted=True),
            marks=pytest.mark.slow,
        ),
        pytest.param(Workload("linear", 300, guest_columns=4, host_columns=6, passes=6), marks=pytest.mark.slow),
        pytest.param(Workload("poisson", 300, guest_columns=4, host_columns=6, passes=5), marks=pytest.mark.slow),
        pytest.param(
            Workload("scorecard", 300, guest_columns=4, host_columns=20, passes=5, link="taylor"),
            marks=pytest.mark.slow,
        ),
        Workload("trees", 700, guest_columns=4, host_columns=6, trees=1, depth=4),
        pytest.param(
            Workload("trees", 700, guest_columns=4, host_columns=6, trees=1, depth=4, membership="open"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["exact", "classes", "linear", "poisson", "scorecard", "sealed", "open"],
)
def test_counts_of_a_job_that_the_model_was_not_fitted_on_are_foretold_within_30_per_cent(work: Workload) -> None:
    found, told = measure("paillier", work, 2048, judge=False), cost.predict(work, 2048)
    for count in ("products", "path_products", "bytes", "path_bytes", "round_trips"):
        assert told[count] == pytest.approx(found[count], rel=0.3), count


@pytest.mark.parametrize(("rounds", "classes"), [(1, 1), (7, 1), (3, 3), (5, 4), (2, 9)])
def test_ciphertexts_of_sealed_trees_are_those_that_a_training_prepares(rounds: int, classes: int) -> None:
    p = Params(
        n_estimators=rounds,
        max_depth=4,
        objective="multi:softprob" if classes > 1 else "binary:logistic",
        num_class=classes,
    )
    layout = layout_of(p, 10_000, 2048, weighted=False)
    start = Start(
        p, [3, 4], np.zeros(10_000, dtype=np.bool_), layout, scale_of(p, 10_000, weighted=False), PairKeys({}), 0
    )
    prepared = sum(group.planes for step in start.steps for group in start.groups(step))
    assert cost.ciphertexts(layout, rounds * classes, classes) == prepared <= rounds * classes


def test_a_formula_of_another_job_would_be_seen() -> None:
    """The planted fault of the test above: a model fitted on half of the passes."""
    work = Workload("logistic", 350, guest_columns=4, host_columns=6, passes=6)
    told = cost.predict(work, 2048)
    halved = cost.predict(Workload("logistic", 350, guest_columns=4, host_columns=6, passes=3), 2048)
    assert all(halved[count] < 0.75 * told[count] for count in ("products", "bytes", "round_trips"))


def test_a_job_costs_more_with_more_of_everything_and_less_on_a_better_network() -> None:
    machine, base = Machine(1e-6, 0.05), Workload("logistic", 10_000, passes=20)

    def seconds(work: Workload, bits: int = 2048, net: Network = network.CITY, cores: int = 2) -> float:
        return cost.seconds(work, bits, machine, net, cores)

    once = seconds(base)
    assert once < seconds(Workload("logistic", 20_000, passes=20))
    assert once < seconds(Workload("logistic", 10_000, passes=40))
    assert once < seconds(Workload("logistic", 10_000, passes=20, host_columns=40))
    assert once < seconds(base, bits=3072)
    assert seconds(base, net=network.LAN) < once < seconds(base, net=network.LINE)
    assert seconds(base, cores=8) < once < seconds(base, cores=1)


def test_a_formula_is_fitted_from_runs() -> None:
    works = [Workload("logistic", n, 3, 4, passes=p) for n in (20, 40) for p in (5, 6)]
    runs = []
    for work in works:
        found = federated(work, Identity(), judge=False)
        runs.append(found | {"work": work.as_dict(), "key_bits": 2048, "other": found["cpu_s"], "paced": 0.0})
    known = cost.fitted()["formulas"]
    model = {"formulas": {"alignment": known["alignment"], "exact": coefficients(runs, known)}}
    for work, found in zip(works, runs, strict=True):
        assert cost.predict(work, 2048, model)["round_trips"] == pytest.approx(found["round_trips"], rel=0.02)
