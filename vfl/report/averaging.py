"""The section Members: who took part in which rounds of an averaging, and how its measures compare over members."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from vfl.report import plots, words


def averaging(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows; nothing where the result is of no averaging."""
    told = result.get("averaging")
    if not told:
        return {}
    total = len(told["rounds"])
    left = told.get("left") or {}
    return {
        "total": total,
        "members": [
            dict(one)
            | {"bar": plots.bar([(0, one["rounds"], "joint")], 0, total or 1), "left": left.get(one["member"])}
            for one in told["members"]
        ],
        "spans": spans(told["rounds"]),
        "rows": told.get("rows"),
        "held_out": told.get("held_out"),
        "measures": over_members(result),
        "better": told.get("better"),
        "of": next((one["members"] for one in (told.get("over_members") or {}).values()), 0),
        "confirmed": told.get("confirmed"),
        "some_left": bool(left),
        "some_without": any(one["without"] for one in told["rounds"]),
    }


def spans(rounds: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rounds of the same members, one after the other, in one line."""
    found = []
    for (members, rows, without), same in itertools.groupby(
        rounds, lambda one: (one["members"], one["rows"], tuple(one["without"]))
    ):
        numbers = [int(one["round"]) for one in same]
        name = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        found.append({"rounds": name, "members": members, "rows": rows, "without": list(without)})
    return found


def over_members(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A line for each measure: this member's, and the means over members of both models."""
    own = (result.get("metrics") or {}).get("test") or {}
    return [
        {
            "label": words.METRICS[name][0],
            "own": (own.get("joint") or {}).get(name),
            "own_alone": (own.get("guest_alone") or {}).get(name),
            **one,
            "better": gain(name, one) > 0,
            "worse": gain(name, one) < 0,
        }
        for name, one in (result["averaging"].get("over_members") or {}).items()
    ]


def gain(measure: str, one: Mapping[str, Any]) -> float:
    """By how much the averaged model's mean is better."""
    more = float(one["averaged"]) - float(one["alone"])
    return more * words.METRICS[measure][1]
