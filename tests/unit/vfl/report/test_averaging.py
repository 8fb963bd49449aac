"""The section Members: columns that have nothing to say are left out, and the better mean is marked."""

from __future__ import annotations

from typing import Any

from vfl.report.averaging import averaging

STAYED = {"round": 1, "members": 3, "rows": 90, "without": []}
MEASURES = {
    "auc": {"members": 3, "averaged": 0.7, "alone": 0.8},
    "log_loss": {"members": 3, "averaged": 0.5, "alone": 0.6},
}


def shown(rounds: list[dict[str, Any]], left: dict[str, str]) -> dict[str, Any]:
    members = [{"member": name, "rounds": len(rounds)} for name in ("north", "south", "west")]
    told = {"rounds": rounds, "members": members, "left": left, "over_members": MEASURES, "better": 1}
    return averaging({"averaging": told})


def test_columns_that_are_empty_are_left_out() -> None:
    assert (shown([STAYED], {})["some_left"], shown([STAYED], {})["some_without"]) == (False, False)
    gone = shown([STAYED, STAYED | {"round": 2, "members": 2, "without": ["west"]}], {"west": "west stopped"})
    assert (gone["some_left"], gone["some_without"]) == (True, True)
    assert [one["left"] for one in gone["members"]] == [None, None, "west stopped"]
    assert [(one["rounds"], one["without"]) for one in gone["spans"]] == [("1", []), ("2", ["west"])]


def test_the_better_mean_is_marked_whether_more_or_less_is_better() -> None:
    found = {one["label"]: (one["better"], one["worse"]) for one in shown([STAYED], {})["measures"]}
    assert found == {"AUC": (False, True), "Log-loss": (True, False)}
    assert averaging({}) == {}
