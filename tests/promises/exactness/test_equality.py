"""Sealed trees equal the plaintext twin that is given the same rounded gradients, bit for bit, whatever the job, the
cipher and the key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols import parts
from protocols._native import PrivateKey, PublicKey
from protocols.boosting import gradients
from protocols.boosting.params import Params
from protocols.boosting.prepare import EncryptedPads
from protocols.cipher import DecryptionKey, EncryptionKey, Identity, Paillier, PhePaillier, Scheme
from protocols.randomness import Seed
from tests.harness import TOY, Recording, Sent
from tests.unit.protocols.boosting.samples import (
    KINDS,
    SETTINGS,
    check_scores,
    labels,
    sealed_and_its_twin,
    small,
    table,
    tables,
)
from tests.unit.protocols.boosting.world import Floats, bin_blocks, leaves, score, sealed_twin, train

OBJECTIVES = ["binary:logistic", "reg:squarederror", "count:poisson", "multi:softprob"]


def params(objective: str, **changes: Any) -> Params:
    return small(objective=objective, num_class=3 if objective == "multi:softprob" else 1, **changes)


@st.composite
def jobs(draw: st.DrawFn) -> tuple[Params, list[int]]:
    return params(draw(KINDS), **draw(SETTINGS)), draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    jobs(),
    st.integers(0, 1000),
    st.integers(20, 150),
    st.sampled_from([0.0, 0.1]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_equals_the_twin(
    job: tuple[Params, list[int]], seed: int, rows: int, missing: float, named: bool, weighted: bool, encrypted: bool
) -> None:
    p, widths = job
    scheme = Paillier(1024) if encrypted else Identity(1024)
    blocks, y = tables(p, widths, seed=seed, rows=rows, missing=missing, named=named)
    trained, trees = sealed_and_its_twin(
        p, blocks, y, scheme, seed=seed, weight=weights(rows, seed) if weighted else None
    )
    if seed % 3 == 0:
        check_scores(trained, blocks, trees, scheme)


def weights(rows: int, seed: int) -> Floats:
    """From 0 on, some of them small."""
    return np.random.default_rng(seed).choice([0.0, 0.01, 0.5, 1.0, 3.0], rows, p=[0.1, 0.1, 0.2, 0.4, 0.2])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_equals_the_twin_under_a_small_key(objective: str, weighted: bool) -> None:
    p = params(objective)
    blocks, y = tables(p, [2, 3, 2], seed=3, rows=150)
    trained, trees = sealed_and_its_twin(p, blocks, y, TOY, weight=np.arange(150) % 3 + 0.5 if weighted else None)
    assert leaves(trees) > 6 * p.num_class
    assert all(len(part) for part in trained.hosts)
    check_scores(trained, blocks, trees, TOY)


class Serial(Paillier):
    """The core's portable arithmetic."""

    def generate(self, holder: str, seed: Seed) -> DecryptionKey:
        return DecryptionKey(PrivateKey.generate(self.bits, seed.secret, backend="serial"), holder)

    def accept(self, n: int, proof: bytes, holder: str) -> EncryptionKey:
        super().accept(n, proof, holder)
        return EncryptionKey(PublicKey(n, backend="serial"), holder)


@pytest.mark.parametrize("scheme", [Paillier(2048), Serial(1024), PhePaillier(512)], ids=["2048", "serial", "phe"])
def test_equals_the_twin_under_other_ciphers(scheme: Scheme) -> None:
    p = small(max_bin=6, min_bin_rows=3, gradient_bits=6)
    blocks, y = tables(p, [2, 3, 3], seed=3, rows=80)
    assert leaves(sealed_and_its_twin(p, blocks, y, scheme)[1]) > 4


def test_a_host_whose_columns_cannot_split_takes_part() -> None:
    p = small(min_bin_rows=5)
    x, z = table(3, 100, 3, 0.0)  # the first two hosts have none
    blocks = bin_blocks([x[:, :2], np.ones((100, 2)), np.full((100, 1), np.nan), x[:, 2:]], p)
    trained, trees = sealed_and_its_twin(p, blocks, labels(p, z), TOY)
    assert [len(part) > 0 for part in trained.hosts] == [False, False, True]
    check_scores(trained, blocks, trees, TOY)


def test_a_guest_whose_columns_cannot_split_takes_part() -> None:
    p = small(min_bin_rows=1)
    x, z = table(3, 100, 3, 0.0)
    trained, trees = sealed_and_its_twin(p, blocks := bin_blocks([np.ones((100, 1)), x], p), labels(p, z), TOY)
    assert all((t.owner[t.owner >= 0] == 1).all() for t in trees)
    assert leaves(trees) > 4
    check_scores(trained, blocks, trees, TOY)


def test_weights_count() -> None:
    """Rows of weight 0 count as if they were not there: with their labels turned round the same leaves come out."""
    p = small(n_estimators=1)
    blocks, y = tables(p, [2, 3], seed=5, rows=200)
    silent = np.arange(200) % 3 == 0
    weight = np.where(silent, 0.0, 1.0)
    base = replace(p, base_score=0.5)
    _, trees = sealed_and_its_twin(base, blocks, y, TOY, weight=weight)
    _, turned = sealed_and_its_twin(base, blocks, np.where(silent, 1 - y, y), TOY, weight=weight)
    _, unweighted = sealed_and_its_twin(base, blocks, y, TOY)
    for a, b in zip(trees, turned, strict=True):
        assert np.array_equal(a.owner, b.owner)
        assert np.abs(a.value - b.value).max() * 2.0**-24 < 0.02  # but for rounding
    assert np.abs(unweighted[0].value[-4:] - trees[0].value[-4:]).max() * 2.0**-24 > 0.02


def test_categories_split_and_unseen_ones_are_scored() -> None:
    """Labels that hang on single categories of unordered numbers; new rows have categories that training had not."""
    rng = np.random.default_rng(11)
    x = np.column_stack(
        [rng.normal(size=400), rng.integers(0, 9, 400), rng.normal(size=400), rng.integers(0, 9, 400)]
    ).astype(np.float64)
    y = (np.isin(x[:, 3], (1, 4, 7)) ^ (x[:, 1] == 5)).astype(np.float64)
    p = Params(n_estimators=4, max_depth=3, min_bin_rows=3)
    blocks = bin_blocks([x[:, :2], x[:, 2:]], p, [[1], [1]])
    trained, trees = sealed_and_its_twin(p, blocks, y, TOY)
    assert {(int(o), int(f)) for t in trees for o, f in zip(t.owner, t.feature, strict=True) if o >= 0} >= {
        (0, 1),
        (1, 1),
    }
    assert ((score(trained, blocks, TOY)[:, 0] > 0) == y).mean() > 0.97
    ordinal = bin_blocks([x[:, :2], x[:, 2:]], p)
    assert ((score(train(ordinal, y, p, TOY), ordinal, TOY)[:, 0] > 0) == y).mean() < 0.97
    new = x[:50].copy()
    new[::2, 1], new[::3, 3] = 77.0, np.nan
    check_scores(
        trained,
        [b.binner.transform(part) for b, part in zip(blocks, (new[:, :2], new[:, 2:]), strict=True)],
        trees,
        TOY,
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_rows_in_several_blocks_make_the_same_trees(objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 16)
    p = params(objective, subsample=0.8)
    blocks, y = tables(p, [2, 3], seed=9, rows=111)
    assert leaves(sealed_and_its_twin(p, blocks, y, TOY)[1]) > 4


def test_hosts_hear_nothing_of_the_guests_own_trees() -> None:
    """The first trees are the guest's alone, in the clear; the host then wins in the others."""
    p = small(n_estimators=3, max_depth=2, min_bin_rows=1, guest_only_trees=2)
    x, z = table(7, 120, 4, 0.0)
    blocks, y = bin_blocks([x[:, :1], x[:, 1:]], p), labels(p, z)
    transcript: list[Sent] = []
    trained = train(
        blocks, y, p, Paillier(1024), taps={q: [Recording(q, transcript)] for q in ("guest", "host1", "arbiter")}
    )
    assert len(trained.sealed.own.trees) == 2
    assert all((t.owner <= 0).all() for t in trained.sealed.own.trees)
    assert len(trained.sealed.shape) == 1
    assert len(trained.hosts[0])
    assert sum(s.kind is EncryptedPads and s.receiver == "host1" for s in transcript) == 1
    assert sum(s.kind is gradients.CutShare for s in transcript) == 1
    check_scores(trained, blocks, sealed_twin(trained, blocks, y)[0], TOY)


def test_a_model_of_the_guests_trees_alone_sends_no_gradient() -> None:
    p = small(guest_only_trees=2)
    blocks, y = tables(p, [2, 2], seed=1, rows=90)
    transcript: list[Sent] = []
    trained = train(blocks, y, p, TOY, taps={q: [Recording(q, transcript)] for q in ("guest", "host1", "arbiter")})
    assert not {s.kind.kind for s in transcript} & {"EncryptedPads", "Deal", "CutShare", "LevelShares"}
    check_scores(trained, blocks, [], TOY)
