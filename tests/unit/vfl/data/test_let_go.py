"""Rows that are let go once the common ones are known: what was computed of them stays, and the same rows come back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from protocols.alignment import Alignment
from protocols.errors import ConfigError, DataError
from tests.unit.vfl.data.samples import build
from vfl.data import Table
from vfl.data.table import LET_GO
from vfl.run.budget.labels import paired, sketches_of
from vfl.run.stored_run import ends_for_good

FRAME = pd.DataFrame({"id": ["a", "b", "c", "d"], "x": [1.0, 2.0, 3.0, 4.0], "y": [0, 1, 1, 0]})
COMMON = Alignment(np.array([2, 0]), np.zeros(2, np.uint8), {"bank": 4, "telecom": 4}, (2,))


def read(frame: pd.DataFrame = FRAME) -> Table:
    return build(frame, label="y")


def readable(again: Callable[[], Table]) -> Table:
    return dataclasses.replace(read(), again=again)


def never() -> Table:
    raise AssertionError("read again")


def held(one: Table) -> set[str]:
    return set(LET_GO) & set(vars(one))


def test_common_rows_alone_are_held_and_nothing_is_read_again_for_what_is_known() -> None:
    whole = readable(never)
    before = (whole.digest(), sketches_of(whole, b"k" * 32), paired(whole, b"k" * 32), repr(whole))
    aligned = whole.aligned(COMMON)
    assert (held(whole), held(aligned)) == (set(), set(LET_GO))
    assert list(aligned.features["x"]) == [3.0, 1.0]
    assert (whole.digest(), sketches_of(whole, b"k" * 32), paired(whole, b"k" * 32), repr(whole)) == before
    assert (len(whole), whole.shape, whole.classes) == (4, (4, 1), (0, 1))
    assert aligned.digest() != whole.digest()


def test_rows_that_are_asked_for_again_are_read_again_once() -> None:
    found = list[Table]()

    def again() -> Table:
        found.append(read())
        return found[-1]

    whole = readable(again)
    whole.aligned(COMMON)
    assert whole.aligned(COMMON).features.equals(read().features.take([2, 0]).reset_index(drop=True))
    assert list(readable(again).ids) == list(read().ids)  # held: not read
    assert len(found) == 1


def gone() -> Table:
    raise DataError("no such file")


@pytest.mark.parametrize("again", [lambda: read(FRAME.assign(x=[1.0, 2.0, 3.0, 5.0])), gone])
def test_planted_fault_another_table_in_its_place_is_refused_and_the_run_kept(again: Callable[[], Table]) -> None:
    whole = readable(again)
    whole.aligned(COMMON)
    with pytest.raises(ConfigError, match="cannot be read as it was") as found:
        whole.aligned(COMMON)
    assert not ends_for_good(found.value)


def test_a_table_that_cannot_be_read_again_is_held() -> None:
    whole = read()
    whole.aligned(COMMON)
    assert held(whole) == set(LET_GO)
    with pytest.raises(AttributeError):
        whole.nothing  # type: ignore[attr-defined]  # noqa: B018
