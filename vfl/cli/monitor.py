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
from vfl.run.new_table import new_data
from vfl.run.trained_table import is_trained
from vfl.screen.console import Console
from vfl.screen.tables import print_cautions
from vfl.storage.files import write_private

COLOUR = {"stable": "green", "watch": "yellow", "shifted": "red", None: "dim"}
JSON = ".json"
BESIDES = 44  # characters of a line besides the name of a column and its rows
SCORE = "score"
SCORE_OF = {
    "test": "The joint score is compared with that of the held-out rows, because training rows were not scored.",
    "out_of_time": "The joint score is compared with that of the out-of-time rows, because no others were scored.",
    None: "The joint score is compared with that of the rows that were scored in training: see the report of that run.",
}
TRAINED = (
    "this is the table that the model was trained on, so that nothing can have moved: name the new one with --data"
)
NUMBERS = ("column", "psi", "expected", "mark", "rows", "missing_before", "missing")


def monitor(
    party: Party, model: Path, source: str | None = None, scores: Path | None = None, out: Path | None = None
) -> dict[str, Any]:
    """A new table against the training rows of the model part in the folder `model`: as `vfl.models.baseline.compare`,
    and `score_of`, the part of the split whose scores are compared, and `cautions`.

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
    scored = None if scores is None else _scores(scores, columns)
    ids = [] if scored is None else [name for name in scored.columns if name != SCORE]
    asked: dict[str, Any] = {"texts": schema.categories, "missing": (*schema.missing, *data.missing)}
    frame = read_source(data.source, data.query, keys=ids, only=[*columns, *ids], form=data.form, **asked)
    if not len(frame):
        raise no_rows(party.name, in_python=False)
    there, numbers = schema.of([name for name in columns if name in frame.columns]), np.arange(1, len(frame) + 1)
    features = typed_features(frame, party.name, there, numbers, data.settings(), missing=True)
    found = compare(baseline, features, None if scored is None else scored[SCORE].to_numpy())
    cautions = [TRAINED] if is_trained(party, data, model.parent) else []
    if scored is not None and (misfit := _misfit(scored, frame)):
        cautions.append(misfit)
    return found | {"score_of": baseline.score_of if found["score"] else None, "cautions": cautions}


def _schema(model: Path, baseline: Baseline) -> Schema:
    """The types that the columns had in training, by the model part; of other columns, by the baseline."""
    texts = {c: r.values for c, r in baseline.columns.items() if r.values and isinstance(r.values[0], str)}
    known = Schema.of_earlier(list(baseline.columns), cast("Mapping[str, Collection[str]]", texts))
    kept = schema_of(model)
    return known if kept is None else Schema({**known.types, **kept.types}, kept.missing, kept.usual)


def _scores(path: Path, features: Collection[str]) -> pd.DataFrame:
    """The scores of `vfl predict`, and the columns that are no features: those of ids, as texts."""
    frame = read_source(path)
    if SCORE not in frame.columns:
        raise DataError(f"{path}: has no column '{SCORE}'", remedy="Give the scores.csv of vfl predict")
    ids = [name for name in frame.columns if name != SCORE and name not in features]
    return read_source(path, keys=ids, only=[*ids, SCORE])[[*ids, SCORE]]


def _misfit(scored: pd.DataFrame, frame: pd.DataFrame) -> str:
    """What to say where scores and table are of other rows: "" where they are of the same ones, in whatever order."""
    ids = [name for name in scored.columns if name != SCORE and name in frame.columns]
    ask = "--scores takes the scores that vfl predict gave to this very table"
    if ids:
        here, there = (pd.MultiIndex.from_frame(of[ids].astype(str)) for of in (frame, scored))
        lacking = int((~here.isin(there)).sum())
        if lacking:
            return f"{lacking:,} of the {len(frame):,} rows of the table have no line in the file of scores: {ask}"
    if len(scored) != len(frame):
        lines = "1 line" if len(scored) == 1 else f"{len(scored):,} lines"
        return f"the file of scores has {lines} and the table {len(frame):,} rows: {ask}"
    return ""


def monitored(found: Mapping[str, Any]) -> Monitor:
    """The same as --json has it."""
    lines = [Drift(**{name: line[name] for name in NUMBERS}) for line in found["columns"]]
    score = found["score"]
    shown = Drift(**{name: score[name] for name in NUMBERS}) if score else None
    return Monitor(columns=lines, score=shown, score_of=found["score_of"], cautions=found["cautions"])


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
    if found["score"] and found["score_of"] != "train":
        console.print(f"\n{SCORE_OF[found['score_of']]}", highlight=False)
    print_cautions(console, found["cautions"])


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
