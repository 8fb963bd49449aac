"""Open trees equal the plaintext twin bit for bit, gains and leaf values too; and score as they were trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols import parts
from protocols.boosting import goss, opening, twin
from protocols.boosting.ensemble import Rounds
from protocols.boosting.params import Params
from protocols.cipher import Identity, Paillier, Scheme
from tests.harness import TOY, Recording, Sent
from tests.unit.protocols.boosting.samples import KINDS, SETTINGS, labels, small, table, tables, walk
from tests.unit.protocols.boosting.world import (
    Floats,
    Trained,
    bin_blocks,
    joined,
    leaves,
    same,
    score,
    train,
    twin_trees,
)


def params(objective: str = "binary:logistic", **changes: Any) -> Params:
    return small(
        **(
            {"objective": objective, "num_class": 3 if objective == "multi:softprob" else 1, "membership": "open"}
            | changes
        )
    )


@st.composite
def jobs(draw: st.DrawFn) -> tuple[Params, list[int]]:
    return params(draw(KINDS), **draw(SETTINGS)), draw(st.lists(st.integers(1, 4), min_size=2, max_size=3))


def equal(
    p: Params,
    widths: list[int],
    scheme: Scheme,
    *,
    seed: int,
    rows: int,
    missing: float,
    named: bool = False,
    **more: Any,
) -> int:
    blocks, y = tables(p, widths, seed=seed, rows=rows, missing=missing, named=named)
    expected, rounds = twin_trees(blocks, y, p, **more)
    trained = train(blocks, y, p, scheme, **more)
    assert same(joined(trained), expected)
    assert np.array_equal(trained.rounds.margin, rounds.margin)
    if seed % 3 == 0:
        assert np.array_equal(score(trained, blocks, scheme), rounds.margin)
    return leaves(expected)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(jobs(), st.integers(0, 1000), st.integers(20, 150), st.sampled_from([0.0, 0.1]), st.booleans(), st.booleans())
def test_equals_the_twin(
    job: tuple[Params, list[int]], seed: int, rows: int, missing: float, named: bool, weighted: bool
) -> None:
    more = {"weight": np.arange(rows) % 3 + 0.5} if weighted else {}
    equal(*job, Identity(), seed=seed, rows=rows, missing=missing, named=named, **more)
    equal(*job, TOY, seed=seed, rows=rows, missing=missing, named=named, **more)


def test_equals_the_twin_at_full_key_size() -> None:
    assert (
        equal(
            params(max_bin=6, min_bin_rows=3, gradient_bits=6), [2, 3, 3], Paillier(2048), seed=3, rows=80, missing=0.1
        )
        > 4
    )


def test_a_host_whose_columns_cannot_split_takes_part() -> None:
    p = params(min_bin_rows=5)
    x, z = table(3, 100, 3, 0.0)  # the first two hosts have none
    blocks = bin_blocks([x[:, :2], np.ones((100, 2)), np.full((100, 1), np.nan), x[:, 2:]], p)
    y = labels(p, z)
    trained = train(blocks, y, p, TOY)
    assert same(joined(trained), twin_trees(blocks, y, p)[0])
    assert [len(part) > 0 for part in trained.hosts] == [False, False, True]


STOPPING = {"n_estimators": 30, "min_bin_rows": 1, "early_stopping_rounds": 2, "learning_rate": 1.0, "max_bin": 32}


def stopped(**changes: Any) -> tuple[Params, list[Any], Floats, np.ndarray]:
    p, (x, z) = params(**(STOPPING | changes)), table(4, 200, 4, 0.0)
    return p, bin_blocks([x[:, :2], x[:, 2:]], p), labels(p, z), np.arange(200) % 3 == 0


def test_early_stopping_ends_for_all_and_keeps_the_best_round() -> None:
    p, blocks, y, held_out = stopped()
    expected, rounds = twin_trees(blocks, y, p, held_out=held_out)
    trained = train(blocks, y, p, TOY, held_out=held_out)
    assert same(joined(trained), expected)
    assert 1 <= len(expected) == len(rounds.trees) - 2 < 28
    assert len(score(trained, blocks, TOY)) == 200


@pytest.mark.parametrize(("guest_only", "heard"), [(0, None), (20, 1), (30, 0)])
def test_hosts_hear_of_early_stopping_where_they_would_go_on(guest_only: int, heard: int | None) -> None:
    """Once per round; once, if it ends with the guest's own trees; never, if there are no others."""
    p, blocks, y, held_out = stopped(max_depth=2, guest_only_trees=guest_only)
    expected, rounds = twin_trees(blocks, y, p, held_out=held_out)
    assert len(rounds.trees) < 20
    transcript: list[Sent] = []
    trained = train(blocks, y, p, Identity(), taps={"guest": [Recording("guest", transcript)]}, held_out=held_out)
    assert same(joined(trained), expected)
    assert sum(s.kind is opening.NextTree for s in transcript) == (len(rounds.trees) if heard is None else heard)


def test_weights_count() -> None:
    p = params(min_bin_rows=1)
    blocks, y = tables(p, [2, 2], seed=5, rows=120, missing=0.0)
    weight = np.arange(120) % 3 + 0.5
    expected, _ = twin_trees(blocks, y, p, weight=weight)
    assert same(joined(train(blocks, y, p, TOY, weight=weight)), expected)
    assert not same(twin_trees(blocks, y, p)[0], expected)


def test_categories_split_and_unseen_ones_are_scored() -> None:
    """Labels that hang on single categories of unordered numbers; new rows have categories that training had not."""
    rng = np.random.default_rng(11)
    x = np.column_stack(
        [rng.normal(size=400), rng.integers(0, 9, 400), rng.normal(size=400), rng.integers(0, 9, 400)]
    ).astype(np.float64)
    y = (np.isin(x[:, 3], (1, 4, 7)) ^ (x[:, 1] == 5)).astype(np.float64)
    p = Params(n_estimators=4, max_depth=3, membership="open", min_bin_rows=3)
    blocks = bin_blocks([x[:, :2], x[:, 2:]], p, [[1], [1]])
    trained = train(blocks, y, p, TOY)
    trees = joined(trained)
    assert same(trees, twin_trees(blocks, y, p)[0])
    assert {(int(o), int(f)) for t in trees for o, f in zip(t.owner, t.feature, strict=True) if o >= 0} >= {
        (0, 1),
        (1, 1),
    }
    margin, ordinal = trained.rounds.margin[:, 0], twin_trees(bin_blocks([x[:, :2], x[:, 2:]], p), y, p)[1].margin[:, 0]
    assert ((margin > 0) == y).mean() > 0.97 > ((ordinal > 0) == y).mean()
    new = x[:50].copy()
    new[::2, 1], new[::3, 3] = 77.0, np.nan
    fresh = [b.binner.transform(part) for b, part in zip(blocks, (new[:, :2], new[:, 2:]), strict=True)]
    steps = [t.value[t.route(50, walk(t, fresh))] for t in trees]
    assert np.array_equal(score(trained, fresh, TOY), trained.ensemble.margin(steps, 50))


def test_gradients_in_several_blocks_make_the_same_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 16)
    assert equal(params(subsample=0.8), [2, 3], TOY, seed=9, rows=111, missing=0.1) > 4


@pytest.mark.parametrize("objective", ["binary:logistic", "multi:softprob"])
def test_a_model_that_is_continued_equals_one_trained_at_once(objective: str) -> None:
    whole = params(objective, max_bin=32, min_bin_rows=1, subsample=0.8)
    blocks, y = tables(whole, [1, 2, 2], seed=4, rows=200)
    start = train(blocks, y, replace(whole, n_estimators=1), TOY)
    continued, at_once = train(blocks, y, whole, TOY, after=start), train(blocks, y, whole, TOY)
    assert same(joined(continued), joined(at_once))
    assert same(joined(start), joined(at_once)[: len(start.ensemble.trees)])  # the first part is still a model
    assert np.array_equal(score(continued, blocks, TOY), at_once.rounds.margin)


def test_what_early_stopping_gave_up_is_not_continued() -> None:
    p, blocks, y, held_out = stopped()
    start = train(blocks, y, p, Identity(), held_out=held_out)
    kept = len(start.ensemble.trees)
    slower = replace(p, learning_rate=0.1)
    continued = train(blocks, y, slower, Identity(), held_out=held_out, after=start)
    assert same(joined(continued)[:kept], joined(start))
    assert len(continued.ensemble.trees) > kept
    rounds = Rounds(
        slower,
        y,
        held_out=held_out,
        before=(replace(start.ensemble, trees=tuple(joined(start))), margins(start, blocks)),
    )
    assert same(joined(continued), twin.train(blocks, slower, rounds))
    assert np.array_equal(score(continued, blocks, Identity()), margins(continued, blocks))


def margins(trained: Trained, blocks: list[Any]) -> Floats:
    rows = len(blocks[0])
    return trained.ensemble.margin([t.value[t.route(rows, walk(t, blocks))] for t in joined(trained)], rows)


def test_hosts_hear_nothing_of_the_guests_own_trees() -> None:
    """The first trees are the guest's alone; the host then wins in the others."""
    x, z = table(7, 120, 4, 0.0)
    p = params(n_estimators=3, max_depth=2, min_bin_rows=1, guest_only_trees=2)
    blocks, y = bin_blocks([x[:, :1], x[:, 1:]], p), labels(p, z)
    transcript: list[Sent] = []
    trained = train(blocks, y, p, TOY, taps={q: [Recording(q, transcript)] for q in ("guest", "host1")})
    assert same(joined(trained), twin_trees(blocks, y, p)[0])
    assert [bool((t.owner > 0).any()) for t in trained.ensemble.trees] == [False, False, True]
    assert sum(s.kind is opening.RowGradients for s in transcript) == 1


@pytest.mark.parametrize("objective", ["binary:logistic", "multi:softprob"])
def test_sampling_by_gradients_equals_the_twin_and_spares_the_first_round(objective: str) -> None:
    p, held_out = (
        params(objective, n_estimators=3, min_bin_rows=3, max_bin=32, top_rate=0.2, other_rate=0.3),
        np.arange(200) % 4 == 0,
    )
    blocks, y = tables(p, [2, 3], seed=6, rows=200)
    transcript: list[Sent] = []
    trained = train(blocks, y, p, TOY, taps={"guest": [Recording("guest", transcript)]}, held_out=held_out)
    assert same(joined(trained), twin_trees(blocks, y, p, held_out=held_out)[0])
    assert (
        sum(s.kind is goss.SampledRows for s in transcript) == p.n_estimators - 1
    )  # one sample per round, for all classes
    rows = [len(s.data) for s in transcript if s.kind is opening.RowGradients]
    assert max(rows[p.num_class :]) < 0.6 * min(rows[: p.num_class])


def test_sampling_by_gradients_takes_the_largest_and_weighs_the_others() -> None:
    p, g = params(top_rate=0.2, other_rate=0.2), np.random.default_rng(0).normal(size=(100, 3))
    trained = np.arange(100) % 2 == 0
    sampled, factor = goss.draw(p, 1, g, trained)
    assert not (sampled & ~trained).any()
    size = np.abs(g).sum(axis=1)
    large = np.sort(size[trained])[-10]
    assert sampled[trained & (size >= large)].all()
    assert (sampled.sum(), (factor[sampled] == 1).sum(), set(factor[sampled])) == (20, 10, {1.0, 4.0})
    means = [(g[:, 0] * f)[s].sum() for s, f in (goss.draw(p, t, g, trained) for t in range(1, 2000))]
    assert np.mean(means) == pytest.approx(g[trained, 0].sum(), abs=0.5)


def test_importance_adds_up() -> None:
    p = params(n_estimators=3, min_bin_rows=1)
    blocks, y = tables(p, [2, 3], seed=8, rows=150, missing=0.0)
    ensemble = train(blocks, y, p, TOY).ensemble
    splits = ensemble.importance("split")
    assert sum(splits.values()) == sum(int((t.owner >= 0).sum()) for t in ensemble.trees)
    assert sum(ensemble.importance().values()) == pytest.approx(sum(float(t.gain.sum()) for t in ensemble.trees))
    assert {party for party, _ in splits} == {0, 1}
    assert all(column == -1 for party, column in splits if party == 1)
