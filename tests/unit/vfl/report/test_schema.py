"""report.json holds what is declared and nothing else."""

from typing import Any

import pytest

from vfl.models.registry import KINDS
from vfl.models.trees.reported import TreesReport
from vfl.report import schema
from vfl.report.page import as_plain


def test_a_whole_report_is_as_declared(guest_result: dict[str, Any]) -> None:
    schema.checked(as_plain(guest_result))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"metric": {}}, "unknown field `metric`"),
        ({"alignment": {"intersection": "40"}}, r"Expected `int`, got `str` - at `\$.alignment.intersection`"),
        ({"phases": [{"name": "train"}]}, r"missing required field `seconds` - at `\$.phases\[0\]`"),
        ({"columns": [{"column": "age", "ids": []}]}, r"\$.columns\[0\]"),
    ],
)
def test_planted_anything_else_is_a_fault(guest_result: dict[str, Any], change: dict[str, Any], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        schema.checked(as_plain(guest_result) | change)


def test_a_model_has_its_parameters_and_what_its_kind_declares() -> None:
    parameters = KINDS["boosted-trees"].spec.model_fields
    schema.checked_model({"kind": "boosted-trees", "max_depth": 3, "trees": 2}, TreesReport, parameters)
    with pytest.raises(TypeError, match="unknown field `leaves`"):
        schema.checked_model({"kind": "boosted-trees", "max_depth": 3, "leaves": 2}, TreesReport, parameters)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_declares_what_a_report_says_of_it(kind: str) -> None:
    assert KINDS[kind].reported is not schema.Model
