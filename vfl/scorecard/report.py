"""What a party's report says of its scorecard: plain tables of numbers and texts."""

from __future__ import annotations

from typing import Any

from protocols.woe import HostColumn
from protocols.woe_bins import iv_terms
from vfl.preprocessing import Preprocessor

MARKS = ((0.02, "useless"), (0.1, "weak"), (0.3, "medium"))  # IV below which a column is called so; else "strong"


def strength(iv: float) -> str:
    """The usual word for an IV."""
    return next((word for mark, word in MARKS if iv < mark), "strong")


def iv_table(preprocessor: Preprocessor) -> list[dict[str, Any]]:
    """One row a column, by falling IV: column, iv, strength, bins, kept (else the reason why not)."""
    woe, dropped = preprocessor.woe, preprocessor.dropped
    lines: list[dict[str, Any]] = [
        {"column": c.name, "iv": c.iv, "strength": strength(c.iv), "bins": len(c.rows), "dropped": dropped.get(c.name)}
        for c in (woe.columns if woe is not None else ())
    ]
    lines += [
        {"column": c, "iv": None, "strength": None, "bins": 0, "dropped": why}
        for c, why in dropped.items()
        if c not in {x["column"] for x in lines}
    ]
    return sorted(lines, key=lambda line: -(line["iv"] or 0.0))


def woe_table(preprocessor: Preprocessor) -> list[dict[str, Any]]:
    """One row a bin: column, bin, rows, events, event_rate, woe, iv."""
    woe = preprocessor.woe
    return [{"column": c.name, **row} for c in (woe.columns if woe is not None else ()) for row in c.table()]


def host_tables(hosts: dict[str, list[HostColumn]]) -> list[dict[str, Any]]:
    """What the guest knows of hosts' columns, by falling IV: host, column (a name or a number), iv, strength, table of bins (by number: it knows no bounds)."""
    lines = []
    for host, columns in hosts.items():
        for c in columns:
            m = c.merged
            numbers = zip(m.rows.tolist(), m.events.tolist(), m.woe.tolist(), iv_terms(m.rows, m.events).tolist(), strict=True)
            table = [
                {"bin": _bin(k, len(m.rows), c.apart), "rows": n, "events": e, "event_rate": e / n, "woe": w, "iv": iv}
                for k, (n, e, w, iv) in enumerate(numbers)
            ]
            lines.append({"host": host, "column": c.name, "iv": m.iv, "strength": strength(m.iv), "table": table})
    return sorted(lines, key=lambda line: -float(str(line["iv"])))


def _bin(k: int, bins: int, apart: int) -> str:
    return f"bin {k + 1}" if k < bins - apart else "special or missing"
