"""report.json, report.csv and report.html, for the people who must judge a run: validators, data-protection officers,
whoever pays.

One page with everything inside: no script, no font, no request, whatever the names in the data are (Jinja2 escapes
them; a content policy in the page forbids the rest).  The plots are drawn by `vfl.report.svg`, which says why not by
matplotlib.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from protocols.errors import ConfigError, ModelError
from vfl.data.cells import guarded
from vfl.report import plots, words
from vfl.report.aligning import as_result
from vfl.report.noise import marked
from vfl.report.prediction import prediction_numbers
from vfl.report.schema import checked
from vfl.report.searching import searching
from vfl.report.sections import Result, context, spent, typeset
from vfl.storage.files import write_private

if TYPE_CHECKING:
    from jinja2 import Environment

FORMAT = 1
REPORT, PAGE, ALIGNMENT = "report.json", "report.html", "alignment.json"
COLUMNS = ("section", "part", "item", "measure", "value")
TEMPLATES = Path(__file__).parent / "templates"
ITEM = ("party", "column", "class", "bin", "name")  # what tells one line of a list from the next


Phases = Callable[[], Sequence[Mapping[str, Any]]]  # what each phase of the run has taken until now


def write_report(folder: Path, result: Result, phases: Phases | None = None) -> Path:
    """Writes report.json, report.csv and report.html into `folder` and gives the path of the first.

    `result`: what `vfl.report.schema.Report` declares; phases: of the run whose last phase this is, asked as late as
    the report can tell it.
    Each file appears whole or not at all, and only this account can read it.  Raises ConfigError if they cannot be
    written.
    """
    plain = {"format": FORMAT} | as_plain(marked(result))
    checked(plain)
    plain, page = drawn(plain, phases)
    text = json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    files = {PAGE: page, "report.csv": as_csv(plain), "report.json": text}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_private(folder / name, text.encode())
    except OSError as error:
        raise ConfigError(
            f"the report cannot be written to {folder} ({error.strerror})",
            remedy="Free space there, or choose another folder",
        ) from None
    return folder / "report.json"


def write_alignment(folder: Path, content: Mapping[str, Any], phases: Phases | None = None) -> Path:
    """Writes alignment.json and report.html into `folder`, and gives the path of the page; only this account can read
    them.  content: that of alignment.json; phases: as of `write_report`.  Raises ConfigError if they cannot be
    written."""
    content = marked(content)
    result, page = drawn(as_result(content), phases)
    content |= {"phases": result["phases"]} if "phases" in result else {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_private(folder / PAGE, page.encode())
        write_private(folder / ALIGNMENT, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise ConfigError(
            f"the results cannot be written to {folder} ({error.strerror})",
            remedy="Make room there, or name another folder, and start again",
        ) from None
    return folder / PAGE


def check_new(folder: Path, overwrite: bool) -> None:
    """Raises ConfigError where a folder holds a report, which is not to be overwritten."""
    there = [name for name in (PAGE, REPORT, "report.csv", ALIGNMENT) if (folder / name).exists()]
    if there and not overwrite:
        raise ConfigError(
            f"{folder} holds a report already ({', '.join(there)})",
            remedy="Name another folder, or replace it: overwrite=True",
        )


def read_report(folder: Path) -> dict[str, Any]:
    """The content of `folder`/report.json.  Raises ModelError if there is none or it is of another format."""
    path = folder / REPORT
    if not path.exists():
        raise no_run(folder)
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        found = result["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ModelError(f"{path} is no report", remedy="Restore it from a copy of the run's folder") from None
    if found != FORMAT:
        raise ModelError(
            f"{path} has another format", expected=FORMAT, found=found, remedy="Read it with the version that wrote it"
        )
    return dict(result)


def no_run(folder: Path) -> ModelError:
    """The error of a folder without results."""
    return ModelError(
        f"{folder} holds no finished run", remedy="Name the folder of one: vfl runs PARTY.toml lists them"
    )


def render(result: Result) -> str:
    """The page."""
    return drawn(result, None)[1]


def drawn(result: Result, phases: Phases | None) -> tuple[dict[str, Any], str]:
    """The result with what each phase took until its page was drawn, and the page; phases: as of `write_report`."""
    template, found = templates().get_template("report.html"), dict(result)
    if phases is None:
        return found, template.render(context(found))
    shown = context(found | {"phases": as_plain(phases())})  # most of the work
    found["phases"] = as_plain(phases())
    return found, template.render(shown | spent(found["phases"]))


@functools.cache
def templates() -> Environment:
    """The templates of all pages, each compiled once."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in (words.size, words.duration, words.number, words.change, words.interval, words.percent):
        environment.filters[name.__name__] = typeset(name)
    environment.filters["joined"] = words.joined
    environment.filters["compact"] = plots.compact
    environment.filters["breakable"] = words.breakable
    return environment


def as_csv(result: Result) -> str:
    """Every single number of the report, one a line: section, part of the split, item (a model, a column, a phase),
    measure, value."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(guarded, line) for line in _numbers(result))
    return file.getvalue()


def _numbers(result: Result) -> Iterator[tuple[str, str, str, str, Any]]:
    for name, value in (result.get("alignment") or {}).items():
        for item, n in value.items() if isinstance(value, Mapping) else [("", value)]:
            yield "alignment", "", item, name, n
    for part, models in (result.get("metrics") or {}).items():
        for model, measures in models.items():
            yield from (("metrics", part, model, name, value) for name, value in measures.items())
    for part, found in (result.get("uplift") or {}).items():
        for name, bounds in found["measures"].items():
            yield from (("uplift", part, name, bound, value) for bound, value in bounds.items())
    yield from (("prediction", "", item, name, value) for item, name, value in prediction_numbers(result))
    for name, value in (result.get("encryption") or {}).items():
        yield "cost", "", "encryption", name, value
    if "peak_memory" in result:
        yield "cost", "", "process", "peak_memory", result["peak_memory"]
    stability, model = result.get("stability") or {}, result.get("model") or {}
    hosts = model.get("host_columns") or []
    lines = {
        "columns": result.get("columns") or [],
        "stability": _moved(stability),
        "binning": [
            *(model.get("woe") or []),
            *({"party": c["host"], "column": c["column"]} | b for c in hosts for b in c["table"]),
        ],
        "points": model.get("points") or [],
        "search": searching(result).get("lines") or [],
        "model": [*(model.get("coefficients") or []), *(model.get("importance") or []), *(model.get("splits") or [])],
        "cost": result.get("phases") or [],
    }
    parts = [
        *((section, "", rows) for section, rows in lines.items()),
        ("stability", "out_of_time", _moved(stability.get("out_of_time") or {})),
    ]
    for section, part, rows in parts:
        for row in rows:
            item = " ".join(str(row[name]) for name in ITEM if row.get(name) is not None)
            yield from (
                (section, part, item, k, v) for k, v in row.items() if k not in ITEM and isinstance(v, int | float)
            )


def _moved(stability: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A line for the score, where there is one, and for each column."""
    return [*([stability["score"]] if stability.get("score") else []), *(stability.get("columns") or [])]


def as_plain(value: Any) -> Any:
    """Plain JSON values of everything that a run collects; what is not a finite number becomes null."""
    if isinstance(value, Mapping):
        return {str(k): as_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_plain(v) for v in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return as_plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)
