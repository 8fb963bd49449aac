"""Has a new table moved away from the one that a model was trained on?  `vfl monitor`: one party alone, nothing is
sent."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from protocols.errors import ConfigError, DataError, ModelError
from vfl.cli.results import Drift, Monitor
from vfl.data import Schema, read_source
from vfl.data.checked import typed_features
from vfl.data.names import no_rows
from vfl.data.writing import check_out, write_table
from vfl.job import Party
from vfl.models.baseline import Baseline, compare, load_baseline
from vfl.models.part_files import schema_of
from vfl.report.words import number, percent
from vfl.run.scoring import new_data
from vfl.screen.console import Console
from vfl.storage.files import write_private

COLOUR = {"stable": "green", "watch": "yellow", "shifted": "red", None: "dim"}
JSON = ".json"
BESIDES = 44  # characters of a line besides the name of a column and its rows
NUMBERS = ("column", "psi", "expected", "mark", "rows", "missing_before", "missing")


def monitor(
    party: Party, model: Path, source: str | None = None, scores: Path | None = None, out: Path | None = None
) -> dict[str, Any]:
    """A new table against the training rows of the model part in the folder `model`: as `vfl.models.baseline.compare`.

    source: replaces that of the party file; scores: the guest's file of `vfl predict`; out: where
    the numbers will be written.  Raises ConfigError, DataError
    (a column is missing), ModelError (another party's part, no baseline).
    """
    if out is not None:
        check_out(out, JSON)
    data = new_data(party, source)
    if data is None:
        raise ConfigError(
            f"{party.name}: the arbiter has no data", remedy="Let the guest and the hosts monitor their own tables"
        )
    baseline = load_baseline(model)
    if baseline.party != party.name:
        raise ModelError(
            f"{model} is the part of another party",
            expected=party.name,
            found=baseline.party,
            remedy="Name this party's own",
        )
    if scores is not None and baseline.score is None:
        raise ConfigError(
            f"{party.name}: this model part holds no scores",
            remedy="Leave --scores out: only the guest of a job with held-out rows has them",
        )
    schema, columns = _schema(model, baseline), list(baseline.columns)
    asked: dict[str, Any] = {"only": columns, "texts": schema.categories, "missing": (*schema.missing, *data.missing)}
    frame = read_source(data.source, data.query, form=data.form, **asked)
    if not len(frame):
        raise no_rows(party.name, in_python=False)
    there, numbers = schema.of([name for name in columns if name in frame.columns]), np.arange(1, len(frame) + 1)
    features = typed_features(frame, party.name, there, numbers, data.settings(), missing=True)
    return compare(baseline, features, None if scores is None else _scores(scores))


def _schema(model: Path, baseline: Baseline) -> Schema:
    """The types that the columns had in training, by the model part; of other columns, by the baseline."""
    texts = {c: r.values for c, r in baseline.columns.items() if r.values and isinstance(r.values[0], str)}
    known = Schema.of_earlier(list(baseline.columns), cast("Mapping[str, Collection[str]]", texts))
    kept = schema_of(model)
    return known if kept is None else Schema({**known.types, **kept.types}, kept.missing, kept.usual)


def _scores(path: Path) -> Any:
    frame = read_source(path, only=["score"])
    if "score" not in frame.columns:
        raise DataError(f"{path}: has no column 'score'", remedy="Give the scores.csv of vfl predict")
    return frame["score"]


def monitored(found: Mapping[str, Any]) -> Monitor:
    """The same as --json has it."""
    lines = [Drift(**{name: line[name] for name in NUMBERS}) for line in found["columns"]]
    score = found["score"]
    return Monitor(columns=lines, score=Drift(**{name: score[name] for name in NUMBERS}) if score else None)


def _broken(name: str, room: int) -> str:
    """A name that is longer than `room` on several lines, where there is an underscore to break it behind."""
    lines = list[str]()
    while len(name) > room > 0:
        cut = name.rfind("_", 0, room) + 1 or room
        lines.append(name[:cut])
        name = name[cut:]
    return "\n".join([*lines, name])


def print_monitor(found: dict[str, Any], console: Console) -> None:
    """A line for each column, the most moved first."""
    table = Table(
        title="Against the training rows",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("", overflow="fold")
    for name in ("PSI", "by\nchance", "verdict", "missing\nthen", "missing\nnow", "rows\nnow"):  # room for names
        table.add_column(name, justify="right", no_wrap=True)
    lines = sorted(found["columns"], key=lambda line: -(line["psi"] or 0.0))
    shown = [*([found["score"]] if found["score"] else []), *lines]
    room = console.width - BESIDES - max((len(number(line["rows"])) for line in shown), default=0)
    for line in shown:
        colour = COLOUR[line["mark"]]
        table.add_row(
            escape(_broken(line["column"], room)),
            f"[{colour}]{number(line['psi'], 3)}[/]",
            number(line["expected"], 3),
            f"[{colour}]{line['mark'] or 'no row'}[/]",
            percent(line["missing_before"]),
            percent(line["missing"]),
            number(line["rows"]),
        )
    console.print(table)
    console.print(
        "\nwatch (PSI from 0.1) and shifted (from 0.25) need a PSI that chance alone exceeds less than once in twenty "
        "times: with few rows, chance alone gives large values.  By chance: the mean PSI of as many rows from one "
        "population.",
        highlight=False,
    )


def write_monitor(found: dict[str, Any], out: Path) -> None:
    """All numbers as .json, or a line for each column as a table.  Mode 0600: edges of bins are values of single rows.
    Raises ConfigError: another suffix, not writable."""
    check_out(out, JSON)
    if out.suffix.lower() == JSON:
        content = (json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    else:
        lines = [*found["columns"], *([found["score"]] if found["score"] else [])]
        file = io.BytesIO()
        write_table(pd.DataFrame(lines, columns=list(NUMBERS)), file, out.suffix)
        content = file.getvalue()
    try:
        write_private(out, content)
    except OSError as error:
        raise ConfigError(
            f"{out} cannot be written ({error.strerror})", remedy="Name a file in a folder that this account may write"
        ) from None
