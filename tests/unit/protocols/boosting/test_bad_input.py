"""What is wrong with a job, a table or a peer ends as one plain error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from protocols import codec
from protocols.binning.quantile import Binned
from protocols.boosting import levels, sums
from protocols.boosting.ensemble import Rounds
from protocols.boosting.packing import Packing
from protocols.boosting.params import Params
from protocols.boosting.sealed import layout_of
from protocols.cipher import HEAD_ROOM, Identity, Paillier
from protocols.errors import ConfigError, DataError, ModelError, PlaintextOverflow, RemoteProtocolError, VFLError
from tests.harness import TOY, Recording, Sent
from tests.unit.protocols.boosting.world import bin_blocks, score, train


@pytest.mark.parametrize(
    "change",
    [
        {"objective": "binary:hinge"},
        {"n_estimators": 0},
        {"max_depth": 11},
        {"learning_rate": 0.0},
        {"max_bin": 1},
        {"max_bin": 257},
        {"reg_lambda": -1.0},
        {"reg_alpha": float("nan")},
        {"gamma": float("inf")},
        {"min_child_weight": -1.0},
        {"subsample": 0.0},
        {"colsample_bytree": 1.5},
        {"gradient_bits": 2},
        {"min_bin_rows": 0},
        {"membership": "hidden"},
        {"membership": "shared"},
        {"score_bits": 21},
        {"guest_only_trees": 101},
        {"top_rate": 0.2, "other_rate": 0.1},
        {"top_rate": 0.2, "membership": "open"},
        {"top_rate": 0.8, "other_rate": 0.3, "membership": "open"},
        {"top_rate": 0.2, "other_rate": 0.1, "membership": "open", "subsample": 0.5},
        {"num_class": 3},
        {"objective": "multi:softprob"},
        {"seed": -1},
        {"n_estimators": True},
    ],
    ids=str,
)
def test_impossible_parameters_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="is not possible"):
        Params(**change)


@pytest.mark.parametrize(
    ("objective", "y"),
    [
        ("binary:logistic", [0, 1, 2]),
        ("binary:logistic", [1, 1, 1]),
        ("count:poisson", [0, -1, 2]),
        ("count:poisson", [0, 0, 0]),
        ("reg:squarederror", [0, float("nan"), 1]),
        ("multi:softprob", [0, 1, 1]),
        ("multi:softprob", [0, 1, 3]),
        ("reg:squarederror", []),
    ],
)
def test_labels_outside_the_objective_are_refused(objective: Any, y: list[float]) -> None:
    with pytest.raises(DataError):
        Rounds(
            Params(objective=objective, num_class=3 if objective == "multi:softprob" else 1),
            np.array(y, dtype=np.float64),
        )


def test_weights_and_early_stopping_need_sense() -> None:
    y = np.array([0.0, 1.0])
    for weight in ([-1.0, 1.0], [0.0, 0.0], [np.nan, 1.0]):
        with pytest.raises(DataError, match="weights"):
            Rounds(Params(), y, weight=np.array(weight))
    with pytest.raises(ConfigError, match="held out"):
        Rounds(Params(early_stopping_rounds=3), y)


def test_the_removed_profile_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="is not possible") as refused:
        Params(membership="hidden")  # type: ignore[arg-type]
    assert 'train again with "sealed"' in str(refused.value)


def needed(p: Params, rows: int) -> int:
    """Bits of the smallest key with which sealed trees fit."""
    slots = layout_of(p, rows, 1 << 14, False).slots
    return slots.width * 2 ** max(0, p.max_depth - 2) + rows.bit_length() + HEAD_ROOM + 2 + 80


@pytest.mark.parametrize("change", ["max_depth", "gradient_bits", "rows"])
def test_head_room_is_refused_before_anything_is_sent(change: str) -> None:
    """Of sealed trees by all data parties: one level, one bit or 60 rows more than the key holds."""
    p, (blocks, y), rows = Params(max_depth=3, gradient_bits=8), tables(), 80
    least = needed(p, rows)
    layout_of(p, rows, least, False)
    if change == "rows":
        least = needed(p, 20)
    else:
        p = replace(p, **{change: getattr(p, change) + 1})
    transcript: list[Sent] = []
    with pytest.raises(ConfigError, match="head-room"):
        train(
            blocks, y, p, Identity(least), taps={q: [Recording(q, transcript)] for q in ("guest", "host1", "arbiter")}
        )
    assert transcript == []


def test_head_room_of_open_trees_is_refused_before_anything_is_sent() -> None:
    blocks, y = tables()
    transcript: list[Sent] = []
    with pytest.raises(ConfigError, match="head-room"):
        train(
            blocks,
            y,
            Params(gradient_bits=16, membership="open"),
            Paillier(64),
            taps={q: [Recording(q, transcript)] for q in ("guest", "host1")},
        )
    assert transcript == []
    with pytest.raises(ConfigError, match="head-room"):
        Packing(10**6, 16, 60)


def tables() -> tuple[list[Binned], np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 4))
    y = (x[:, 3] + x[:, 2] + 0.3 * rng.normal(size=80) > 0).astype(np.float64)
    return bin_blocks([x[:, :1], x[:, 1:]], Params(max_bin=8, min_bin_rows=1)), y


def sent_instead(name: str, change: Callable[[Any], dict[str, Any]]) -> Any:
    """Messages called `name` are sent with other contents."""
    honest = codec.encode

    def encode(message: Any, to: Sequence[str], me: str, part: Any) -> bytes:
        return honest(replace(message, **change(message)) if message.kind == name else message, to, me, part)

    return patch.object(codec, "encode", encode)


LIES: list[
    tuple[str, Callable[[Any], dict[str, Any]]]
] = [  # in messages of open trees; of sealed ones: test_sealed_bad_input.py
    ("SplitColumns", lambda m: {"count": -1}),
    ("SplitColumns", lambda m: {"count": 2}),
    ("TreesStart", lambda m: {"columns": m.columns[:1]}),
    ("TreesStart", lambda m: {"model_id": b"short"}),
    ("BinSums", lambda m: {"length": m.length + 1}),
    ("BinSums", lambda m: {"length": 0}),
    ("BinSums", lambda m: {"length": m.length * 1000}),
    ("OwnWins", lambda m: {"nodes": m.nodes + np.int32(50)}),
    ("OwnWins", lambda m: {"nodes": m.nodes[:0]}),
    ("OwnWins", lambda m: {"ties": m.ties + np.int32(1)}),
    ("OwnWins", lambda m: {"positions": m.positions - np.int32(10000)}),
    ("Directions", lambda m: {"left": m.left[:-1]}),
    ("NodeRows", lambda m: {"split": m.split + b"."}),
    ("NodeRows", lambda m: {"left": b""}),
]


@pytest.mark.parametrize(("name", "change"), LIES, ids=[f"{x[0]}-{k}" for k, x in enumerate(LIES)])
def test_a_message_that_does_not_fit_is_refused(name: str, change: Any) -> None:
    blocks, y = tables()
    p = Params(n_estimators=1, max_depth=3, max_bin=8, membership="open", min_bin_rows=1)
    with sent_instead(name, change), pytest.raises(RemoteProtocolError):
        train(blocks, y, p, Identity())


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("Continues", {"rounds": -1}, RemoteProtocolError),
        ("Continues", {"splits": 10_000}, RemoteProtocolError),
        ("Continues", {"before": b"another model..."}, ModelError),
    ],
)
def test_a_model_is_continued_where_it_ended_only(name: str, change: dict[str, Any], error: type[Exception]) -> None:
    blocks, y = tables()
    p = Params(n_estimators=2, max_depth=2, max_bin=8, min_bin_rows=1, membership="open")
    start = train(blocks, y, p, Identity())
    with sent_instead(name, lambda m: change), pytest.raises(error):
        train(blocks, y, replace(p, n_estimators=3), Identity(), after=start)


def test_sums_beyond_their_range_are_noticed() -> None:
    blocks, y = tables()
    p = Params(n_estimators=1, max_depth=2, max_bin=8, membership="open", min_bin_rows=1)
    honest = sums.SumTable.listed

    def large(self: sums.SumTable, lists: np.ndarray) -> Any:
        table = honest(self, lists)
        for _ in range(40):  # beyond a whole slot: what of a smaller excess shows depends on whose sum is uppermost
            table = table + table
        return table

    with patch.object(sums.SumTable, "listed", large), pytest.raises(PlaintextOverflow, match="Ask host1") as caught:
        train(blocks, y, p, TOY)
    assert caught.value.party == "host1"


@pytest.mark.parametrize("membership", ["open", "sealed"])
def test_parts_of_two_models_do_not_score_together(membership: Any) -> None:
    blocks, y = tables()
    p = Params(n_estimators=1, max_depth=2, max_bin=8, membership=membership, min_bin_rows=1)
    trained = train(blocks, y, p, Identity(1024))
    trained.hosts[0].model_id = b"another model..."
    with pytest.raises(ModelError):
        score(trained, blocks, Identity(1024))


def test_a_host_without_the_splits_that_the_guest_names_is_refused() -> None:
    blocks, y = tables()
    p = Params(n_estimators=1, max_depth=2, max_bin=8, membership="open", min_bin_rows=1)
    trained = train(blocks, y, p, Identity())
    assert len(trained.hosts[0])
    trained.hosts[0].feature.clear()
    with pytest.raises(ModelError, match="fewer splits"):
        score(trained, blocks, Identity())


def test_parts_of_two_open_models_are_not_continued_together() -> None:
    blocks, y = tables()
    p = Params(n_estimators=2, max_depth=2, max_bin=8, membership="open", min_bin_rows=1)
    start = train(blocks, y, replace(p, n_estimators=1), Identity())
    with (
        sent_instead("Continues", lambda m: {"splits": m.splits + 1}),
        pytest.raises(RemoteProtocolError, match="keeps more"),
    ):
        train(blocks, y, p, Identity(), after=start)
    with (
        sent_instead("Continues", lambda m: {"before": b"another model..."}),
        pytest.raises(ModelError, match="another model"),
    ):
        train(blocks, y, p, Identity(), after=start)


@pytest.mark.parametrize(
    "change", [lambda m: {"rows": b"\xff" * len(m.rows)}, lambda m: {"rows": b""}], ids=["more rows", "no bitmap"]
)
def test_a_sample_of_other_rows_is_refused(change: Any) -> None:
    blocks, y = tables()
    p = Params(n_estimators=2, max_depth=2, max_bin=8, membership="open", min_bin_rows=1, top_rate=0.2, other_rate=0.2)
    with sent_instead("SampledRows", change), pytest.raises(RemoteProtocolError):
        train(blocks, y, p, Identity())


def test_one_row_and_no_row_are_scored() -> None:
    blocks, y = tables()
    trained = train(
        blocks, y, Params(n_estimators=3, max_depth=2, max_bin=8, membership="open", min_bin_rows=1), Identity()
    )
    one = [Binned(b.binner, b.bins[5:6]) for b in blocks]
    assert np.array_equal(score(trained, one, Identity()), trained.rounds.margin[5:6])
    none = [Binned(b.binner, b.bins[:0]) for b in blocks]
    assert score(trained, none, Identity()).shape == (0, 1)


def test_bitmaps() -> None:
    bits = np.random.default_rng(0).random(21) < 0.5
    assert np.array_equal(levels.unpack_bits(levels.pack_bits([bits[:5], bits[5:]]), 21, "host"), bits)
    with pytest.raises(VFLError):
        levels.unpack_bits(b"..", 21, "host")
