"""A table's digest tells it from every other; its rows move together."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vfl.data.samples import CANARY, build, good


def test_the_digest_changes_with_everything():
    base = build(good())
    others = [
        build(good(), party="clinic"),
        build(good().assign(id=[f"x{i}" for i in range(6)])),
        build(good().assign(id=[f"canary{i}" for i in range(6)])),  # the same canonical ids, other originals
        build(good().iloc[::-1]),
        build(good(), columns=["age", "limit"]),
        build(good().rename(columns={"age": "Age"})),
        build(good().assign(limit=[0, 1.5, 3, 4.5, 6, np.nextafter(7.5, 8)])),
        build(good(), need_label=False),
        build(good().assign(default=1 - good()["default"])),
        build(good().assign(default=2 * good()["default"])),
    ]
    digests = {t.digest() for t in (base, *others)}
    assert len(digests) == len(others) + 1
    assert {len(d) for d in digests} == {32}


def test_the_digest_is_the_same_however_the_table_came():
    digest = build(good()).digest()
    assert build(good().sort_index(axis=1), columns=["limit", "age"]).digest() == digest
    assert build(good().set_index("id")).digest() == digest
    assert build(good().astype({"id": object, "age": "Int64"})).digest() == digest
    assert build(good().set_axis(range(10, 16))).digest() == digest
    assert build(good()).take(np.arange(6)).digest() == digest


def test_the_digest_is_frozen():
    assert build(good()).digest().hex() == "200ecefc372c5d0d3cdd82398452648293d9dcbf727a73b9965d413ce1130272"


@given(st.lists(st.integers(0, 5), max_size=10))
def test_take_moves_all_parts_together(rows):
    table = build(good())
    taken = table.take(np.array(rows, np.int64))
    assert taken.ids == [table.ids[r] for r in rows]
    assert taken.index.tolist() == [f"{CANARY}{r}" for r in rows]
    assert taken.features["age"].tolist() == [20 + r for r in rows]
    assert taken.label.tolist() == [r % 2 for r in rows]
    assert (taken.classes, taken.party) == (table.classes, table.party)
    assert taken.features.index.equals(pd.RangeIndex(len(rows)))
