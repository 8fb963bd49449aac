"""One attack of each family on three processes under Paillier of 2048 bits: what the attacker has on its disk
afterwards, with the defaults and without what they protect.

The label reading by noise columns is in test_label_reading.py, the reused name in test_reused_name.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.harness import KNOWN
from tests.parts import predictor
from tests.promises.attacks.budgeted import Floats
from tests.promises.attacks.test_columns_from_scores import columns_of, explained
from tests.promises.attacks.test_label_reading import World, auc, solved
from tests.promises.attacks.test_own_column_oracle import r2, regressed
from tests.promises.attacks.thief import labels_in
from tests.promises.processes.institutions import KEY, MANY, Ended, Institutions, institutions
from tests.promises.processes.test_budgets import others_name, sent
from vfl.job import PERMITS
from vfl.models.part_files import load_part

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
DEFAULTS = {"min_bin_rows": 1}  # and else the policy as `vfl init` writes it
POLICIES = pytest.mark.parametrize("policy", [MANY, DEFAULTS], ids=["unprotected", "default"])


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[Institutions]:
    with institutions(tmp_path) as made:
        yield made


def lay_out(
    parties: Institutions,
    policy: dict[str, int],
    own: Floats,
    label: Any,
    theirs: Floats,
    **job: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two tables, row for row."""
    ids = [f"CANARY-{k:04d}" for k in range(len(own))]
    guest = pd.DataFrame(own, columns=[f"g{k}" for k in range(own.shape[1])]).assign(**{KEY: ids, "canarylabel": label})
    host = pd.DataFrame(theirs, columns=[f"x{k}" for k in range(theirs.shape[1])]).assign(**{KEY: ids})
    parties.lay_out({"bank": guest, "telecom": host}, settings={"allow": tuple(PERMITS), "policy": policy}, **job)
    return guest, host


def refused(ended: dict[str, Ended], who: str, key: str) -> None:
    ended[who].says(6, f"policy.{key} is")
    others_name(ended, who)


@POLICIES
def test_labels_from_events_of_bins_and_from_points(parties: Institutions, policy: dict[str, int]) -> None:
    """A scorecard whose weights are revealed, 122 rows and six columns of noise at the host."""
    world = World(122, 1)
    bins = {"max_n_prebins": 20, "max_n_bins": 12, "min_bin_rows": 1, "min_bin_size": 0.02, "monotonic_trend": "none"}
    job = {"kind": "scorecard", "test": 0.0, "max_iter": 20, "link": "taylor", "reveal": KNOWN, **bins}
    noise = world.rng.normal(size=(122, 6))  # at one row per number, 6 * (19 + 1) and two verdicts are allowed
    _, host = lay_out(parties, policy, world.own, world.y.astype(int), noise, **job)
    ended = parties.together(seconds=300)
    told = sent(parties, "bank", "MergedCounts")
    if policy is DEFAULTS:
        refused(ended, "bank", "rows_per_label_number")
        assert not told
        assert not list((parties.folder / "telecom").rglob("model"))
        return
    assert [e.code for e in ended.values()] == [0, 0, 0], ended
    part, _ = load_part(ended["telecom"].folder / "model")
    events = auc(world.y, solved([c.bin_of(host[c.name]) for c in part.bins], world.y))
    points = auc(world.y, -part.points_of(host).sum(axis=1).to_numpy(float))
    print(f"three processes: AUC {events:.3f} from events of bins, {points:.3f} from points")
    assert told
    assert [int(e) for c in part.bins for e in c.events] == [
        int(world.y[c.bin_of(host[c.name]) == k].sum()) for c in part.bins for k in range(len(c.events))
    ]
    assert min(events, points) >= 0.95


@pytest.mark.parametrize("reveal", [KNOWN, ()], ids=["revealed", "shared"])
def test_labels_taken_home_by_a_host_that_deviates(parties: Institutions, reveal: tuple[str, ...]) -> None:
    """Nineteen labels in each of three weights, where weights are revealed; the fourth is spent on the base rate."""
    rng = np.random.default_rng(1)
    own, theirs = rng.normal(size=(57, 3)), rng.normal(size=(57, 4))
    y = (own.sum(axis=1) + rng.logistic(size=57) > 1.5).astype(int)
    steps = {"max_iter": 10, "link": "taylor", "preparation": "none"}  # where the thief gets encrypted residuals
    guest, _ = lay_out(parties, MANY, own, y, theirs, test=0.0, reveal=reveal, **steps)
    text, verdict = parties.job.read_text(), '"convergence-to-parties",\n'
    assert verdict in text  # without it the steps are the planned ones, on which the thief counts
    parties.job.write_text(text.replace(verdict, ""))
    order = parties.folder / "order"
    others = [parties.start(name) for name in ("bank", "trustco")]
    words = [
        "-m",
        "tests.promises.attacks.thieving_host",
        "57",
        "4",
        "19",
        str(order),
        str(parties.job),
        str(parties.file("telecom")),
    ]
    ended = parties.run(words, "telecom").wait(300)
    assert [ended.code, *(p.wait(60).code for p in others)] == [0, 0, 0], ended.err
    (model,) = (parties.folder / "telecom").rglob("model")
    part, _ = load_part(model)
    told = part.shares.latest[0].view(np.int64)
    assert part.known == bool(reveal)
    if not reveal:
        assert not told.any()
        return
    ids = order.read_text().split("\n")
    truth = guest.set_index(KEY)["canarylabel"][ids].to_numpy()
    right = labels_in(told, 57, 19) == truth
    print(f"three processes: {right.sum()} of 57 labels taken home, {truth.sum()} of them events")
    assert right.mean() >= 0.95


@POLICIES
def test_columns_from_scores_of_many_models(parties: Institutions, policy: dict[str, int]) -> None:
    """As many models of labels of noise as the host has columns, and a score of every row from each."""
    x, rng, held = columns_of(100, 3), np.random.default_rng(3), list[Floats]()
    own = rng.normal(size=(100, 1))
    guest, _ = lay_out(parties, policy, own, rng.normal(size=100), x, kind="linear-regression", test=0.0, max_iter=20)
    for _ in range(3):
        guest["canarylabel"] = rng.normal(size=100)
        guest.to_csv(parties.folder / "bank" / "customers.csv", index=False)
        models = parties.models(parties.done(seconds=300))
        if held and policy is DEFAULTS:
            alone = parties.start("telecom", "--model", str(models["telecom"]), command="predict")
            alone.wait(60).says(6, "policy.score_vectors is 1")  # before anything is sent
            break
        held.append(scored(parties, models, guest))
    found = explained(x, [own, *[h[:, np.newaxis] for h in held]])
    print(f"three processes, scores of {len(held)} models: R^2 of the host's columns {found.round(3)}")
    assert len(held) == (1 if policy is DEFAULTS else 3)
    assert found.mean() <= 0.5 if policy is DEFAULTS else found.min() >= 0.95


@POLICIES
def test_the_hosts_part_by_an_oracle_of_own_columns(parties: Institutions, policy: dict[str, int]) -> None:
    """All rows scored, and once more with the guest's columns moved one by one."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 4))
    own = x[:, :2] + 0.5 * rng.normal(size=(300, 2))
    y = own @ [0.8, -0.6] + x @ [0.7, 0.6, -0.8, 0.5] + 0.5 * rng.normal(size=300)
    guest, host = lay_out(parties, policy, own, y, x, kind="linear-regression", test=0.0, max_iter=20)
    models = parties.models(parties.done(seconds=300))
    part = parties.whole(models)["telecom"]
    truth = predictor(part, host)[:, 0]
    first = scored(parties, models, guest)
    left = regressed(first, own)
    for column in ("g0", "g1"):
        moved = guest.assign(**{column: guest[column] + 1})
        if policy is DEFAULTS:
            refused(predicted(parties, models, moved), "telecom", "scores_per_row")
        else:
            own_weight = float(np.mean(scored(parties, models, moved) - first))
            left = (first if column == "g0" else left) - own_weight * guest[column].to_numpy()
    print(f"three processes: R^2 of the host's part {r2(left, truth):.4f}")
    assert r2(left, truth) < 0.7 if policy is DEFAULTS else r2(left, truth) > 0.99


def predicted(parties: Institutions, models: dict[str, Path], guest: pd.DataFrame) -> dict[str, Ended]:
    new = parties.folder / "bank" / "new.csv"
    guest.drop(columns="canarylabel").to_csv(new, index=False)
    data = {"bank": ["--data", str(new)], "telecom": [], "trustco": []}
    started = {
        name: parties.start(name, "--model", str(model), *data[name], command="predict")
        for name, model in models.items()
    }
    return {name: process.wait(120) for name, process in started.items()}


def scored(parties: Institutions, models: dict[str, Path], guest: pd.DataFrame) -> Floats:
    ended = predicted(parties, models, guest)
    assert [e.code for e in ended.values()] == [0, 0, 0], ended
    return pd.read_csv(ended["bank"].folder / "scores.csv")["score"].to_numpy(float)
