"""Writes the last section of docs/benchmarks.md and its plots from benchmarks/results/overhead.json: what encryption costs, from end to end.

    python -m benchmarks.document

Everything between the two marks of that page is written anew; `make bench-full` measures and then runs this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from vfl.bench.page import AXES, KINDS, described, figures, of, ratio
from vfl.bench.terminal import read
from vfl.report import words

ROOT = Path(__file__).resolve().parent.parent
RESULT, PAGE, PLOTS = ROOT / "benchmarks" / "results" / "overhead.json", ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "figures"
BEGIN, END = "<!-- written by python -m benchmarks.document -->", "<!-- until here -->"
STYLE = (
    "<style>text{fill:#55616d;font:13px system-ui,sans-serif}.middle{text-anchor:middle}.end{text-anchor:end}.grid{stroke:#dfe2e4}.axis{stroke:#55616d}"
    ".line{fill:none;stroke-width:2.4}.line.joint{stroke:#12597c}.line.alone{stroke:#a35200;stroke-dasharray:7 4}.chance{stroke:#55616d;stroke-dasharray:2 4}"
    ".line.third{stroke:#1b6b41;stroke-dasharray:2 4}.dot.third{fill:#1b6b41}.dot.joint{fill:#12597c}.dot.alone{fill:#fff;stroke:#a35200;stroke-width:1.8}</style>"
)


def section(result: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the section."""
    env, command = result["environment"], "vfl bench --full" if result["full"] else "vfl bench"
    load = ", ".join(map(str, env["load_average"]))
    yield from ("## What does encryption cost, from end to end?", "")
    yield f"`{command}`, {words.duration(result['seconds'])}, commit {env['commit']}: {env['cpu']}, {env['cores']} cores, {env['backend']}, load average {load} at the end."
    yield "The same job, alignment included, all parties on this machine; seconds of CPU of all parties together. Explained: the products at the price of one, measured beside"
    yield "the run; squarings cost less than that product, so that it can be more than all."
    if env["load_average"][0] > env["cores"]:
        yield "The machine was busy with other work: products, bytes and round trips are exact, seconds are too long."
    for name, title in KINDS.items():
        if runs := of(result["modes"], name):
            yield from modes(title, runs)
    yield from small(result)
    yield from others(result)
    yield from networks(result)
    yield from peers(result)
    if told := result["model"]:
        errors = [abs(row["error"]) for row in told]
        counted, played = max(abs(row["products_error"]) for row in told), [abs(row["lan_error"]) for row in told if "lan_error" in row]
        yield ""
        yield f"The cost model of `vfl check` (`vfl/bench/cost.py`) foretold the CPU seconds of {within(errors)} of this measurement, none of which it was fitted on, within 30%"
        yield f"(half of them within {median(errors):.0%}, all within {max(errors):.0%}), and all products within {counted:.0%}."
        if played:
            yield "What `vfl check` prints, seconds with a machine a party on a LAN, was within 30% of the messages of these runs played again in"
            yield f"{within(played)} that train with one host (half within {median(played):.0%}, all within {max(played):.0%})."
        yield "The machine's speed is measured before and after each run; where other work slows it in between, the seconds are off by as much."
    yield ""
    yield from (f"![{title}](figures/{name}.svg)" for name, title, _ in drawn(result))


def within(errors: list[float]) -> str:
    return f"{sum(e <= 0.3 for e in errors)} of {len(errors)} jobs"


def modes(title: str, runs: list[Mapping[str, Any]]) -> Iterator[str]:
    """One job in every mode, then the ratio of each mode to each other one."""
    work, ran = runs[0]["work"], [run for run in runs if "skipped" not in run]
    columns = "" if work["kind"] == "alignment" else f", {work['guest_columns']} + {work['host_columns']} columns"
    yield from ("", f"**{title}**, {work['rows']:,} rows{columns}, {described(work)}:", "")
    yield "| mode | seconds | CPU s | products | of the time explained | sent | peak memory | AUC |"
    yield "|---|---|---|---|---|---|---|---|"
    for run in runs:
        if "skipped" in run:
            yield f"| {run['label']} | skipped: {run['skipped']} |"
            continue
        explained, auc = f"{run['explained']:.0%}" if "explained" in run else "-", "-" if run["auc"] is None else f"{run['auc']:.4f}"
        yield (
            f"| {run['label']} | {run['wall_s']:.2f} | {run['cpu_s']:.2f} | {run['products']:,} | {explained} "
            f"| {words.size(run['bytes'])} | {run['peak_mib']:.0f} MiB | {auc} |"
        )
    yield from ("", "| CPU seconds over those of | " + " | ".join(run["label"] for run in ran) + " |", "|---|" + "---|" * len(ran))
    for run in ran:
        yield f"| {run['label']} | " + " | ".join(ratio(run["cpu_s"], other["cpu_s"]) for other in ran) + " |"
    for run in ran[-1:]:
        if phases := run.get("phases"):
            told = ", ".join(f"{p['party']} {p['phase']} {p['seconds']:.2f} s" for p in phases if p["seconds"] >= 0.005)
            yield from ("", f"{run['label']}, seconds of work by party and phase: {told}.")


def small(result: Mapping[str, Any]) -> Iterator[str]:
    """What python-paillier takes for the same protocols."""
    runs = [run for run in result["modes"] if run.get("small")]
    yield from ("", "Through python-paillier, one exponentiation an element, on tables that are small enough for it:", "")
    yield from ("| job | mode | rows | seconds | CPU s |", "|---|---|---|---|---|")
    for run in runs:
        took = f"skipped: {run['skipped']} |" if "skipped" in run else f"{run['wall_s']:.2f} | {run['cpu_s']:.2f} |"
        yield f"| {run['work']['kind']} | {run['label']} | {run['work']['rows']} | {took}"


def others(result: Mapping[str, Any]) -> Iterator[str]:
    """Other models, and what was left out of the sweeps."""
    if runs := [run for run in result["kinds"] if "skipped" not in run]:
        yield from ("", "Other models, 5 + 18 columns, under a key of 2048 bits:", "")
        yield from ("| model | rows | seconds | CPU s | products | sent |", "|---|---|---|---|---|---|")
        for run in runs:
            cells = f"{run['wall_s']:.2f} | {run['cpu_s']:.2f} | {run['products']:,} | {words.size(run['bytes'])}"
            yield f"| {described(run['work'])} | {run['work']['rows']:,} | {cells} |"
    for run in (*result["sweeps"], *result["kinds"]):
        if "skipped" in run:
            yield from (
                "",
                f"Left out: {run['work']['kind']}, {AXES.get(run.get('axis'), 'base')} = {run.get('value', 0):,}: {run['skipped']}.",
            )


def networks(result: Mapping[str, Any]) -> Iterator[str]:
    names = [n["name"] for n in result["networks"]]
    yield from ("", "Every party on a machine of its own, the messages played again on a network:", "")
    yield "| job | mode | round trips | " + " | ".join(names) + " |"
    yield "|---|---|---|" + "---|" * len(names)
    for run in result["modes"]:
        if "networks" in run and not run.get("small"):
            cells = " | ".join(f"{run['networks'][n]:.1f} s" for n in names)
            yield f"| {run['work']['kind']} | {run['label']} | {run['round_trips']:.0f} | {cells} |"
    for row in result.get("cables", {}).get("rows", []):
        yield from (
            "",
            f"Network namespaces, {row['network']}: {row['measured_s']:.1f} s measured, {row['replayed_s']:.1f} s by the replay.",
        )


def peers(result: Mapping[str, Any]) -> Iterator[str]:
    operations = list(dict.fromkeys(op for row in result["peers"] for op in row.get("microseconds", {})))
    yield from ("", "Other libraries in the same run, microseconds an element on one thread:", "")
    yield "| library | key | randomness | " + " | ".join(operations) + " |"
    yield "|---|---|---|" + "---|" * len(operations)
    for row in result["peers"]:
        cells = " | ".join(f"{row['microseconds'][op]:.1f}" if op in row.get("microseconds", {}) else "-" for op in operations)
        yield f"| {row['library']} {row.get('version', '')} | {row['key']} | {row['randomness']} | {row.get('skipped') or cells} |"


def drawn(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(file, title, SVG that stands alone) of each plot."""
    found = []
    for title, _, svg in figures(result):
        alone = str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        found.append((title.lower().replace(" ", "-"), title, re.sub(r"(<svg [^>]*>)", lambda m: m.group(1) + STYLE, alone, count=1)))
    return found


def main() -> None:
    result, text = read(RESULT), PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text("\n".join([before + BEGIN, *section(result), END + after.rstrip("\n"), ""]), encoding="utf-8")
    PLOTS.mkdir(exist_ok=True)
    for old in PLOTS.glob("*.svg"):
        old.unlink()
    for name, _, svg in drawn(result):
        (PLOTS / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
