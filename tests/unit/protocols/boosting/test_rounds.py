"""When sealed training ends, what is continued, and which trees share plaintexts: always the twin's trees."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from protocols._native import PlainVec
from protocols.binning.quantile import Binned
from protocols.boosting import held_out, objective
from protocols.boosting.params import Params
from protocols.boosting.prepare import EncryptedPads
from protocols.boosting.sealed import layout_of
from protocols.cipher import CipherVec, DecryptionKey, Identity, Keyring, Paillier, Scheme
from protocols.errors import ConfigError, DataError
from protocols.group_size import LEAST_ROWS
from tests.harness import TOY, Recording, Sent
from tests.unit.protocols.boosting.samples import (
    Bits,
    check_scores,
    exact,
    labels,
    sealed_and_its_twin,
    small,
    table,
    tables,
)
from tests.unit.protocols.boosting.world import Floats, Trained, bin_blocks, joined, leaves, train

OBJECTIVES = ["binary:logistic", "reg:squarederror", "count:poisson", "multi:softprob"]
ROWS, HELD = 200, np.arange(200) % 3 == 0


def params(kind: str = "binary:logistic", **changes: Any) -> Params:
    return small(objective=kind, num_class=3 if kind == "multi:softprob" else 1, **changes)


# -- early stopping


@dataclass
class Losses:
    """After each round whether the loss is lower than all before, and where it is, what it is: opened by the test."""

    lower: list[bool] = field(default_factory=list)
    encrypted: list[CipherVec] = field(default_factory=list)
    key: Any = None
    scale: Any = None

    @property
    def rounds(self) -> int:
        return len(self.lower)

    @property
    def best(self) -> int:
        """Up to which round it was lowest."""
        return max(k for k, lower in enumerate(self.lower, 1) if lower)

    def opened(self, rows: int) -> list[float]:
        """The mean losses that were the lowest so far."""
        unit = rows * 2.0 ** (self.scale.loss_curve.fraction + held_out.LABEL)
        first = np.arange(1)
        return [
            self.key.open(one.take(first), self.key.public.plain_bits).to_ints()[0] / unit for one in self.encrypted
        ]


def losses_of(monkeypatch: pytest.MonkeyPatch) -> Losses:
    """What is compared after each round."""
    found, arbiter_, guest_ = Losses(), held_out.arbiter, held_out.guest

    def arbiter(session: Any, key: Any, *args: Any, first: bool) -> bool:
        found.key = key
        found.lower.append(arbiter_(session, key, *args, first=first))
        return found.lower[-1]

    def guest(session: Any, keys: Any, scale: Any, *args: Any) -> CipherVec:
        found.scale, lowest = scale, guest_(session, keys, scale, *args)
        if lowest is not args[-1]:
            found.encrypted.append(lowest)
        return lowest

    monkeypatch.setattr(held_out, "arbiter", arbiter)
    monkeypatch.setattr(held_out, "guest", guest)
    return found


def stopping(kind: str, **changes: Any) -> tuple[Params, list[Binned], Floats]:
    changes = {"n_estimators": 12, "learning_rate": 1.0, "early_stopping_rounds": 2, "max_bin": 16} | changes
    p, (x, z) = params(kind, **changes), table(4, ROWS, 5, 0.0)
    return p, bin_blocks([x[:, :2], x[:, 2:]], p), labels(p, z)


def loss(p: Params, y: Floats, margin: Floats) -> float:
    """Of several classes the mean over them, each against the rest."""
    if p.num_class == 1:
        return objective.loss(p, y, margin)
    one = Params(objective="binary:logistic")
    return float(
        np.mean([objective.loss(one, (y == k).astype(np.float64), margin[:, [k]]) for k in range(p.num_class)])
    )


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_early_stopping_compares_the_loss_and_keeps_the_best_round(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = losses_of(monkeypatch)
    p, blocks, y = stopping(kind)
    trained, trees = sealed_and_its_twin(p, blocks, y, TOY, held_out=HELD)
    kept = len(trees) // p.num_class
    unit = trained.sealed.margin_unit * 2.0**40 if p.objective == "reg:squarederror" else 1.0  # the label's
    margins = (exact(trained, blocks, trees[: rounds * p.num_class])[HELD] for rounds in range(1, kept + 1))
    expected = [loss(p, y[HELD], margin) for margin in margins]
    opened = [value * unit**2 for value in compared.opened(int(HELD.sum()) * p.num_class)]
    assert opened == pytest.approx(
        [value for value, low in zip(expected, compared.lower[:kept], strict=True) if low], rel=2e-3, abs=2e-4
    )
    assert all(later < earlier for earlier, later in itertools.pairwise(opened))
    assert compared.lower[0]
    for k, low in enumerate(compared.lower[1:kept], 1):
        assert low == (expected[k] < min(expected[:k])) or abs(expected[k] - min(expected[:k])) < 1e-3
    assert compared.rounds == min(compared.best + 2, p.n_estimators)
    assert kept == compared.best
    assert trained.arbiter is not None
    assert len(trained.arbiter.value) == len(trained.sealed.shape) == trained.hosts[0].trees == len(trees)
    check_scores(trained, blocks, trees, TOY)


def test_all_parties_hear_of_every_round_but_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    for rounds, ends in ((12, True), (2, False)):
        with monkeypatch.context() as patch:
            compared = losses_of(patch)
            p, blocks, y = stopping("binary:logistic", n_estimators=rounds)
            sent: list[Sent] = []
            train(blocks, y, p, Identity(1024), taps={"arbiter": [Recording("arbiter", sent)]}, held_out=HELD)
        for party in ("guest", "host1"):
            told = [s.message(Keyring()).more for s in sent if s.kind is held_out.MoreRounds and s.receiver == party]  # type: ignore[attr-defined]
            assert told == ([True] * (compared.rounds - 1) + [False] if ends else [True])
            kept = [s.message(Keyring()).rounds for s in sent if s.kind is held_out.RoundsKept and s.receiver == party]  # type: ignore[attr-defined]
            assert kept == [compared.best]
        lower = [s for s in sent if s.kind is held_out.LowerLoss]
        assert {s.receiver for s in lower} == {"guest"}
        assert len(lower) == compared.rounds


def test_rounds_of_the_guest_alone_are_kept_and_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = losses_of(monkeypatch)
    p, blocks, y = stopping("binary:logistic", guest_only_trees=3, n_estimators=6)
    trained, trees = sealed_and_its_twin(p, blocks, y, Identity(1024), held_out=HELD)
    assert len(trained.sealed.own.trees) == 3
    assert compared.rounds <= 3
    check_scores(trained, blocks, trees, Identity(1024))
    made = compared.rounds
    alone = train(blocks, y, replace(p, guest_only_trees=6), Identity(1024), held_out=HELD)
    assert compared.rounds == made
    assert alone.sealed.trees == len(alone.sealed.own.trees)


def test_too_few_rows_decide_nothing() -> None:
    p, blocks, y = stopping("binary:logistic")
    few = np.arange(ROWS) < LEAST_ROWS - 1
    with pytest.raises(DataError, match="too few to decide"):
        train(blocks, y, p, Identity(1024), held_out=few)
    with pytest.raises(ConfigError, match="held out"):
        train(blocks, y, p, Identity(1024))


def test_the_arbiter_opens_no_loss_but_a_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it opens is longer than a difference of losses can be, by a random factor.  Planted: without it, it
    opens that difference."""

    def opened(patch: pytest.MonkeyPatch) -> list[int]:
        found, honest = list[int](), DecryptionKey.open

        def open_(self: DecryptionKey, ciphers: CipherVec, bits: int) -> PlainVec:
            values = honest(self, ciphers, bits)
            found.extend(values.to_ints() if len(ciphers) == 1 else [])
            return values

        patch.setattr(DecryptionKey, "open", open_)
        p, blocks, y = stopping("binary:logistic", n_estimators=3)
        train(blocks, y, p, TOY, held_out=HELD)
        return found

    with monkeypatch.context() as patch:
        honest = opened(patch)
    most = 2 ** held_out.value_bits(losses_scale(monkeypatch), int(HELD.sum()))
    assert len(honest) == 2
    assert all(abs(value) > most for value in honest)
    with monkeypatch.context() as patch:
        patch.setattr(held_out, "blinded", lambda session, total, *rest: total)
        assert all(abs(value) < most for value in opened(patch))


def losses_scale(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The scale of such a training."""
    with monkeypatch.context() as patch:
        compared = losses_of(patch)
        p, blocks, y = stopping("binary:logistic", n_estimators=1)
        train(blocks, y, p, Identity(1024), held_out=HELD)
    return compared.scale


# -- continued models


def continue_(
    p: Params, first: int, scheme: Scheme, *, hosts: int = 1, weight: Floats | None = None, held: Bits | None = None
) -> Trained:
    """`first` rounds, then the others on the same rows."""
    blocks, y = tables(p, [2, 3, 2][: hosts + 1], seed=4, rows=ROWS)
    start, _ = sealed_and_its_twin(
        replace(p, n_estimators=first), blocks, y, scheme, seed=1, weight=weight, held_out=held
    )
    continued, trees = sealed_and_its_twin(p, blocks, y, scheme, seed=2, weight=weight, held_out=held, after=start)
    assert leaves(trees) > 4 * len(trees)
    check_scores(continued, blocks, trees, scheme)
    check_scores(start, blocks, joined(start), scheme)  # the first part is still a model
    return continued


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_a_continued_model_keeps_its_trees_and_adds_the_twins(kind: str) -> None:
    continue_(params(kind, n_estimators=3), 1, TOY, hosts=2)


def test_a_weighted_sampled_model_with_the_guests_own_trees_is_continued() -> None:
    p = params(n_estimators=4, guest_only_trees=1, subsample=0.8, colsample_bytree=0.7)
    continued = continue_(p, 2, Identity(1024), weight=np.arange(ROWS) % 3 + 0.5)
    assert len(continued.sealed.own.trees) == 1
    assert len(continued.sealed.shape) == 3


def test_a_continued_model_starts_from_the_margins_of_the_first_part() -> None:
    """The rounded gradients of its first round lie within a unit of those at the first part's exact margins."""
    p = params(n_estimators=3)
    blocks, y = tables(p, [2, 3], seed=4, rows=ROWS)
    start, first = sealed_and_its_twin(replace(p, n_estimators=2), blocks, y, Identity(1024), seed=1)
    continued, _ = sealed_and_its_twin(p, blocks, y, Identity(1024), seed=2, after=start)
    for trained, number, trees in ((start, 0, []), (continued, 2, first)):
        g, h = trained.opened.rounded(number, ROWS, np.ones(ROWS, dtype=np.bool_))
        exact_g, exact_h = objective.gradients(p, y, exact(start, blocks, trees), np.ones(ROWS))
        assert trained.opened.scale is not None
        units = trained.opened.scale.units
        assert np.abs(g[0] * units.g_unit - exact_g[:, 0]).max() < 1.01 * units.g_unit
        assert (
            np.abs(h[0] * units.h_unit - exact_h[:, 0]).max() < 1.01 * units.h_unit + 1e-4
        )  # what a look-up of the slope is off


def test_what_early_stopping_gave_up_is_not_continued() -> None:
    p, blocks, y = stopping("binary:logistic")
    start, kept = sealed_and_its_twin(p, blocks, y, Identity(1024), seed=1, held_out=HELD)
    slower = replace(p, learning_rate=0.1, n_estimators=len(kept) + 3)
    continued, trees = sealed_and_its_twin(slower, blocks, y, Identity(1024), seed=2, held_out=HELD, after=start)
    assert len(trees) > len(kept)
    check_scores(continued, blocks, trees, Identity(1024))


def test_a_host_that_had_won_no_split_takes_part_in_what_follows() -> None:
    p = small(n_estimators=2, min_bin_rows=5)
    x, z = table(3, 150, 4, 0.0)
    y, ones = labels(p, z), np.ones((150, 2))
    blocks = bin_blocks([x[:, :2], ones, x[:, 2:]], p)
    start, _ = sealed_and_its_twin(replace(p, n_estimators=1), blocks, y, Identity(1024))
    assert len(start.hosts[0]) == 0
    sealed_and_its_twin(p, blocks, y, Identity(1024), after=start)


def test_other_rows_of_another_scale_are_refused() -> None:
    p = params("reg:squarederror", n_estimators=2)
    blocks, y = tables(p, [2, 3], seed=4, rows=ROWS)
    start = train(blocks, y, replace(p, n_estimators=1), Identity(1024))
    with pytest.raises(DataError, match="another order of magnitude"):
        train(blocks, 100 * y, p, Identity(1024), after=start)


# -- trees that share plaintexts


def ciphertexts(p: Params, scheme: Scheme, widths: list[int], seed: int = 3) -> int:
    """How many of each row the arbiter sends to each owner; the trees equal the twin's."""
    blocks, y = tables(p, widths, seed=seed, rows=120)
    sent: list[Sent] = []
    train(blocks, y, p, scheme, taps={"arbiter": [Recording("arbiter", sent)]})
    _, trees = sealed_and_its_twin(p, blocks, y, scheme, seed=seed)
    assert leaves(trees) > 2 * len(trees)
    (found,) = set(Counter(s.receiver for s in sent if s.kind is EncryptedPads).values())
    return found


@pytest.mark.parametrize(
    ("kind", "rounds", "depth", "bits", "expected"),
    [
        ("binary:logistic", 5, 3, 2048, 2),  # four trees in one, then one
        ("binary:logistic", 3, 3, 1024, 2),  # two in one, then one
        ("multi:softprob", 2, 2, 2048, 2),  # three classes of four places
        ("multi:softprob", 2, 3, 1024, 4),  # two places: a round takes two
        ("binary:logistic", 3, 4, 1024, 2),  # three trees in two
        ("binary:logistic", 3, 4, 512, 5),  # two trees in three, then one in two: levels of a tree lie in several
    ],
)
def test_trees_of_rounds_and_classes_share_plaintexts(
    kind: str, rounds: int, depth: int, bits: int, expected: int
) -> None:
    p = params(kind, n_estimators=rounds, max_depth=depth)
    assert ciphertexts(p, Paillier(bits) if bits < 1024 else Identity(bits), [2, 3]) == expected


def test_rounds_with_other_columns_share_none() -> None:
    assert ciphertexts(params(n_estimators=3, max_depth=2, colsample_bytree=0.5), Identity(2048), [2, 3]) == 3


@pytest.mark.parametrize(
    "change",
    [{"subsample": 0.7}, {"guest_only_trees": 1}, {"early_stopping_rounds": 2}],
    ids=lambda change: next(iter(change)),
)
def test_sharing_goes_with_everything_else(change: dict[str, Any]) -> None:
    p = params(n_estimators=6, max_depth=2, **change)
    blocks, y = tables(p, [2, 3, 2], seed=3, rows=120)
    held = np.arange(120) % 4 == 0 if p.early_stopping_rounds else None
    assert layout_of(p, 120, 2048, False).trees > 1
    sealed_and_its_twin(p, blocks, y, Identity(2048), held_out=held)
