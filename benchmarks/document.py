"""Writes the last section of docs/benchmarks.md and its plots from benchmarks/results/overhead.json: what encryption
costs, from end to end.

    python -m benchmarks.document

Everything between the two comments of that page is replaced; `make bench-full` measures and then runs this.
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
RESULT, PAGE, PLOTS = (
    ROOT / "benchmarks" / "results" / "overhead.json",
    ROOT / "docs" / "benchmarks.md",
    ROOT / "docs" / "figures",
)
BEGIN, END = "<!-- written by python -m benchmarks.document -->", "<!-- until here -->"
STYLE = (
    "<style>text{fill:#55616d;font:13px "
    "system-ui,sans-serif}.middle{text-anchor:middle}.end{text-anchor:end}.grid{stroke:#dfe2e4}.axis{stroke:#55616d}"
    ".line{fill:none;stroke-width:2.4}.line.joint{stroke:#12597c}.line.alone{stroke:#a35200;stroke-dasharray:7 "
    "4}.chance{stroke:#55616d;stroke-dasharray:2 4}"
    ".line.third{stroke:#1b6b41;stroke-dasharray:2 "
    "4}.dot.third{fill:#1b6b41}.dot.joint{fill:#12597c}.dot.alone{fill:#fff;stroke:#a35200;stroke-width:1.8}</style>"
)


def section(result: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the section."""
    env, command = result["environment"], "vfl bench --full" if result["full"] else "vfl bench"
    load = ", ".join(map(str, env["load_average"]))
    yield from ("## What does encryption cost, from end to end?", "")
    yield (
        f"`{command}`, {words.duration(result['seconds'])}, commit {env['commit']}: {env['cpu']}, "
        f"{env['cores']} cores, {env['backend']}, load average {load} at the end."
    )
    yield (
        "The same job in every mode, alignment included, with all parties on this machine. CPU seconds are "
        "those of all parties together."
    )
    yield (
        "Explained: the number of products times the price of one, which is measured together with the run. "
        "Squarings cost less than"
    )
    yield "that product, so this part can exceed 100%."
    if env["load_average"][0] > env["cores"]:
        yield (
            "The machine was busy with other work: products, bytes and round trips are exact, but the "
            "seconds are too high."
        )
    for name, title in KINDS.items():
        if runs := of(result["modes"], name):
            yield from modes(title, runs)
    yield from small(result)
    yield from others(result)
    yield from networks(result)
    yield from peers(result)
    if told := result["model"]:
        errors = [abs(row["error"]) for row in told]
        counted, played = (
            max(abs(row["products_error"]) for row in told),
            [abs(row["lan_error"]) for row in told if "lan_error" in row],
        )
        yield ""
        yield (
            "The cost model of `vfl check` (`vfl/cost/cost.py`) was fitted on none of these jobs. It "
            "predicted the CPU seconds of"
        )
        yield (
            f"{within(errors)} of this measurement within 30% (half of them within {median(errors):.0%}, all "
            f"within {max(errors):.0%}), and all"
        )
        yield f"products within {counted:.0%}."
        if played:
            yield (
                "`vfl check` prints seconds on a LAN with one machine per party. These were within 30% of "
                "the replayed messages of these runs in"
            )
            yield (
                f"{within(played)} that train with one host (half within {median(played):.0%}, all within "
                f"{max(played):.0%})."
            )
        yield (
            "The machine's speed is measured before and after each run. If other work slows it in between, "
            "the seconds are wrong by as much."
        )
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
        explained, auc = (
            f"{run['explained']:.0%}" if "explained" in run else "-",
            "-" if run["auc"] is None else f"{run['auc']:.4f}",
        )
        yield (
            f"| {run['label']} | {run['wall_s']:.2f} | {run['cpu_s']:.2f} | {run['products']:,} | {explained} "
            f"| {words.size(run['bytes'])} | {run['peak_mib']:.0f} MiB | {auc} |"
        )
    yield from (
        "",
        "| CPU seconds over those of | " + " | ".join(run["label"] for run in ran) + " |",
        "|---|" + "---|" * len(ran),
    )
    for run in ran:
        yield f"| {run['label']} | " + " | ".join(ratio(run["cpu_s"], other["cpu_s"]) for other in ran) + " |"
    for run in ran[-1:]:
        if phases := run.get("phases"):
            told = ", ".join(f"{p['party']} {p['phase']} {p['seconds']:.2f} s" for p in phases if p["seconds"] >= 0.005)
            yield from ("", f"{run['label']}, seconds of work by party and phase:", f"{told}.")


def small(result: Mapping[str, Any]) -> Iterator[str]:
    """The time that python-paillier takes for the same protocols."""
    runs = [run for run in result["modes"] if run.get("small")]
    yield from ("", "With python-paillier, one exponentiation per element, on tables that are small enough for it:", "")
    yield from ("| job | mode | rows | seconds | CPU s |", "|---|---|---|---|---|")
    for run in runs:
        took = f"skipped: {run['skipped']} |" if "skipped" in run else f"{run['wall_s']:.2f} | {run['cpu_s']:.2f} |"
        yield f"| {run['work']['kind']} | {run['label']} | {run['work']['rows']} | {took}"


def others(result: Mapping[str, Any]) -> Iterator[str]:
    """Other models, and the runs that were left out of the sweeps."""
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
                f"Left out: {run['work']['kind']}, {AXES.get(run.get('axis'), 'base')} = "
                f"{run.get('value', 0):,}: {run['skipped']}.",
            )


def networks(result: Mapping[str, Any]) -> Iterator[str]:
    names = [n["name"] for n in result["networks"]]
    yield from ("", "Every party on its own machine: the messages are replayed on a simulated network.", "")
    yield "| job | mode | round trips | " + " | ".join(names) + " |"
    yield "|---|---|---|" + "---|" * len(names)
    for run in result["modes"]:
        if "networks" in run and not run.get("small"):
            cells = " | ".join(f"{run['networks'][n]:.1f} s" for n in names)
            yield f"| {run['work']['kind']} | {run['label']} | {run['round_trips']:.0f} | {cells} |"
    for row in result.get("cables", {}).get("rows", []):
        yield from (
            "",
            f"Network namespaces, {row['network']}: {row['measured_s']:.1f} s measured, "
            f"{row['replayed_s']:.1f} s by the replay.",
        )


def peers(result: Mapping[str, Any]) -> Iterator[str]:
    operations = list(dict.fromkeys(op for row in result["peers"] for op in row.get("microseconds", {})))
    yield from ("", "Other libraries in the same run, microseconds per element on one thread:", "")
    yield "| library | key | randomness | " + " | ".join(operations) + " |"
    yield "|---|---|---|" + "---|" * len(operations)
    for row in result["peers"]:
        cells = " | ".join(
            f"{row['microseconds'][op]:.1f}" if op in row.get("microseconds", {}) else "-" for op in operations
        )
        yield (
            f"| {row['library']} {row.get('version', '')} | {row['key']} | {row['randomness']} | "
            f"{row.get('skipped') or cells} |"
        )


def drawn(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(file, title, SVG that stands alone) of each plot."""
    found = []
    for title, _, svg in figures(result):
        alone = str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        found.append(
            (
                title.lower().replace(" ", "-"),
                title,
                re.sub(r"(<svg [^>]*>)", lambda m: m.group(1) + STYLE, alone, count=1),
            )
        )
    return found


def main() -> None:
    result, text = read(RESULT), PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    own, _, after = rest.partition(END)
    PAGE.write_text("\n".join([before + BEGIN, *section(result), END + after.rstrip("\n"), ""]), encoding="utf-8")
    PLOTS.mkdir(exist_ok=True)
    for old in re.findall(r"\(figures/([\w-]+\.svg)\)", own):
        (PLOTS / old).unlink(missing_ok=True)
    for name, _, svg in drawn(result):
        (PLOTS / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
