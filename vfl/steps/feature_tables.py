"""What a party's report says of its scorecard: plain tables of numbers and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protocols.binning.by_label import HostColumn
from protocols.binning.merging import iv_terms
from vfl.preprocessing import Preprocessor, Woe
from vfl.steps.features import Binned

BIN = ("bin", "rows", "events", "event_rate", "woe", "iv")
MARKS = ((0.02, "useless"), (0.1, "weak"), (0.3, "medium"))  # IV below which a column is called so; else "strong"


def strength(iv: float) -> str:
    """The usual word for an IV."""
    return next((word for mark, word in MARKS if iv < mark), "strong")


def iv_table(woe: Woe | None, dropped: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row per column, by falling IV: column, iv, strength, bins, dropped (null, or the reason); a column that was
    dropped and never binned has no IV."""
    columns = woe.columns if woe is not None else ()
    lines: list[dict[str, Any]] = [
        {"column": c.name, "iv": c.iv, "strength": strength(c.iv), "bins": len(c.rows), "dropped": dropped.get(c.name)}
        for c in columns
    ]
    rest = [c for c in dropped if c not in {column.name for column in columns}]
    lines += [{"column": c, "iv": None, "strength": None, "bins": 0, "dropped": dropped[c]} for c in rest]
    return sorted(lines, key=lambda line: -(line["iv"] or 0.0))


def woe_table(woe: Woe | None) -> list[dict[str, Any]]:
    """One row per bin: column, bin, rows, events, event_rate, woe, iv."""
    return [{"column": c.name, **row} for c in (woe.columns if woe is not None else ()) for row in c.table()]


def host_tables(hosts: Mapping[str, Sequence[HostColumn]]) -> list[dict[str, Any]]:
    """What the guest knows of hosts' columns, by falling IV: host, column (a name or a number), iv, strength, table of
    bins (by number: it knows no bounds)."""
    lines = []
    for host, columns in hosts.items():
        for c in columns:
            lines.append(
                {
                    "host": host,
                    "column": c.name,
                    "iv": c.merged.iv,
                    "strength": strength(c.merged.iv),
                    "table": _host_bins(c),
                }
            )
    return sorted(lines, key=lambda line: -float(str(line["iv"])))


def feature_tables(steps: Preprocessor | None, binned: Binned | None) -> dict[str, Any]:
    """What report.json says of columns before a model: `iv` (which says too what was left out, and why), `woe` and, at
    a guest that binned hosts' columns, `host_columns`; nothing without steps."""
    if steps is None:
        return {}
    woe = steps.woe if binned is None else binned.own.woe
    found = {"iv": iv_table(woe, steps.dropped), "woe": woe_table(woe)}
    return found | ({"host_columns": host_tables(binned.hosts)} if binned is not None else {})


def _host_bins(column: HostColumn) -> list[dict[str, Any]]:
    m = column.merged
    ordinary = len(m.rows) - column.apart
    names = [f"bin {k + 1}" if k < ordinary else "special or missing" for k in range(len(m.rows))]
    numbers = (
        m.rows.tolist(),
        m.events.tolist(),
        (m.events / m.rows).tolist(),
        m.woe.tolist(),
        iv_terms(m.rows, m.events).tolist(),
    )
    return [dict(zip(BIN, values, strict=True)) for values in zip(names, *numbers, strict=True)]
