"""The driver of an alignment holds neither ids nor rows, and Ray's store frees what has been passed; that of a sealed
tree holds one block of rows of its shares."""

from __future__ import annotations

import pytest

from benchmarks.driver import MIB, Options, Watch, of_rows

FEW, MANY = 100_000, 1_000_000  # ids
STORE = 24  # MiB of Ray's store that a driver may have used: some calls at a time


def own(found: dict[str, Watch], party: str) -> float:
    return found[party].memory[found[party].pid] / MIB


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["ray", "dask"])
def test_a_driver_hardly_grows_with_the_ids(engine: str) -> None:
    """By a tenth at most from 10^5 to 10^6; its partner without workers is the positive control."""
    few, many = (of_rows(rows, Options(engine=engine)) for rows in (FEW, MANY))
    assert own(many, "bank") < 1.1 * own(few, "bank")
    assert many["bank"].shared[many["bank"].pid] < STORE * MIB
    assert own(many, "telecom") > 1.5 * own(few, "telecom")


LONG, BOUND = 400_000, 600  # rows; bytes for each, where the shares of depth 5 alone took 1,150


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_driver_grows_with_the_rows_of_a_sealed_tree_by_its_table_alone() -> None:
    few, many = (of_rows(rows, Options("boosted-trees", iterations=1)) for rows in (FEW, LONG))
    assert MIB * (own(many, "bank") - own(few, "bank")) / (LONG - FEW) < BOUND
