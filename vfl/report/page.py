"""report.json and report.html, for the people who must judge a run: validators, data-protection officers, whoever pays.

One page with everything inside: no script, no font, no request, whatever the names in the data are (Jinja2 escapes them; a content policy
in the page forbids the rest).  The plots are drawn by `vfl.report.svg`, which says why not by matplotlib.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from protocols.errors import ConfigError, ModelError
from vfl.files import write_private
from vfl.metrics import uplift
from vfl.report import plots, words

Result = Mapping[str, Any]
FORMAT = 1
REPORT = "report.json"


def write_report(folder: Path, result: Result) -> Path:
    """Writes report.json and report.html into `folder` and gives the path of the first.

    `result`: the keys of report.json (docs/file-formats) and "plots": {part: {"joint" | "guest_alone": vfl.metrics.plot_series}}.
    Both files appear whole or not at all, and only this account can read them.  Raises ConfigError if they cannot be written.
    """
    plain = {"format": FORMAT} | _plain(result)
    files = {"report.html": render(plain), "report.json": json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_private(folder / name, text.encode())
    except OSError as error:
        raise ConfigError(
            f"the report cannot be written to {folder} ({error.strerror})", remedy="Free space there, or name another directory under [run]"
        ) from None
    return folder / "report.json"


def read_report(folder: Path) -> dict[str, Any]:
    """The content of `folder`/report.json.  Raises ModelError if there is none or it is of another format."""
    path = folder / REPORT
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        found = result["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ModelError(f"{path} is no report", remedy="Give the folder of a finished run") from None
    if found != FORMAT:
        raise ModelError(f"{path} has another format", expected=FORMAT, found=found, remedy="Read it with the version that wrote it")
    return dict(result)


def render(result: Result) -> str:
    """The page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in (words.size, words.duration, words.number, words.change, words.percent):
        environment.filters[name.__name__] = _typeset(name)
    environment.filters["joined"] = words.joined
    return environment.get_template("report.html").render(_context(result))


def _context(result: Result) -> dict[str, Any]:
    """What the template shows, in the order of the page; empty where this party knows nothing of it."""
    metrics, part = _part(result.get("metrics") or {})
    role = str(result.get("role") or "party")
    party = str(result.get("party") or role)
    names = {"joint": "joint", "guest_alone": f"{party} alone" if role == "guest" else "guest alone"}
    _, hosts = words.party_names(result)
    return {
        "result": result,
        "started": _moment(result.get("started")),
        "party": party,
        "role": role,
        "roles": {"guest": "holds the outcome", "host": "holds further columns", "arbiter": "holds the key, no data"},
        "names": names,
        "partners": "the partner" if hosts == ["partner"] else " and ".join(hosts),
        "part": part,
        "part_words": _whole(words.PARTS.get(part, part)),
        "metrics": metrics,
        "answer": _answer(metrics),
        "measures": words.METRICS,
        "tables": _tables(result.get("metrics") or {}),
        "alignment": _alignment(result),
        "figures": _figures((result.get("plots") or {}).get(part) or {}, metrics, names),
        "deciles": _deciles(((result.get("plots") or {}).get(part) or {}).get("joint") or {}),
        "phases": _phases(result.get("phases") or []),
        "total": {k: sum(p[k] for p in result.get("phases") or []) for k in ("seconds", "bytes_sent", "bytes_received")},
        "disclosed": [(*words.CLASSES.get(c, (c, "")), c, g) for c, g in words.by_class(result.get("disclosure") or []).items()],
        "model": result.get("model") or {},
        "coefficients": _coefficients((result.get("model") or {}).get("coefficients") or []),
        "environment": _environment(result.get("environment") or {}),
    }


def _part(metrics: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The part that decides: held-out rows before training rows before any other."""
    for part in (*words.PARTS, *metrics):
        if metrics.get(part):
            return metrics[part], part
    return {}, "test"


def _tables(metrics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """(words, guest alone, joint) of every part, the deciding one first."""
    order = dict.fromkeys(p for p in (*words.PARTS, *metrics) if metrics.get(p))
    return [(_whole(words.PARTS.get(p, p)), metrics[p].get("guest_alone") or {}, metrics[p].get("joint") or {}) for p in order]


def _whole(text: str) -> str:
    """Words that are not torn at a hyphen."""
    return text.replace("-", "\u2011")


def _answer(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """AUC, KS and log-loss of both models, and whether the joint one is better."""
    out = []
    for name in ("auc", "ks", "log_loss"):
        label, sign, says = words.METRICS[name]
        delta = uplift(metrics, name)
        verdict = "" if delta is None else "equal" if abs(delta) < 5e-5 else "better" if delta * sign > 0 else "worse"
        both = {model: metrics.get(model, {}).get(name) for model in plots.MODELS}
        out.append({"label": label, "says": says, "delta": delta, "verdict": verdict} | both)
    return out if metrics else []


def _alignment(result: Result) -> list[dict[str, Any]]:
    common = (result.get("alignment") or {}).get("intersection")
    if common is None:
        return []
    known = words.rows_by_party(result)
    top = max(known.values(), default=0)
    return [
        {
            "name": name,
            "rows": rows,
            "share": _typeset(words.percent)(common / rows if rows else None),
            "bar": plots.bar([(0, rows, "rest"), (0, common, "joint")], 0, top),
        }
        for name, rows in known.items()
    ]


def _figures(series: Mapping[str, Any], metrics: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, str, Markup]]:
    drawn = [
        (
            "ROC curve",
            "Of all events, how many are caught for each false alarm. Further up and left is better.",
            plots.roc(series, metrics, names),
        ),
        (
            "KS curve",
            "Events and non-events found while going down the score. The wider the gap, the better they are told apart.",
            plots.ks(series, names),
        ),
        (
            "Calibration",
            "Does a predicted 20 % happen in 20 % of cases? Whiskers: 95 % interval of the observed rate.",
            plots.calibration(series, names),
        ),
        (
            "Score distribution",
            "Each class as 100 %. The less the two overlap, the better they are told apart.",
            plots.scores(series, names),
        ),
    ]
    return [(title, text, svg) for title, text, svg in drawn if svg is not None]


def _deciles(series: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = list(series.get("deciles") or [])
    top = max((float(r["event_rate"]) for r in rows), default=0.0)
    return [dict(r) | {"bar": plots.bar([(0, r["event_rate"], "joint")], 0, top or 1)} for r in rows]


def _phases(phases: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    time = max((p["seconds"] for p in phases), default=0)
    most = max((max(p["bytes_sent"], p["bytes_received"]) for p in phases), default=0)
    strip = partial(plots.bar, low=0)
    return [
        dict(p)
        | {
            "time_bar": strip([(0, p["seconds"], "joint")], high=time or 1),
            "sent_bar": strip([(0, p["bytes_sent"], "joint")], high=most or 1),
            "received_bar": strip([(0, p["bytes_received"], "alone")], high=most or 1),
        }
        for p in phases
    ]


def _coefficients(rows: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The largest first."""
    values = [float(r["coef"]) for r in rows]
    low, high = min(0.0, *values, 0.0), max(0.0, *values, 0.0)
    drawn = [dict(r) | {"bar": plots.bar([(0, v, "up" if v >= 0 else "down")], low, high)} for r, v in zip(rows, values, strict=True)]
    return sorted(drawn, key=lambda r: -abs(float(r["coef"])))


def _environment(environment: Mapping[str, Any]) -> dict[str, str]:
    """Every entry as one text; one that holds several (versions) in one line."""
    entries = {
        k: ", ".join(f"{n} {x}" for n, x in v.items()) if isinstance(v, Mapping) else words.joined(v) for k, v in environment.items()
    }
    return {k.replace("_", " "): v for k, v in entries.items()}


def _moment(text: object) -> str:
    """A time stamp as a person writes it; anything else as it is."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return "" if text is None else str(text)
    zone = at.tzname()
    return f"{at.day} {at:%B %Y, %H:%M}" + (f" {zone}" if zone else "")


def _typeset(say: Callable[..., str]) -> Callable[..., str]:
    """`say` with a true minus sign, a dash for what is undefined, units that are not torn off."""

    def typeset(*values: Any) -> str:
        text = say(*values)
        return "–" if text == "-" else text.replace("-", "−").replace(" ", "\u00a0")

    return typeset


def _plain(value: Any) -> Any:
    """Plain JSON values of whatever a run collects; what is not a finite number becomes null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)
