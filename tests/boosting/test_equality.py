"""Both profiles equal the plaintext twin bit for bit, whatever the shape, the cipher and the key; and score as they were trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols._native import PrivateKey, PublicKey
from protocols.binning import Binned
from protocols.boosting import goss, opening, twin
from protocols.boosting.ensemble import Rounds
from protocols.boosting.packing import Ints
from protocols.boosting.params import Params
from protocols.boosting.tree import Bits, Tree
from protocols.cipher import DecryptionKey, EncryptionKey, Identity, Paillier, PhePaillier, Scheme
from protocols.randomness import Seed
from tests.boosting.world import Floats, Trained, bin_blocks, joined, leaves, same, score, train, twin_trees
from tests.harness import TOY, Recording, Sent


def table(seed: int, rows: int, columns: int, missing: float) -> tuple[Floats, Floats]:
    """x with ties, constants and missing values, and a margin that depends on it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns))
    x[:, ::3] = np.round(x[:, ::3])
    if columns > 3:
        x[:, 3] = 1.0
    z = x @ rng.normal(size=columns)
    x[rng.random(x.shape) < missing] = np.nan
    return x, z + rng.logistic(size=rows)


def labels(p: Params, z: Floats) -> Floats:
    if p.objective == "binary:logistic":
        return (z > np.median(z)).astype(np.float64)
    if p.objective == "multi:softprob":
        return np.digitize(z, np.quantile(z, np.arange(1, p.num_class) / p.num_class)).astype(np.float64)
    return np.floor(np.exp(np.clip(z / 3, -3, 3))) if p.objective == "count:poisson" else z


@st.composite
def jobs(draw: st.DrawFn) -> tuple[Params, list[int]]:
    objective = draw(st.sampled_from(["binary:logistic", "reg:squarederror", "count:poisson", "multi:softprob"]))
    p = Params(
        objective=objective,
        num_class=3 if objective == "multi:softprob" else 1,
        n_estimators=draw(st.integers(1, 3)),
        max_depth=draw(st.integers(1, 4)),
        max_bin=draw(st.integers(2, 12)),
        reg_lambda=draw(st.sampled_from([0.0, 1.0])),
        reg_alpha=draw(st.sampled_from([0.0, 0.5])),
        gamma=draw(st.sampled_from([0.0, 0.3])),
        min_child_weight=draw(st.sampled_from([0.0, 1.0])),
        subsample=draw(st.sampled_from([1.0, 0.7])),
        colsample_bytree=draw(st.sampled_from([1.0, 0.5])),
        gradient_bits=draw(st.sampled_from([4, 8])),
        min_bin_rows=draw(st.sampled_from([1, 5])),
        guest_only_trees=draw(st.integers(0, 1)),
        membership=draw(st.sampled_from(["shared", "hidden"])),
        seed=draw(st.integers(0, 5)),
    )
    return p, draw(st.lists(st.integers(1, 4), min_size=2, max_size=3))


def equal(p: Params, widths: list[int], scheme: Scheme, *, seed: int, rows: int, missing: float, named: bool = False) -> int:
    """named: the first column of each party holds categories."""
    x, z = table(seed, rows, sum(widths), missing)
    y, tables = labels(p, z), np.split(x, np.cumsum(widths)[:-1], axis=1)
    for part in tables:
        part[:, 0] = np.round(part[:, 0]) if named else part[:, 0]
    blocks = bin_blocks(tables, p, [[0]] * len(tables) if named else None)
    expected, rounds = twin_trees(blocks, y, p)
    trained = train(blocks, y, p, scheme)
    assert same(joined(trained), expected)
    assert np.array_equal(trained.rounds.margin, rounds.margin)
    if seed % 3 == 0:
        assert np.array_equal(score(trained, blocks, scheme), rounds.margin)
    return leaves(expected)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(jobs(), st.integers(0, 1000), st.integers(20, 150), st.sampled_from([0.0, 0.1]), st.booleans())
def test_equals_the_twin(job: tuple[Params, list[int]], seed: int, rows: int, missing: float, named: bool) -> None:
    equal(*job, Identity(), seed=seed, rows=rows, missing=missing, named=named)
    equal(*job, TOY, seed=seed, rows=rows, missing=missing, named=named)


class Serial(Paillier):
    """The core's portable arithmetic."""

    def generate(self, holder: str, seed: Seed) -> DecryptionKey:
        return DecryptionKey(PrivateKey.generate(self.bits, seed.secret, backend="serial"), holder)

    def accept(self, n: int, proof: bytes, holder: str) -> EncryptionKey:
        super().accept(n, proof, holder)
        return EncryptionKey(PublicKey(n, backend="serial"), holder)


@pytest.mark.parametrize("scheme", [Paillier(2048), Serial(1024), PhePaillier(512)], ids=["2048", "serial", "phe"])
def test_equals_the_twin_under_other_ciphers(scheme: Scheme) -> None:
    for membership in ("shared", "hidden"):
        p = Params(n_estimators=2, max_depth=3, max_bin=6, membership=membership, min_bin_rows=3, gradient_bits=6)
        assert equal(p, [2, 3, 3], scheme, seed=3, rows=80, missing=0.1) > 4


@pytest.mark.parametrize("objective", ["binary:logistic", "reg:squarederror", "multi:softprob"])
def test_hidden_trees_are_the_shared_ones(objective: str) -> None:
    x, z = table(6, 150, 7, 0.1)
    trees = []
    for membership in ("shared", "hidden"):
        classes = 3 if objective == "multi:softprob" else 1
        p = Params(objective=objective, num_class=classes, n_estimators=2, max_depth=3, membership=membership, min_bin_rows=1)
        blocks = bin_blocks([x[:, :2], x[:, 2:5], x[:, 5:]], p)
        trees.append(joined(train(blocks, labels(p, z), p, TOY)))
    assert same(*trees)
    assert leaves(trees[0]) > 6


@pytest.mark.parametrize("membership", ["shared", "hidden"])
def test_a_host_whose_columns_cannot_split_takes_part(membership: str) -> None:
    p = Params(n_estimators=2, max_depth=3, membership=membership, min_bin_rows=5)
    x, z = table(3, 100, 3, 0.0)  # the first two hosts have none
    blocks = bin_blocks([x[:, :2], np.ones((100, 2)), np.full((100, 1), np.nan), x[:, 2:]], p)
    y = labels(p, z)
    expected, _ = twin_trees(blocks, y, p)
    trained = train(blocks, y, p, TOY)
    assert same(joined(trained), expected)
    assert [len(part) > 0 for part in trained.hosts] == [False, False, True]


@pytest.mark.parametrize("membership", ["shared", "hidden"])
def test_early_stopping_ends_for_all_and_keeps_the_best_round(membership: str) -> None:
    p = Params(n_estimators=30, max_depth=3, membership=membership, min_bin_rows=1, early_stopping_rounds=2, learning_rate=1.0)
    x, z = table(4, 200, 4, 0.0)
    held_out = np.arange(200) % 3 == 0
    blocks, y = bin_blocks([x[:, :2], x[:, 2:]], p), labels(p, z)
    expected, rounds = twin_trees(blocks, y, p, held_out=held_out)
    trained = train(blocks, y, p, TOY, held_out=held_out)
    assert same(joined(trained), expected)
    assert 1 <= len(expected) == len(rounds.trees) - 2 < 28
    assert len(score(trained, blocks, TOY)) == 200


@pytest.mark.parametrize("membership", ["shared", "hidden"])
@pytest.mark.parametrize(("guest_only", "heard"), [(0, None), (20, 1), (30, 0)])
def test_hosts_hear_of_early_stopping_where_they_would_go_on(membership: str, guest_only: int, heard: int | None) -> None:
    """Once a round; once, if it ends with the guest's own trees; never, if there are no others."""
    p = Params(n_estimators=30, max_depth=2, membership=membership, min_bin_rows=1, early_stopping_rounds=2, learning_rate=1.0)  # type: ignore[arg-type]
    p, (x, z) = replace(p, guest_only_trees=guest_only), table(4, 200, 4, 0.0)
    held_out = np.arange(200) % 3 == 0
    blocks, y = bin_blocks([x[:, :2], x[:, 2:]], p), labels(p, z)
    expected, rounds = twin_trees(blocks, y, p, held_out=held_out)
    assert len(rounds.trees) < 20
    transcript: list[Sent] = []
    trained = train(blocks, y, p, Identity(), taps={"guest": [Recording("guest", transcript)]}, held_out=held_out)
    assert same(joined(trained), expected)
    assert sum(s.kind is opening.NextTree for s in transcript) == (len(rounds.trees) if heard is None else heard)


def test_weights_count() -> None:
    p = Params(n_estimators=2, max_depth=3, membership="shared", min_bin_rows=1)
    x, z = table(5, 120, 4, 0.0)
    blocks, y, weight = bin_blocks([x[:, :2], x[:, 2:]], p), labels(p, z), np.arange(120) % 3 + 0.5
    expected, _ = twin_trees(blocks, y, p, weight=weight)
    assert same(joined(train(blocks, y, p, TOY, weight=weight)), expected)
    assert not same(twin_trees(blocks, y, p)[0], expected)


@pytest.mark.parametrize("membership", ["shared", "hidden"])
def test_categories_split_and_unseen_ones_are_scored(membership: str) -> None:
    """Labels that hang on single categories of unordered numbers; new rows have categories that training had not."""
    rng = np.random.default_rng(11)
    x = np.column_stack([rng.normal(size=400), rng.integers(0, 9, 400), rng.normal(size=400), rng.integers(0, 9, 400)]).astype(np.float64)
    y = (np.isin(x[:, 3], (1, 4, 7)) ^ (x[:, 1] == 5)).astype(np.float64)
    p = Params(n_estimators=4, max_depth=3, membership=membership, min_bin_rows=3)
    named = [[1], [1]]
    blocks = bin_blocks([x[:, :2], x[:, 2:]], p, named)
    trained = train(blocks, y, p, TOY)
    trees = joined(trained)
    assert same(trees, twin_trees(blocks, y, p)[0])
    assert {(int(o), int(f)) for t in trees for o, f in zip(t.owner, t.feature, strict=True) if o >= 0} >= {(0, 1), (1, 1)}
    margin, ordinal = trained.rounds.margin[:, 0], twin_trees(bin_blocks([x[:, :2], x[:, 2:]], p), y, p)[1].margin[:, 0]
    assert ((margin > 0) == y).mean() > 0.97 > ((ordinal > 0) == y).mean()
    new = x[:50].copy()
    new[::2, 1], new[::3, 3] = 77.0, np.nan
    fresh = [b.binner.transform(part) for b, part in zip(blocks, (new[:, :2], new[:, 2:]), strict=True)]
    steps = [t.value[t.route(50, walk(t, fresh))] for t in trees]
    assert np.array_equal(score(trained, fresh, TOY), trained.ensemble.margin(steps, 50))


def goes_left(tree: Tree, blocks: list[Binned], node: int, rows: Ints) -> Bits:
    return blocks[tree.owner[node]].goes_left(rows, int(tree.feature[node]), int(tree.cut[node]), bool(tree.missing_left[node]))


@pytest.mark.parametrize("membership", ["shared", "hidden"])
def test_gradients_in_several_chunks_make_the_same_trees(membership: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "CHUNK", 16)
    p = Params(n_estimators=2, max_depth=3, max_bin=8, membership=membership, min_bin_rows=2, subsample=0.8)
    assert equal(p, [2, 3], TOY, seed=9, rows=111, missing=0.1) > 4


@pytest.mark.parametrize("objective", ["binary:logistic", "multi:softprob"])
@pytest.mark.parametrize("membership", ["shared", "hidden"])
def test_a_model_that_is_continued_equals_one_trained_at_once(membership: str, objective: str) -> None:
    x, z = table(4, 200, 5, 0.1)
    whole = Params(
        objective=objective,  # type: ignore[arg-type]
        num_class=3 if objective == "multi:softprob" else 1,
        n_estimators=2,
        max_depth=3,
        membership=membership,  # type: ignore[arg-type]
        min_bin_rows=1,
        subsample=0.8,
    )
    blocks, y = bin_blocks([x[:, :1], x[:, 1:3], x[:, 3:]], whole), labels(whole, z)
    start = train(blocks, y, replace(whole, n_estimators=1), TOY)
    went_on, at_once = train(blocks, y, whole, TOY, after=start), train(blocks, y, whole, TOY)
    assert same(joined(went_on), joined(at_once))
    assert same(joined(start), joined(at_once)[: len(start.ensemble.trees)])  # the first part is still a model
    assert np.array_equal(score(went_on, blocks, TOY), at_once.rounds.margin)


@pytest.mark.parametrize("membership", ["shared", "hidden"])
def test_what_early_stopping_gave_up_is_not_continued(membership: str) -> None:
    p = Params(n_estimators=30, max_depth=3, membership=membership, min_bin_rows=1, early_stopping_rounds=2, learning_rate=1.0)  # type: ignore[arg-type]
    x, z = table(4, 200, 4, 0.0)
    held_out = np.arange(200) % 3 == 0
    blocks, y = bin_blocks([x[:, :2], x[:, 2:]], p), labels(p, z)
    start = train(blocks, y, p, Identity(), held_out=held_out)
    kept = len(start.ensemble.trees)
    slower = replace(p, learning_rate=0.1)
    went_on = train(blocks, y, slower, Identity(), held_out=held_out, after=start)
    assert same(joined(went_on)[:kept], joined(start))
    assert len(went_on.ensemble.trees) > kept
    rounds = Rounds(slower, y, held_out=held_out, before=(replace(start.ensemble, trees=tuple(joined(start))), start_margin(start, blocks)))
    assert same(joined(went_on), twin.train(blocks, slower, rounds))
    assert np.array_equal(
        score(went_on, blocks, Identity()), went_on.ensemble.margin([t.value[t.route(200, walk(t, blocks))] for t in joined(went_on)], 200)
    )


def start_margin(trained: Trained, blocks: list[Binned]) -> Floats:
    return trained.ensemble.margin([t.value[t.route(200, walk(t, blocks))] for t in joined(trained)], 200)


def walk(tree: Tree, blocks: list[Binned]) -> Callable[[int, Ints], Bits]:
    return lambda node, rows: goes_left(tree, blocks, node, rows)


@pytest.mark.parametrize("membership", ["shared", "hidden"])
def test_hosts_hear_nothing_of_the_guests_own_trees(membership: str) -> None:
    """The first trees are the guest's alone; the host then wins in the others."""
    x, z = table(7, 120, 4, 0.0)
    p = Params(n_estimators=3, max_depth=2, membership=membership, min_bin_rows=1, guest_only_trees=2)
    blocks, y = bin_blocks([x[:, :1], x[:, 1:]], p), labels(p, z)
    transcript: list[Sent] = []
    trained = train(blocks, y, p, TOY, taps={q: [Recording(q, transcript)] for q in ("guest", "host1")})
    assert same(joined(trained), twin_trees(blocks, y, p)[0])
    assert [bool((t.owner > 0).any()) for t in trained.ensemble.trees] == [False, False, True]
    assert sum(s.kind is opening.RowGradients for s in transcript) == (1 if membership == "shared" else p.max_depth)


@pytest.mark.parametrize("objective", ["binary:logistic", "multi:softprob"])
def test_sampling_by_gradients_equals_the_twin_and_spares_the_first_round(objective: str) -> None:
    x, z = table(6, 200, 5, 0.1)
    p = Params(objective=objective, num_class=3 if objective == "multi:softprob" else 1, n_estimators=3, max_depth=3, membership="shared")  # type: ignore[arg-type]
    p, held_out = replace(p, min_bin_rows=3, top_rate=0.2, other_rate=0.3), np.arange(200) % 4 == 0
    blocks, y = bin_blocks([x[:, :2], x[:, 2:]], p), labels(p, z)
    transcript: list[Sent] = []
    trained = train(blocks, y, p, TOY, taps={"guest": [Recording("guest", transcript)]}, held_out=held_out)
    assert same(joined(trained), twin_trees(blocks, y, p, held_out=held_out)[0])
    assert sum(s.kind is goss.SampledRows for s in transcript) == p.n_estimators - 1  # one sample a round, for all classes
    rows = [len(s.data) for s in transcript if s.kind is opening.RowGradients]
    assert max(rows[p.num_class :]) < 0.6 * min(rows[: p.num_class])


def test_sampling_by_gradients_takes_the_largest_and_weighs_the_others() -> None:
    p, g = Params(membership="shared", top_rate=0.2, other_rate=0.2), np.random.default_rng(0).normal(size=(100, 3))
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
    p = Params(n_estimators=3, max_depth=3, membership="shared", min_bin_rows=1)
    x, z = table(8, 150, 5, 0.0)
    blocks = bin_blocks([x[:, :2], x[:, 2:]], p)
    ensemble = train(blocks, labels(p, z), p, TOY).ensemble
    splits = ensemble.importance("split")
    assert sum(splits.values()) == sum(int((t.owner >= 0).sum()) for t in ensemble.trees)
    assert sum(ensemble.importance().values()) == pytest.approx(sum(float(t.gain.sum()) for t in ensemble.trees))
    assert {party for party, _ in splits} == {0, 1}
    assert all(column == -1 for party, column in splits if party == 1)
