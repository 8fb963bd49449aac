"""What the page shows of a party's part of the model: coefficients, importance, bins and points."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from vfl.report import plots, words


def coefficients(rows: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The largest first."""
    values = [float(r["coef"]) for r in rows]
    low, high = min(0.0, *values, 0.0), max(0.0, *values, 0.0)
    drawn = [
        dict(r) | {"bar": plots.bar([(0, v, "up" if v >= 0 else "down")], low, high)}
        for r, v in zip(rows, values, strict=True)
    ]
    return sorted(drawn, key=lambda r: -abs(float(r["coef"])))


def importance(model: Mapping[str, Any], result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How often each column of the guest, and each host as a whole, was split on, of open trees by what that brought;
    at a host how often its columns were split on."""
    guest, hosts = words.party_names(result)
    parties = [guest, *hosts]
    lines: list[dict[str, Any]] = [
        {
            "name": i["column"] or "all columns",
            "party": parties[int(i["party"])],
            "gain": i["gain"],
            "splits": int(i["splits"]),
        }
        for i in model.get("importance") or []
    ]
    lines += [
        {"name": s["column"], "party": "", "gain": None, "splits": int(s["splits"])} for s in model.get("splits") or []
    ]
    by = "gain" if any(line["gain"] is not None for line in lines) else "splits"
    weights = [float(line[by] or 0) for line in lines]
    top = max(weights, default=0.0) or 1.0
    drawn = [
        line | {"bar": plots.bar([(0, weight, "joint")], 0, top)} for line, weight in zip(lines, weights, strict=True)
    ]
    return sorted(drawn, key=lambda line: -float(line[by] or 0))


def binning(model: Mapping[str, Any], party: str) -> list[dict[str, Any]]:
    """Columns by information value, the highest first, each with its bins and a bar for each bin's weight of evidence;
    the guest's knowledge of hosts' columns too."""
    bins = {name: list(rows) for name, rows in itertools.groupby(model.get("woe") or [], lambda row: row["column"])}
    columns = [dict(line) | {"party": party, "bins": bins.get(line["column"], [])} for line in model.get("iv") or []]
    columns += [
        dict(line) | {"party": line["host"], "bins": line["table"], "dropped": None}
        for line in model.get("host_columns") or []
    ]
    top = max((c["iv"] or 0.0 for c in columns), default=0.0) or 1.0
    drawn = [c | {"bins": _bars(c["bins"]), "bar": plots.bar([(0, c["iv"] or 0.0, "joint")], 0, top)} for c in columns]
    return sorted(drawn, key=lambda c: -(c["iv"] or 0.0))


def _bars(bins: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    woes = [float(b["woe"]) for b in bins]
    low, high = min([0.0, *woes]), max([0.0, *woes])
    return [
        dict(b) | {"bar": plots.bar([(0, w, "up" if w >= 0 else "down")], low, high)}
        for b, w in zip(bins, woes, strict=True)
    ]
