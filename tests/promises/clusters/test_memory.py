"""The driver of an alignment holds neither ids nor rows, and Ray's store frees what has been passed; that of a training
holds one block of rows."""

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


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("what", "iterations"), [("boosted-trees", 1), ("logistic-regression", 5)])
def test_a_driver_hardly_grows_with_the_rows_of_a_training(what: str, iterations: int) -> None:
    """By a tenth at most, as with ids, though it holds rows too; its partner without workers grows by more."""
    few, many = (of_rows(rows, Options(what, iterations=iterations)) for rows in (FEW, MANY))
    assert own(many, "bank") < 1.1 * own(few, "bank")
    assert own(many, "telecom") > 1.1 * own(few, "telecom")
