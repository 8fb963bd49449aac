"""The closing table of a run, for the terminal: what it gave, what it cost, what was disclosed to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from vfl.metrics.binary import at_cutoff
from vfl.report.averaging import averaging
from vfl.report.noise import marked, promised
from vfl.report.prediction import prediction
from vfl.report.searching import searching
from vfl.report.words import (
    ANSWER,
    METRICS,
    PARTS,
    all_cautions,
    by_class,
    change,
    duration,
    interval,
    joined,
    model_names,
    number,
    of_members,
    outcome_of,
    percent,
    rows_by_party,
    size,
)
from vfl.screen.console import Console

HIDDEN = {
    "blinded": "how many values; the values are masked",
    "sealed": "nothing: encrypted, no key",
    "public": "sizes, names and public keys of the job",
}


def print_summary(
    result: Mapping[str, Any], console: Console, folder: Path | str, others: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Prints the summary of `result` (the content of report.json); the last line is `report: <folder>/report.json`.

    `others` are the results of other parties where one machine has them (the demo): their disclosures are shown too.
    """
    _prediction(result, console)
    _alignment(result, console)
    _members(result, console)
    _search(result, console)
    _metrics(result, console)
    _phases(result, console)
    for caution in all_cautions(result):
        console.print(f"[yellow]caution[/]: {escape(caution)}\n", highlight=False)
    if promise := promised(result):
        console.print(f"{escape(promise)}\n", highlight=False)
    _disclosure([marked(one) for one in (result, *others)], console)
    # Plain and unwrapped, for scripts read this line.
    console.print(f"report: {Path(folder) / 'report.json'}", markup=False, highlight=False, soft_wrap=True)


def _table(title: str, *columns: str, text: int = 1) -> Table:
    """A table whose first `text` columns are words and whose others are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < text else "right", no_wrap=i >= text, overflow="fold")
    return table


def _show(table: Table, console: Console) -> None:
    console.print(table)
    console.print()


def _alignment(result: Mapping[str, Any], console: Console) -> None:
    sizes = result.get("alignment") or {}
    common = sizes.get("intersection")
    if common is None:
        return
    table = _table("Alignment", "", "rows", "matched")
    for name, rows in rows_by_party(result).items():
        table.add_row(escape(name), number(rows), percent(common / rows if rows else None))
    table.add_row("[bold]in common[/]", f"[bold]{number(common)}[/]", "")
    _show(table, console)


def _members(result: Mapping[str, Any], console: Console) -> None:
    """Who took part in which rounds, and the means over members."""
    found = averaging(result)
    if not found:
        return
    table = _table("Rounds", "", "members", "rows", "without")
    for line in found["spans"]:
        table.add_row(line["rounds"], number(line["members"]), number(line["rows"]), escape(joined(line["without"])))
    _show(table, console)
    if found["measures"]:
        better = found["better"]
        told = "" if better is None else f": better than their own model for {better} of {found['of']}"
        title = f"Over members{told}"
        means = _table(title, "", "own model, mean", "averaged, mean", "members")
        for line in found["measures"]:
            means.add_row(line["label"], number(line["alone"]), number(line["averaged"]), number(line["members"]))
        _show(means, console)


def _metrics(result: Mapping[str, Any], console: Console) -> None:
    metrics = result.get("metrics") or {}
    shown = [p for p in PARTS if p in metrics]
    for part in [p for p in shown if p != "train"] or shown:
        _part(result, part, console)


def _part(result: Mapping[str, Any], part: str, console: Console) -> None:
    metrics = result["metrics"]
    joint, alone = (metrics[part].get(model, {}) for model in ("joint", "guest_alone"))
    sure = ((result.get("uplift") or {}).get(part) or {}).get("measures") or {}
    more = [f"{100 * result['uplift'][part]['level']:g} % interval"] if sure else []
    names = model_names(result)
    alone_name = "own model" if of_members(result) else "guest alone"
    table = _table(f"On {number(joint.get('n'))} {PARTS[part]}", "", alone_name, names["joint"], "change", *more)
    for name in ANSWER[outcome_of(result)]:
        label, better, _ = METRICS[name]
        a, j = alone.get(name), joint.get(name)
        delta = None if a is None or j is None else j - a
        known = sure.get(name) or {}
        bounds = [interval(known.get("low"), known.get("high"))] if sure else []
        table.add_row(
            label, number(a), f"[bold]{number(j)}[/]", f"[{_colour(better, known)}]{change(delta)}[/]", *bounds
        )
    _show(table, console)
    _matrix(result, part, console)


def _colour(better: float, known: Mapping[str, Any]) -> str:
    """That of a change: green or red only if all of its interval lies on one side of 0.  better: 1 where more is
    better, -1 where less is."""
    low, high = known.get("low"), known.get("high")
    if low is None or high is None or low <= 0 <= high:
        return "none"
    return "green" if low * better > 0 else "red"


def _matrix(result: Mapping[str, Any], part: str, console: Console) -> None:
    """The confusion matrices at the cut-off that `vfl report --cutoff` chose, if it chose one."""
    series = (result.get("plots") or {}).get(part) or {}
    found = {model: one["cutoffs"] for model, one in series.items() if one.get("cutoffs")}
    if result.get("cutoff") is None or not found:
        return
    names = {"joint": model_names(result)["joint"], "guest_alone": "own model" if of_members(result) else "guest alone"}
    lines = [(names.get(model, model), at_cutoff(cutoffs, result["cutoff"])) for model, cutoffs in found.items()]
    columns = ("caught", "missed", "false alarms", "passed", "precision", "recall")
    table = _table(f"Flagged from {lines[0][1]['cutoff']:g} up", "", *columns)
    for name, at in lines:
        counts = (at[k] for k in ("true_positives", "false_negatives", "false_positives", "true_negatives"))
        table.add_row(name, *(number(count, 1) for count in counts), percent(at["precision"]), percent(at["recall"]))
    _show(table, console)


def _prediction(result: Mapping[str, Any], console: Console) -> None:
    """Of a prediction, this party's rows and, at the guest, how the scores spread."""
    found = prediction(result)
    if not found or found["rows"] is None:
        return
    table = _table("Prediction", "", "rows")
    table.add_row("asked for" if result.get("role") == "guest" else "own rows", number(found["rows"]))
    if found["scored"] is not None:
        table.add_row("[bold]scored[/]", f"[bold]{number(found['scored'])}[/]")
    for why, rows in found["empty"]:
        table.add_row(escape(why), number(rows))
    for name, rows in found["unseen"].items():
        table.add_row(escape(f"with a text in {name} that the model does not know"), number(rows))
    _show(table, console)
    if found["quantiles"]:
        spread = _table(f"Distribution of the {found['what']}", *(name for name, _ in found["quantiles"]), text=0)
        spread.add_row(*(number(value) for _, value in found["quantiles"]))
        _show(spread, console)


def _search(result: Mapping[str, Any], console: Console) -> None:
    found = searching(result)
    if not found or not found["scored"]:
        return
    table = _table(f"On {found['cv']} folds of the training rows, by {found['measure']}", "candidate", "mean", "sd", "")
    for line in found["lines"]:
        chosen = "chosen" if line["best"] and len(found["lines"]) > 1 else ""
        table.add_row(escape(line["name"]), number(line["mean"]), number(line["sd"]), chosen)
    _show(table, console)


def _phases(result: Mapping[str, Any], console: Console) -> None:
    phases = result.get("phases") or []
    if not phases:
        return
    table = _table(
        "Cost" + (", since the run resumed" if result.get("resumed") else ""), "phase", "time", "sent", "received"
    )
    total = {key: sum(p[key] for p in phases) for key in ("seconds", "bytes_sent", "bytes_received")}
    for phase in [*phases, {"name": "in all"} | total] if len(phases) > 1 else phases:
        numbers = duration(phase["seconds"]), size(phase["bytes_sent"]), size(phase["bytes_received"])
        table.add_row(escape(str(phase["name"])), *numbers, style="bold" if phase["name"] == "in all" else None)
    _show(table, console)
    if "peak_memory" in result:
        console.print(f"Memory: this process held at most {size(result['peak_memory'])}", highlight=False)


def _disclosure(results: Sequence[Mapping[str, Any]], console: Console) -> None:
    """A line for each thing that somebody learned; the hidden classes in one line each."""
    entries = [{"from": _who(r)} | dict(entry) for r in results for entry in r.get("disclosure") or []]
    if not entries:
        return
    parties = {str(e["from"]) for e in entries}
    lines: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for name, group in by_class(entries).items():
        senders, receivers = (_all({p for e in group for p in _names(e[side])}, parties) for side in ("from", "to"))
        for entry in group:
            if name in HIDDEN:
                line = senders, receivers, f"{HIDDEN[name]} [dim]({name})[/]"
            else:
                line = (
                    escape(str(entry["from"])),
                    escape(joined(entry["to"])),
                    f"[bold]{escape(_learns(entry))}[/]",
                )
            lines.setdefault(line, []).append(entry)
    table = _table("Disclosed", "by", "to", "what the receiver learns", "count", "bytes", text=3)
    longest = max(len(p) for e in entries for side in ("from", "to") for p in _names(e[side]))
    for column in table.columns[:2]:  # several names stand under each other, so that the words have room
        column.max_width = min(longest + 1, 16)
    for line, group in lines.items():
        table.add_row(*line, number(sum(int(e["count"]) for e in group)), size(sum(e["bytes"] for e in group)))
    _show(table, console)


def _learns(entry: Mapping[str, Any]) -> str:
    return f"{entry['learns']} ({entry['noise']})" if entry.get("noise") else str(entry["learns"])


def _who(result: Mapping[str, Any]) -> str:
    return str(result.get("party") or result.get("role") or "this party")


def _names(names: object) -> list[str]:
    return [names] if isinstance(names, str) else joined(names).split(", ")


def _all(names: set[str], parties: set[str]) -> str:
    return "all" if len(parties) > 1 and names >= parties else escape(", ".join(sorted(names)))
