"""Predicted bytes are those that a run sends, to the byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.channel import Tap
from protocols.errors import ConfigError
from protocols.message import Message
from vfl.models.averaging.cost import AveragingCost, predicted

pytestmark = pytest.mark.filterwarnings("ignore:one member that drops out")


class Bytes(Tap):
    def __init__(self) -> None:
        self.total = 0

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.total += len(data)

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.total += len(data)


def measured(members: int, columns: int, spec: vfl.Averaging) -> tuple[int, int]:
    """What all members together, and the aggregator, send and receive."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, columns))).rename(columns=str).assign(y=rng.integers(0, 2, 60))
    taps = {f"m{k}": Bytes() for k in range(members)} | {"aggregator": Bytes()}
    local = vfl.Members.local({f"m{k}": table.iloc[k::members] for k in range(members)}, label="y")
    local.fit(spec, taps={name: [tap] for name, tap in taps.items()})
    return sum(taps[f"m{k}"].total for k in range(members)), taps["aggregator"].total


@pytest.mark.parametrize(
    ("members", "columns", "given"),
    [
        (3, 2, {"rounds": 130}),  # numbers of turns of two bytes
        (9, 5, {"rounds": 3, "estimator": "mlp", "hidden": 3}),
        (4, 20, {"rounds": 5, "update_bits": 8, "max_rows": 1000}),
        (5, 3, {"rounds": 5, "window": "recent"}),
    ],
)
def test_bytes_are_predicted_exactly(members: int, columns: int, given: dict[str, Any]) -> None:
    spec = vfl.Averaging(**given)
    cost = spec.cost(members, columns)
    assert (cost.aggregator_bytes, cost.aggregator_bytes) == measured(members, columns, spec)
    assert cost.member_bytes == round(cost.aggregator_bytes / members)
    assert cost.rounds == spec.rounds
    assert cost.sums == 1 + spec.rounds


def test_drawn_members_are_predicted_on_average() -> None:
    """A member that is left out of a sum sends less, and a turn that opens nothing is tried again."""
    spec = vfl.Averaging(rounds=4, fraction=0.5, window="recent")
    cost = predicted(spec, 12, 3)
    assert 0.9 * cost.aggregator_bytes < measured(12, 3, spec)[1] < 1.5 * cost.aggregator_bytes


@pytest.mark.parametrize("window", ["run", "recent"])
def test_cost_grows_as_documented(window: str) -> None:
    """About 430 bytes for each other member of the round, and the update both ways."""
    few, many = (vfl.Averaging(rounds=100, window=window).cost(members, 20) for members in (10, 50))
    assert (many.member_bytes - few.member_bytes) / 100 / 40 == pytest.approx(430, rel=0.05)
    assert isinstance(few, AveragingCost)


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="too few"):
        vfl.Averaging().cost(2, 3)
    with pytest.raises(ConfigError, match="columns"):
        vfl.Averaging().cost(3, 0)
