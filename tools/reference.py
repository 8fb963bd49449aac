"""Fills the tables of docs/file-formats.md that are declared in the code: `make docs`.  A test fails if one is stale.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vfl.job import PERMITS
from vfl.job.job import Job
from vfl.job.members_job import MembersJob
from vfl.job.party import Party
from vfl.job.search import Search
from vfl.models.network.reported import NetworkReport
from vfl.models.registry import KINDS
from vfl.models.regression.base import Regression
from vfl.models.regression.reported import RegressionReport
from vfl.models.scorecard.reported import ScorecardReport
from vfl.models.trees.reported import TreesReport
from vfl.preprocessing import Preprocessing
from vfl.report import schema as report
from vfl.report.schema import rows, whole
from vfl.schema.described import Described
from vfl.screen.events import Event

PAGE = Path(__file__).parent.parent / "docs" / "file-formats.md"
BLOCK = re.compile(r"(<!-- table: ([\w.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
CODE = re.compile(
    r'(?:\w+ = )?(?:\{ [^{}]*\}|\[(?:[^\[\]]|\[[^\]]*\])*\]|"[^"]*")'
    r"|\b(?:true|false)\b(?= or|$)|\b[a-z]+(?:[._][a-z]+)*_[a-z]+(?:[._][a-z]+)*\b|\b[a-z]+\.[a-z]+\b(?!-)"
    + "".join(rf"|\b{permit}\b" for permit in PERMITS)
)


def page(text: str) -> str:
    """The text with every table as the code declares it."""
    return BLOCK.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def coded(text: str) -> str:
    """Names and values as code."""
    return CODE.sub(lambda found: f"`{found[0]}`", text).replace("|", "\\|")


def parameters(rows: Iterator[tuple[str, FieldInfo]]) -> str:
    """A table of (key, declaration)."""
    lines = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for key, field in rows:
        told = Described.of(field)
        nothing = "absent" if '"none"' in told.values else "none"
        default = "required" if field.is_required() else nothing if told.default is None else f"`{told.default}`"
        lines.append(f"| `{key}` | {coded(told.values)} | {default} | {coded(told.meaning)} |")
    return "\n".join(lines) + "\n"


def declared(
    section: type[BaseModel], prefix: str, without: type[BaseModel] = BaseModel
) -> Iterator[tuple[str, FieldInfo]]:
    """The keys of a section of a file, those of the sections in it after its own."""
    inner, own = {}, section.__annotations__
    for name, field in sorted(section.model_fields.items(), key=lambda item: item[0] not in own):
        kinds = [one for one in _types(field.annotation) if issubclass(one, BaseModel)]
        if field.exclude is True or name == "kind" or name in without.model_fields:
            continue
        if not kinds:
            yield f"{prefix}{name}", field
        elif len(kinds) > 1:
            told = "what is fitted; the other keys of [model] depend on the kind (see below)"
            yield f"{prefix}{name}.kind", FieldInfo(annotation=Literal[*KINDS], description=told)
        elif kinds[0] not in (Preprocessing, Search):
            inner[name] = kinds[0], f"{prefix}{name}." + ("NAME." if name in ("peers", "partners", "access") else "")
    for name in section.model_fields:
        if name in inner:
            yield from declared(*inner[name])


def _types(annotation: Any) -> list[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation]
    return [one for inner in get_args(annotation) for one in _types(inner)]


def content(struct: type[msgspec.Struct], without: type[msgspec.Struct] | None = None) -> str:
    """A table of a JSON object's keys and what they hold; without: those of another one."""
    lines = ["| key | content |", "|---|---|"]
    hints = get_type_hints(struct, include_extras=True)
    others = {field.name for field in msgspec.structs.fields(without)} if without is not None else set[str]()
    for field in msgspec.structs.fields(struct):
        if field.name not in others:
            metas = [one for one in get_args(hints[field.name])[1:] if isinstance(one, msgspec.Meta)]
            (said,) = (one.description for one in metas if one.description)
            lines.append(f"| `{field.encode_name}` | {said} |")
    return "\n".join(lines) + "\n"


def _of_kind(kind: str) -> str:
    spec = KINDS[kind].spec
    return parameters(declared(spec, "model.", without=Regression if issubclass(spec, Regression) else BaseModel))


PARTS: dict[str, type[msgspec.Struct]] = {
    "alignment": whole.Alignment,
    "uplift": whole.Uplift,
    "columns": rows.Column,
    "stability": whole.Stability,
    "moved": rows.Moved,
    "prediction": whole.Prediction,
    "search": whole.Search,
    "averaging": whole.Averaged,
    "phases": whole.Phase,
    "encryption": whole.Encryption,
}
OF_MEMBERS = ("parties.", "table.", "model.")  # the other sections are as of any job
TABLES: dict[str, Callable[[], str]] = {
    "job": lambda: parameters(declared(Job, "")),
    "regression": lambda: parameters(declared(Regression, "model.")),
    **{kind: (lambda kind=kind: _of_kind(kind)) for kind in KINDS},  # type: ignore[misc]
    "members": lambda: parameters(row for row in declared(MembersJob, "") if row[0].startswith(OF_MEMBERS)),
    "preprocess": lambda: parameters(declared(Preprocessing, "preprocess.")),
    "search": lambda: parameters(declared(Search, "search.")),
    "party": lambda: parameters(declared(Party, "")),
    "events": lambda: content(Event),
    "report": lambda: content(report.Report),
    **{f"report.{name}": (lambda part=part: content(part)) for name, part in PARTS.items()},  # type: ignore[misc]
    "report.model": lambda: content(report.Model),
    "report.model.fitted": lambda: content(report.Fitted, report.Model),
    "report.model.regression": lambda: content(RegressionReport, report.Fitted),
    "report.model.boosted-trees": lambda: content(TreesReport, report.Model),
    "report.model.scorecard": lambda: content(ScorecardReport, report.Fitted),
    "report.model.network": lambda: content(NetworkReport, report.Model),
}

if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
