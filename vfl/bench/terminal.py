"""What was measured, in the terminal; and what became slower since an older measurement."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from protocols.errors import ConfigError
from vfl.bench.page import KINDS, described, of, ratio
from vfl.bench.suite import FORMAT
from vfl.models.workload import Workload
from vfl.report import words
from vfl.screen.console import Console

COLUMNS = ("seconds", "CPU s", "x clear", "products", "explain", "sent", "MiB", "AUC")
COUNTED = 1.001  # times as much of a count
SLOWER = 1.15  # two runs of the same code differ by up to so much on a machine that does other things, too


def print_result(result: Mapping[str, Any], console: Console) -> None:
    """The modes of both jobs, what python-paillier took, networks, other libraries and the cost model's error."""
    env = result["environment"]
    console.print(
        f"{env['cpu']}, {env['cores']} cores, {env['backend']}, load {env['load_average'][0]}\n", highlight=False
    )
    for name, title in KINDS.items():
        if runs := of(result["modes"], name):
            console.print(modes(title, runs))
    if small := [run for run in result["modes"] if run.get("small")]:
        console.print(modes("The same protocols on tables for python-paillier", small))
    if result["kinds"]:
        console.print(modes("Other models", [dict(run) | {"label": described(run["work"])} for run in result["kinds"]]))
    console.print("Other libraries, microseconds per element on one thread")
    for row in result["peers"]:
        told = row.get("skipped") or ", ".join(f"{op} {us:.1f}" for op, us in row["microseconds"].items())
        console.print(f"{row['library']:<16} {told}", highlight=False)
    if result["model"]:
        errors = [abs(row["error"]) for row in result["model"]]
        console.print(
            f"\ncost model: within 30% on {sum(e <= 0.3 for e in errors)} of {len(errors)} jobs that it was "
            f"not fitted on; half within {median(errors):.0%}, all within {max(errors):.0%}",
            highlight=False,
        )


def modes(title: str, runs: list[Mapping[str, Any]]) -> Table:
    """One row per run; columns that no run fills are left out."""
    clear = next((run["cpu_s"] for run in runs if run["mode"] == "clear"), None)
    ran = [cells(run, clear) for run in runs]
    shown = [name for name in ran[0] if name == "mode" or any(row[name] for row in ran)]
    table = Table(box=None, title=title, title_justify="left", padding=(0, 1, 0, 0))
    for name in shown:
        table.add_column(name, justify="left" if name == "mode" else "right", no_wrap=name != "mode")
    for row in ran:
        table.add_row(*(row[name] for name in shown))
    return table


def cells(run: Mapping[str, Any], clear: float | None) -> dict[str, str]:
    """What stands in each column; nothing where there is nothing to say."""
    name = f"{run['work']['kind']}, {run['label']}" if run.get("small") else run["label"]
    if "skipped" in run:
        return {"mode": f"{name}: skipped: {run['skipped']}"} | dict.fromkeys(COLUMNS, "")
    values = (
        f"{run['wall_s']:.2f}",
        f"{run['cpu_s']:.2f}",
        ratio(run["cpu_s"], clear) if clear else "",
        f"{run['products']:,}" if run["products"] else "",
        f"{run['explained']:.0%}" if run.get("explained") else "",
        words.size(run["bytes"]) if run["bytes"] else "",
        f"{run['peak_mib']:.0f}",
        f"{run['auc']:.4f}" if run.get("auc") is not None else "",
    )
    return {"mode": name} | dict(zip(COLUMNS, values, strict=True))


def read(path: Path) -> dict[str, Any]:
    """An overhead.json; raises ConfigError if it is none."""
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = result["format"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{path} is no result of vfl bench", remedy="Give an overhead.json that vfl bench wrote"
        ) from None
    if found != FORMAT:
        raise ConfigError(
            f"{path} has another format",
            expected=FORMAT,
            found=found,
            remedy="Measure the old version again with this one",
        )
    return result


def figures(result: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """(name, number) of everything that may grow: CPU seconds, products and bytes of each run, microseconds of each
    operation."""
    for run in (*result["modes"], *result["sweeps"], *result["kinds"]):
        if "skipped" not in run:
            for key in ("cpu_s", "products", "bytes"):
                yield f"{named(run)}: {key}", float(run[key])
    for row in result["peers"]:
        for op, value in row.get("microseconds", {}).items():
            if row["library"].startswith("vfl"):
                yield f"{row['library']}: {op}", float(value)


def named(run: Mapping[str, Any]) -> str:
    """A run in words that no other has; what is as usual is left out."""
    usual = Workload(run["work"]["kind"], 0).as_dict() | {"rows": None}
    work = ", ".join(f"{key} = {value}" for key, value in run["work"].items() if value != usual[key])
    return f"{run['work']['kind']}, {work}: {run['mode']}" + "".join(
        f", {key} = {run[key]}" for key in ("key_bits", "threads") if run[key]
    )


def grown(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """(name, old, new) of what costs more: any count or time that is higher beyond what chance does; numbers on the
    wire take a byte less now and then."""
    before = dict(figures(old))
    return [
        (name, before[name], value)
        for name, value in figures(new)
        if name in before and value > before[name] * (COUNTED if name.endswith(("products", "bytes")) else SLOWER)
    ]


def print_compared(old: Mapping[str, Any], new: Mapping[str, Any], console: Console) -> None:
    console.print()
    for key in ("cpu", "cores", "backend"):
        if old["environment"][key] != new["environment"][key]:
            console.print(f"[yellow]caution[/]: another {key}: {old['environment'][key]} before", highlight=False)
    rows = grown(old, new)
    for name, before, now in rows:
        console.print(f"costs more: {name}: {before:.6g} -> {now:.6g} ({ratio(now, before)})", highlight=False)
    if not rows:
        console.print("nothing costs more than before")
