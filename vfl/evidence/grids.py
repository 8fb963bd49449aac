"""Tables of the pages, from the content of figures.json and from the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from protocols.message import registry
from vfl.evidence import strips
from vfl.evidence.about import About
from vfl.evidence.blocks import Grid, Row, Tile
from vfl.evidence.recorded import Recorded, received
from vfl.evidence.resolved import learnt
from vfl.report import words
from vfl.report.coalitions import alone_in_training, coalitions
from vfl.report.sections import typeset

Content = Mapping[str, Any]
number, change, interval = typeset(words.number), typeset(words.change), typeset(words.interval)
percent, size = typeset(words.percent), typeset(words.size)
SIMPLER = "guest_alone"
OPEN_COLUMN = "to be filled in (data.columns)"


def measures(figures: Content, names: Mapping[str, str]) -> tuple[Grid, ...]:
    """Of each part of the split, both models and the difference, with its interval."""
    found = []
    for part, models in (figures.get("metrics") or {}).items():
        joint, alone = models.get("joint") or {}, models.get(SIMPLER) or {}
        whole = (figures.get("uplift") or {}).get(part) or {}
        sure, own = whole.get("measures") or {}, (whole.get("models") or {}).get("joint") or {}
        rows, bars = list[Row](), list[Markup]()
        for key, (label, sign, _) in words.METRICS.items():
            if key in joint:
                ends = sure.get(key) or {}
                both = joint[key], alone.get(key)
                moved = None if None in both else both[0] - both[1]
                same = key in ("n", "base_rate", "mean_observed")
                rows.append(
                    (
                        label,
                        number(joint[key]),
                        *((_between(own.get(key) or {}),) if own else ()),
                        "" if same else number(alone.get(key)),
                        "" if same else change(moved),
                        "" if same else interval(ends.get("low"), ends.get("high")),
                    )
                )
                bars.append(strips.difference(None if same else moved, ends.get("low"), ends.get("high"), sign))
        of_joint = ("95 % interval",) if own else ()
        difference = ("Difference", "95 % interval of the difference")
        head = (names["joint"], *of_joint, names[SIMPLER], *difference)
        found.append(
            Grid(
                f"On {words.PARTS.get(part, part)}",
                ("Measure", *head),
                tuple(rows),
                len(head),
                tuple(bars),
                strips.DIFFERENCES,
            )
        )
    return tuple(found)


def _between(ends: Content) -> str:
    """The interval of a measure itself; empty where it has none."""
    return "" if ends.get("low") is None else f"{number(ends['low'])} to {number(ends['high'])}"


def tiles(figures: Content, outcome: str, names: Mapping[str, str]) -> tuple[Tile, ...]:
    """The three numbers that a reader sees first, of the part that decides."""
    part = next((p for p in words.PARTS if (figures.get("metrics") or {}).get(p)), None)
    if part is None:
        return ()
    models = figures["metrics"][part]
    sure = ((figures.get("uplift") or {}).get(part) or {}).get("measures") or {}
    found = []
    for key in words.ANSWER[outcome]:
        label, sign, _ = words.METRICS[key]
        joint, alone = (models.get("joint") or {}).get(key), (models.get(SIMPLER) or {}).get(key)
        ends = sure.get(key) or {}
        low, high = ends.get("low"), ends.get("high")
        unclear = low is not None and high is not None and low <= 0 <= high
        verdict, told = "", ""
        if joint is not None and alone is not None:
            better = (joint - alone) * sign > 0
            verdict = "unclear" if unclear else "better" if better else "worse"
            told = f"{change(joint - alone, 3)}, {'no clear difference' if unclear else verdict}"
            told += f" (95\u00a0%: {interval(low, high)})" if low is not None else ""
        was = "" if alone is None else f"{number(alone, 3)} {names[SIMPLER]}"
        rows = f"{number((models.get('joint') or {}).get('n'))} {words.PARTS[part]}"
        found.append(Tile(label, number(joint, 3), was, told, verdict, rows))
    return tuple(found)


def own_columns(figures: Content, about: About, party: str) -> tuple[Grid, ...]:
    """This party's columns, and what the institution says they mean."""
    rows = tuple(
        (
            str(c["column"]),
            str(c["type"]),
            about.data.columns.get(str(c["column"]), OPEN_COLUMN),
            percent(c.get("missing")),
            number(c.get("distinct")),
        )
        for c in figures.get("columns") or ()
    )
    head = ("Column", "Type", "Meaning", "Missing", "Distinct")
    return (Grid(f"Columns of {party}, on the training rows", head, rows, 2),) if rows else ()


def stability(figures: Content) -> tuple[Grid, ...]:
    """How far columns and score have moved, the most moved first."""
    whole, found = figures.get("stability") or {}, []
    new = "New rows" if figures.get("prediction") else "Held-out rows"
    for name, part in ((new, whole), ("Out-of-time rows", whole.get("out_of_time") or {})):
        lines = [*([part["score"]] if part.get("score") else []), *(part.get("columns") or ())]
        lines.sort(key=lambda line: -(line["psi"] or 0.0))
        rows = tuple(
            (
                str(line["column"]),
                str(line["mark"] or "–"),
                number(line["rows"]),
                number(line["psi"]),
                number(line["expected"]),
                percent(line["missing"]),
            )
            for line in lines
        )
        if rows:
            head = ("Column", "Verdict", "Rows", "PSI", "Mean PSI by chance", "Missing")
            bars = tuple(strips.move(line["psi"], line["expected"], line["mark"]) for line in lines)
            found.append(Grid(f"{name} compared with the training rows", head, rows, 4, bars, strips.MOVES))
    return tuple(found)


def explained(model: Content, run: Recorded) -> tuple[Grid, ...]:
    """What decides a score, as far as this party knows it."""
    party = run.party
    found = list[Grid]()
    lines: tuple[Row, ...]
    head: Row
    if rows := model.get("coefficients"):
        raw = model.get("kind") == "averaging" and model.get("estimator") != "linear"  # whose label is scaled too
        raw = raw and all(c.get("coef_raw") for c in rows)
        lines = tuple(
            (str(c["column"]), number(c["coef"]), *((number(c["coef"] / c["coef_raw"]),) if raw else ())) for c in rows
        )
        bars = strips.sizes([float(c["coef"]) for c in rows])
        head = ("Column", "Weight", *(("Standard deviation",) if raw else ()))
        of = "weights of evidence" if str(model.get("kind")) == "scorecard" else "standardised columns"
        found.append(Grid(f"Weights of {party}’s {of}", head, lines, len(head) - 1, bars, strips.SIZES))
    if rows := model.get("iv"):
        lines = tuple((str(c["column"]), str(c["strength"]), number(c["bins"]), number(c["iv"])) for c in rows)
        bars, head = strips.sizes([float(c["iv"] or 0.0) for c in rows]), ("Column", "Strength", "Bins", "IV")
        found.append(Grid(f"Information value of {party}’s columns", head, lines, 2, bars, strips.SIZES))
    if rows := model.get("host_columns"):
        lines = tuple((f"{c['host']}, column {c['column']}", str(c["strength"]), number(c["iv"])) for c in rows)
        bars, head = strips.sizes([float(c["iv"] or 0.0) for c in rows]), ("Column", "Strength", "IV")
        found.append(Grid("Information value of partners’ columns", head, lines, 1, bars, strips.SIZES))
    if rows := model.get("importance"):
        guest, hosts = words.party_names(run.report)
        owners = (guest, *hosts)
        lines = tuple(
            (owners[int(c["party"])], str(c["column"] or "all columns together"), number(c["splits"])) for c in rows
        )
        bars, head = strips.sizes([float(c["splits"]) for c in rows]), ("Party", "Column", "Splits")
        found.append(Grid("Splits of the trees", head, lines, 1, bars, strips.SIZES))
    elif rows := model.get("splits"):
        lines = tuple((str(c["column"]), number(c["splits"])) for c in rows)
        bars, head = strips.sizes([float(c["splits"]) for c in rows]), ("Column", "Splits")
        found.append(Grid(f"Splits on {party}’s columns", head, lines, 1, bars, strips.SIZES))
    return tuple(found)


def sent(figures: Content, run: Recorded, to: str | None = None) -> tuple[Grid, ...]:
    """What left this party by kind, the most telling first; to: for one receiver."""
    found: list[Row] = []
    for name, group in words.by_class(figures.get("disclosure") or ()).items():
        found += [
            (
                words.joined(e["to"]),
                learnt(str(e["learns"]), run),
                str(e["message"]),
                name,
                number(e["count"]),
                size(e["bytes"]),
            )
            for e in group
            if to is None or e["to"] == to
        ]
    head = ("Receiver", "What it learns", "Message", "Class", "Count", "Bytes")
    return (Grid(f"What {run.party} sent", head, tuple(found), 2),) if found else ()


def came(run: Recorded, sender: str | None = None) -> tuple[Grid, ...]:
    """What this party received by kind; sender: of one."""
    kinds, rows = registry(), []
    for (who, message), (count, total) in received(run).items():
        if sender is None or who == sender:
            kind = kinds.get(message)
            learns = (
                learnt(kind.learns, run) if kind is not None else "a kind of message that this release does not know"
            )
            name = kind.disclosure.name.lower() if kind is not None else "–"
            rows.append((who, learns, message, name, number(count), size(total)))
    order = [*words.CLASSES, "–"]
    rows.sort(key=lambda row: (order.index(row[3]), row[0]))
    head = ("Sender", f"What {run.party} learns", "Message", "Class", "Count", "Bytes")
    return (Grid(f"What {run.party} received", head, tuple(rows), 2),) if rows else ()


def revealed(figures: Content, run: Recorded) -> tuple[Grid, ...]:
    """What left and came in a class that tells something; of the other classes, sums."""
    found, sums = [], []
    for table, way in ((sent(figures, run), "sent"), (came(run), "received")):
        for grid in table:
            telling = tuple(row for row in grid.rows if row[3] == "revealed")
            if telling:
                found.append(Grid(f"{grid.caption} that tells something", grid.head, telling, grid.numbers))
            for name in words.CLASSES:
                kinds = [row[2] for row in grid.rows if row[3] == name]
                if kinds:
                    sums.append((f"{way}, {name}", words.CLASSES[name][1], number(len(set(kinds)))))
    rest = (Grid("All classes of messages", ("Messages", "What it means", "Kinds"), tuple(sums), 1),) if sums else ()
    return (*found, *rest)


def together(run: Recorded) -> tuple[Grid, ...]:
    """What parties could conclude if they put together what each saw."""
    rows = () if run.purpose == "predict" else (*alone_in_training(run.report), *coalitions(run.report))
    return (Grid("If parties break the agreement together", ("Who", "could learn"), rows),) if rows else ()


def took_part(figures: Content) -> tuple[Grid, ...]:
    """Of an averaging, who took part in how many rounds."""
    lines = (figures.get("averaging") or {}).get("members") or ()
    rows = tuple((str(line["member"]), number(line["rounds"])) for line in lines)
    return (Grid("Members", ("Member", "Rounds to the end"), rows, 1),) if rows else ()
