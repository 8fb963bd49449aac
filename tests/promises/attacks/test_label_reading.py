"""A host that adds columns of its own choice and reads the guest's labels off numbers that it is told: its final
weights, the events of its bins.

At a regression's optimum X_H^T (y - p) = w_H / C: as many exact statements about labels as the host has columns
(outputs.md, finding 2).  Two rows for each weight give the labels away (Cover 1965); where the model stays shared the
host is told none.  What many models tell, and the budget: test_labels_from_weights.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from protocols.errors import DisclosureRefused
from protocols.glm import training
from protocols.glm.plan import SCORE
from tests.harness import KNOWN
from tests.plans import planned
from tests.promises.attacks import thief
from tests.promises.attacks.budgeted import Budgeted, Floats, table
from tests.promises.processes.institutions import KEY, Institutions, institutions
from vfl.job import PERMITS
from vfl.models.part_files import load_part
from vfl.models.regression.spec import LogisticRegression
from vfl.models.scorecard import program as scorecard
from vfl.models.scorecard.spec import Scorecard
from vfl.preprocessing import Fitting, Preprocessing
from vfl.preprocessing.settings import SCORECARD

BOUND, CONTROL = 0.63, 0.98  # areas under the curve
SLOW = pytest.mark.slow


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[Institutions]:
    with institutions(tmp_path) as made:
        yield made


def auc(y: Floats, score: Floats) -> float:
    ranks = np.argsort(np.argsort(score)) + 1.0
    events = y.sum()
    return float((ranks[y == 1].sum() - events * (events + 1) / 2) / (events * (len(y) - events)))


class World:
    """A bank's columns and labels, a fifth of them events; host columns are signs drawn by coin, and some that hang
    together with the labels."""

    def __init__(self, rows: int, seed: int, real: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.own, self.real = self.rng.normal(size=(rows, 3)), self.rng.normal(size=(rows, real))
        score = (
            self.own @ [0.6, -0.5, 0.4] + self.real @ (0.4 * self.rng.normal(size=real)) + self.rng.logistic(size=rows)
        )
        self.y = (score > np.quantile(score, 0.8)).astype(float)

    def train(self, parties: Budgeted, noise: int, reveal: tuple[str, ...], passes: int = 60) -> tuple[Floats, Floats]:
        """One regression with new columns of noise: the host's own columns as they were trained on, and what it holds
        of its weights."""
        x = np.column_stack([self.real, self.rng.choice([-1.0, 1.0], size=(len(self.y), noise))])
        host = table("telecom", x)
        part = parties.train(
            table("bank", self.own, self.y), host, planned(LogisticRegression, max_iter=passes, reveal=reveal)
        )["telecom"].part
        return part.standardiser.transform(host.features, "telecom"), part.shares.latest.view(np.int64)[0] / 2.0**24


@pytest.mark.parametrize(
    ("rows", "noise"), [pytest.param(200, 90, id="200 rows"), pytest.param(1000, 480, id="1000 rows", marks=SLOW)]
)
def test_two_rows_for_each_weight_give_the_labels_away_unless_the_model_stays_shared(rows: int, noise: int) -> None:
    """The control, without a budget; and the same columns with the default, whose host holds uniform numbers."""
    world = World(rows, 1, real=5)
    x, weights = world.train(Budgeted(None), noise, KNOWN, passes=100)
    told = auc(world.y, x @ weights)
    shared = [
        auc(world.y, x @ share) for x, share in (world.train(Budgeted(None), noise, (), passes=5) for _ in range(4))
    ]
    print(f"{rows} rows, {noise + 5} weights: AUC {told:.3f} from weights, {np.mean(shared):.3f} from shares of them")
    assert told >= CONTROL
    assert 0.35 < np.mean(shared) < BOUND


def told_by_bins(rows: int, columns: int, fine: int, final: int, seed: int, folder: Path | None) -> tuple[float, float]:
    """The AUC of least squares over the events of its final bins that the host is told, in a scorecard with columns of
    noise; and over those of all its fine bins, of which all that it is told is computed: no use of what it is told can
    tell it more."""
    world = World(rows, seed)
    host = table("telecom", world.rng.normal(size=(rows, columns)))
    steps = Preprocessing(
        encode="woe", min_bin_rows=1, min_bin_size=0.02, max_n_bins=final, max_n_prebins=fine, monotonic_trend="none"
    )
    binning = {name: getattr(steps, name) for name in SCORECARD}
    job = planned(Scorecard, **binning, max_iter=5, link="taylor")
    fitted = Budgeted(folder).train(table("bank", world.own, world.y), host, job, module=scorecard)["telecom"]
    told = [column.bin_of(host.features[column.name]) for column in fitted.preprocessor.woe.columns]
    return tuple(
        auc(world.y, solved(bins, world.y))
        for bins in (told, list(Fitting.start(host.features, steps, "telecom").bins.bins.T))
    )  # type: ignore[return-value]


def solved(bins: list[NDArray[np.int64]], y: Floats) -> Floats:
    """Least squares for labels of which the events of all these bins are known; bins: of each row, by column."""
    a = np.array([of == k for of in bins for k in range(of.max() + 1)], float)
    return np.asarray(np.linalg.lstsq(a, a @ y, rcond=None)[0])


@pytest.mark.parametrize(
    ("rows", "seeds", "columns", "fine", "final"),
    [
        pytest.param(200, 5, 1, 5, 3, id="200 rows"),
        pytest.param(1000, 10, 1, 20, 5, id="1000 rows, one column", marks=SLOW),
        pytest.param(1000, 10, 4, 6, 4, id="1000 rows, four columns", marks=SLOW),
        pytest.param(1000, 10, 20, 2, 2, id="1000 rows, twenty columns", marks=SLOW),
    ],
)
def test_events_of_bins_within_the_budget_do_not_give_the_labels_away(
    rows: int, seeds: int, columns: int, fine: int, final: int, tmp_path: Path
) -> None:
    """As many fine bins as the budget allows; with one column more the guest refuses, before the host is told
    anything."""
    final_bins, fine_bins = np.mean(
        [told_by_bins(rows, columns, fine, final, seed, tmp_path / str(seed)) for seed in range(seeds)], axis=0
    )
    print(
        f"{rows} rows, {columns} columns of {fine} bins: AUC {final_bins:.3f} from events of final bins, "
        f"{fine_bins:.3f} from all fine bins"
    )
    assert max(final_bins, fine_bins) <= BOUND
    with pytest.raises(DisclosureRefused, match=r"rows_per_label_number is 50") as caught:
        told_by_bins(rows, columns + 1, max(fine, 3), final, 0, tmp_path / "refused")
    assert caught.value.party == "bank"


@pytest.mark.parametrize("rows", [200, pytest.param(1000, marks=SLOW)])
def test_without_a_budget_events_of_bins_give_the_labels_away(rows: int) -> None:
    """The control: two rows for each number told."""
    control, _ = told_by_bins(rows, rows // 15, 20, 12, 0, None)
    print(f"{rows} rows: AUC {control:.3f} from the events of {rows // 15} columns")
    assert control >= CONTROL


@SLOW
def test_planted_count_of_final_bins_alone_lets_too_much_through() -> None:
    """Why fine bins are counted: borders are chosen by the label. Four columns of five final bins are 16 numbers of
    1,000 rows."""
    found, most = np.mean([told_by_bins(1000, 4, 20, 5, seed, None) for seed in range(10)], axis=0)
    print(f"AUC {found:.3f} from 16 events of final bins, {most:.3f} from the fine bins that they are computed of")
    assert found > BOUND


def told_by_points(rows: int, columns: int, fine: int, final: int, seed: int, folder: Path | None) -> float:
    """The AUC of the points of the host's own columns of noise for the labels of the training rows, where weights are
    revealed."""
    world = World(rows, seed)
    host = table("telecom", world.rng.normal(size=(rows, columns)))
    steps = Preprocessing(
        encode="woe", min_bin_rows=1, min_bin_size=0.02, max_n_bins=final, max_n_prebins=fine, monotonic_trend="none"
    )
    binning = {name: getattr(steps, name) for name in SCORECARD}
    job = planned(Scorecard, **binning, max_iter=10, link="taylor", reveal=KNOWN)
    part = Budgeted(folder).train(table("bank", world.own, world.y), host, job, module=scorecard)["telecom"].part
    return auc(world.y, -part.points_of(host.features).sum(axis=1).to_numpy(np.float64))


@pytest.mark.parametrize(
    ("rows", "seeds", "columns", "fine", "final"),
    [
        pytest.param(200, 5, 1, 4, 3, id="200 rows"),
        pytest.param(1000, 10, 1, 20, 5, id="1000 rows, one column", marks=SLOW),
        pytest.param(1000, 10, 4, 5, 4, id="1000 rows, four columns", marks=SLOW),
        pytest.param(1000, 10, 10, 2, 2, id="1000 rows, ten columns", marks=SLOW),
    ],
)
def test_points_within_the_budget_do_not_give_the_labels_away(
    rows: int, seeds: int, columns: int, fine: int, final: int, tmp_path: Path
) -> None:
    """Points are made of the events of bins and of a weight per column, and both are counted."""
    found = [told_by_points(rows, columns, fine, final, seed, tmp_path / str(seed)) for seed in range(seeds)]
    print(f"{rows} rows, {columns} columns of {fine} bins: AUC {np.mean(found):.3f} from points")
    assert np.mean(found) <= BOUND
    with pytest.raises(DisclosureRefused, match=r"rows_per_label_number is 50") as caught:
        told_by_points(rows, columns + 1, max(fine, 3), final, 0, tmp_path / "refused")
    assert caught.value.party == "bank"


@pytest.mark.parametrize("rows", [200, pytest.param(1000, marks=SLOW)])
def test_without_a_budget_points_give_the_labels_away(rows: int) -> None:
    """The control, with as many columns as in that of events."""
    control = told_by_points(rows, rows // 15, 20, 12, 0, None)
    print(f"{rows} rows: AUC {control:.3f} from the points of {rows // 15} columns")
    assert control >= 0.95


LABELS = 19  # what vfl/job/permits.py says of a host that deviates, at weight_bits = 10


def whole(digits: int, **options: Any) -> float:
    """Of twelve weights, the part whose `digits` labels are all read right."""
    right, events = thief.stolen(12 * digits, 13, digits, reveal=("hosts",), **options)
    assert events > digits
    return float(right.reshape(12, digits).all(axis=1).mean())


def test_a_host_that_deviates_takes_nineteen_labels_home_per_weight_that_is_revealed() -> None:
    """And no more: further ones push each other out.  What the permission's text says.  (A sum that lies between two units is rounded, now and then to the other.)"""  # noqa: E501
    carried, more = whole(LABELS), whole(LABELS + 8)
    print(f"{carried:.0%} of the weights carry {LABELS} labels, {more:.0%} carry {LABELS + 8}")
    assert carried >= 0.75
    assert more <= 0.4
    assert f"up to {LABELS} labels of its choice per weight (at weight_bits = 10)" in PERMITS["host-weights-to-host"]


@SLOW
def test_the_look_up_of_the_exact_link_blurs_the_last_digits_alone() -> None:
    right, _ = thief.stolen(120, 4, LABELS, reveal=KNOWN, link="exact")
    print(f"link exact: {right.mean():.2f} of {LABELS} labels per weight are right")
    assert right.mean() >= 0.8


def test_a_host_that_deviates_takes_nothing_home_where_the_model_stays_shared() -> None:
    with thief.deviating(120, 4, LABELS, 10) as seen:
        world = World(120, 1)
        found = Budgeted(None).train(
            table("bank", world.own, world.y),
            table("telecom", np.ones((120, 4)) + world.own[:, :1]),
            planned(LogisticRegression, max_iter=10),
        )
    assert not np.any(seen["told"])  # its own share, which it never moved
    assert not found["telecom"].part.known


def test_planted_range_of_weights_that_is_too_wide_gives_more_labels_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """With three bits more of the arbiter's share revealed there are as many labels more in each weight."""
    monkeypatch.setattr(training, "SCORE", SCORE + 3)
    monkeypatch.setattr(thief, "SCORE", SCORE + 3)
    assert whole(LABELS) >= 0.75
    assert whole(LABELS + 3) >= 0.4  # the residual's own last bits blur a part


@SLOW
@pytest.mark.timeout(900)
@pytest.mark.parametrize("reveal", [KNOWN, ()], ids=["revealed", "shared"])
def test_between_processes(parties: Institutions, reveal: tuple[str, ...]) -> None:
    """Three processes under Paillier, by what the host has on its disk afterwards: the control reads its partner's
    training labels, the default does not."""
    world = World(120, 1, real=2)
    x = np.column_stack([world.real, world.rng.choice([-1.0, 1.0], size=(120, 54))])
    ids = [f"CANARY-{k:04d}" for k in range(120)]
    guest = pd.DataFrame(world.own, columns=list("abc")).assign(**{KEY: ids, "canarylabel": world.y.astype(int)})
    host = pd.DataFrame(x, columns=[f"x{k}" for k in range(x.shape[1])]).assign(**{KEY: ids})
    parties.lay_out(
        {"bank": guest, "telecom": host},
        settings={"allow": tuple(PERMITS)},
        test=0.0,
        max_iter=40,
        link="taylor",
        reveal=reveal,
    )
    ended = parties.done(seconds=800)
    part, _ = load_part(ended["telecom"].folder / "model")
    score = part.standardiser.transform(host.drop(columns=KEY), "telecom") @ (
        part.shares.latest.view(np.int64)[0] / 2.0**24
    )
    found = auc(world.y, score)
    print(f"three processes, {'revealed' if reveal else 'shared'}: AUC {found:.3f}")
    assert found >= 0.85 if reveal else 0.3 < found < 0.7
    sent = (ended["trustco"].folder / "ledger.jsonl").read_text()
    assert ("HostWeights" in sent) == bool(reveal)
