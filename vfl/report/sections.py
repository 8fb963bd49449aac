"""What the page shows, section by section, out of the content of report.json; empty where this party knows nothing of
it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from vfl.metrics.binary import at_cutoff, uplift, widest
from vfl.report import plots, words
from vfl.report.aligning import aligning
from vfl.report.averaging import averaging
from vfl.report.coalitions import coalitions
from vfl.report.features import binning, coefficients, importance
from vfl.report.figures import figures
from vfl.report.noise import promised
from vfl.report.prediction import prediction
from vfl.report.searching import searching
from vfl.screen.sentences import listed

Result = Mapping[str, Any]
ROLES = {
    "guest": "holds the outcome",
    "host": "holds further columns",
    "member": "holds the same columns of other customers",
    "arbiter": "holds the key, no data",
}


def _of_privacy(result: Result) -> dict[str, Any]:
    """What of sums and noise the page shows."""
    return {"averaging": averaging(result), "promise": promised(result)}


def context(result: Result) -> dict[str, Any]:
    """Every name that the templates use."""
    metrics, part = _part(result.get("metrics") or {})
    role = str(result.get("role") or "party")
    party = str(result.get("party") or role)
    names, members = words.model_names(result), words.of_members(result)
    _, hosts = words.party_names(result)
    model = result.get("model") or {}
    points = model.get("points") or []
    partners = None if members else "the partner" if hosts == ["partner"] else listed(hosts, "and")
    uplifts = (result.get("uplift") or {}).get(part) or {}
    answer = _answer(metrics, uplifts.get("measures") or {}, words.outcome_of(result))
    shown = {
        "result": result,
        "started": moment(result.get("started")),
        "party": party,
        "title": words.title(result),
        "role": role,
        "roles": ROLES | ({"arbiter": "adds up, and holds no data"} if members else {}),
        "of_members": members,
        **_of_privacy(result),
        "names": names,
        "part_words": _whole(words.PARTS.get(part, part)),
        "metrics": metrics,
        "answer": answer,
        "iterations": words.iterations_made(model),
        "cautions": words.all_cautions(result),
        "lead": _lead(answer, partners, party, _whole(words.PARTS.get(part, part))),
        "uplifts": uplifts,
        "tables": (tables := _tables(result.get("metrics") or {})),
        "measures": {
            k: words.at_half(m, k, result)
            for k, m in words.METRICS.items()
            if any(k in models for _, *both in tables for models in both)
        },
        "alignment": _alignment(result),
        "aligning": aligning(result),
        "prediction": prediction(result),
        "columns": [dict(c) | {"bar": plots.counts(c.get("histogram") or [])} for c in result.get("columns") or []],
        "evaluated": _evaluated(result, part, names),
        "search": searching(result),
        "moved": _moved(result),
        "later_score_only": _later_score_only(result.get("stability") or {}),
        **spent(result.get("phases") or []),
        "disclosed": _disclosed(result),
        "coalitions": [] if result.get("purpose") in ("predict", "align") else coalitions(result),
        "model": model,
        "coefficients": coefficients(model.get("coefficients") or []),
        "shared": model.get("weights_known") is False,  # no party knows the weights
        "permit": "guest-weights-to-guest" if result.get("role") == "guest" else "host-weights-to-host",
        "importance": importance(model, result),
        "binning": binning(model, party),
        "points": [p for p in points if not _neutral(p)],
        "neutral": any(map(_neutral, points)),
        "parameters": words.parameters(model),
        "environment": _environment(result.get("environment") or {}),
        "job_file": json.dumps(result["job_file"], indent=1, ensure_ascii=False) if result.get("job_file") else "",
    }
    shown["nav"] = _nav(shown)
    return shown


def _disclosed(result: Result) -> list[tuple[str, str, str, Any]]:
    """(title, what it says, class, messages) of each class of messages that left."""
    groups = words.by_class(result.get("disclosure") or [])
    return [(*words.CLASSES.get(name, (name, "")), name, group) for name, group in groups.items()]


def spent(phases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What each phase took, and all of them together."""
    total = {k: sum(p[k] for p in phases) for k in ("seconds", "bytes_sent", "bytes_received")}
    return {"phases": _phases(phases), "total": total}


def _neutral(line: Mapping[str, Any]) -> bool:
    """A bin without rows and points: for what training did not have."""
    return not line["points"] and not line["rows"]


def _nav(shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(id, title) of the sections that this result fills."""
    model = shown["coefficients"] or shown["importance"] or shown["shared"]
    sections = [
        ("prediction", "Prediction", shown["prediction"]),
        ("answer", "Answer", not shown["prediction"] and not shown["aligning"]),
        ("alignment", "Alignment", shown["alignment"] or shown["aligning"]),
        ("members", "Members", shown["averaging"]),
        ("columns", "Columns", shown["columns"]),
        ("features", "Features", shown["binning"] or shown["points"]),
        ("model", "Model", model),
        ("evaluation", "Evaluation", shown["evaluated"] or shown["tables"]),
        ("search", "Search", shown["search"]),
        ("stability", "Stability", shown["moved"]),
        ("disclosure", "Privacy", shown["disclosed"] or shown["result"].get("permits")),
        ("cost", "Cost", shown["phases"]),
        ("card", "Model card", shown["result"].get("purpose") == "run" and (model or shown["averaging"])),
        ("run", "This run", True),
    ]
    return [(name, title) for name, title, there in sections if there]


def _part(metrics: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The part that decides: held-out rows before training rows before any other."""
    for part in (*words.PARTS, *metrics):
        if metrics.get(part):
            return metrics[part], part
    return {}, "test"


def _tables(metrics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """(words, guest alone, joint) of every part, the deciding one first."""
    order = dict.fromkeys(p for p in (*words.PARTS, *metrics) if metrics.get(p))
    return [
        (_whole(words.PARTS.get(p, p)), metrics[p].get("guest_alone") or {}, metrics[p].get("joint") or {})
        for p in order
    ]


def _whole(text: str) -> str:
    """Words that are not torn at a hyphen."""
    return text.replace("-", "\u2011")


def _answer(metrics: Mapping[str, Any], sure: Mapping[str, Any], outcome: str) -> list[dict[str, Any]]:
    """The three first numbers of both models, whether the joint one is better, and the interval of the difference where
    it is known."""
    out = []
    for name in words.ANSWER[outcome]:
        label, sign, says = words.METRICS[name]
        delta, bounds = uplift(metrics, name), sure.get(name) or {}
        low, high = bounds.get("low"), bounds.get("high")
        verdict = "" if delta is None else "equal" if abs(delta) < 5e-5 else "better" if delta * sign > 0 else "worse"
        chance = low is not None and high is not None and low <= 0 <= high
        both = {model: metrics.get(model, {}).get(name) for model in plots.MODELS}
        out.append(
            {
                "label": label,
                "says": says,
                "delta": delta,
                "verdict": verdict,
                "low": low,
                "high": high,
                "chance": chance,
            }
            | both
        )
    return out if metrics else []


def _lead(answer: Sequence[Mapping[str, Any]], partners: str | None, party: str, part: str) -> str:
    """The answer in a sentence; partners: whose columns were added, None where members averaged."""
    if partners is None:
        return _lead_of_members(answer, party, part)
    told = [a for a in answer if a["verdict"] in ("better", "worse")]
    if told and all(a["chance"] for a in told):
        return f"On {part} the columns of {partners} make no clear difference."
    better, worse = (
        [a["label"] for a in told if a["verdict"] == verdict and not a["chance"]] for verdict in ("better", "worse")
    )
    if better and not worse:
        return f"With the columns of {partners}, the model is better on {part} than with {party}’s alone."
    if worse and not better:
        return f"On {part} the columns of {partners} do not improve the model."
    if better:
        return f"On {part} the columns of {partners} improve {', '.join(better)}, and worsen {', '.join(worse)}."
    return f"On {part} there is nothing to compare."


def _lead_of_members(answer: Sequence[Mapping[str, Any]], party: str, part: str) -> str:
    told = [a for a in answer if a["verdict"] in ("better", "worse")]
    sure = {a["verdict"] for a in told if not a["chance"]}
    if not told:
        return f"On {part} there is nothing to compare."
    if not sure:
        return f"On {part} the averaged model and that of {party} alone make no clear difference."
    if len(sure) == 1:
        return f"On {part} the averaged model is {sure.pop()} than that of {party} alone."
    return f"On {part} the averaged model is better than that of {party} alone in some measures, and worse in others."


def _alignment(result: Result) -> list[dict[str, Any]]:
    common, known = (result.get("alignment") or {}).get("intersection"), words.rows_by_party(result)
    if common is None or (result.get("prediction") is not None and len(known) < 2):
        return []  # the section Prediction says it
    top = max(known.values(), default=0)
    return [
        {
            "name": name,
            "rows": rows,
            "share": typeset(words.percent)(common / rows if rows else None),
            "bar": plots.bar([(0, rows, "rest"), (0, common, "joint")], 0, top),
        }
        for name, rows in known.items()
    ]


def _evaluated(result: Result, first: str, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """The drawings and tables of the part that decides, and of out-of-time rows; on training rows they would say
    little."""
    metrics, outcome = result.get("metrics") or {}, words.outcome_of(result)
    found = []
    for part in dict.fromkeys((first, "out_of_time")):
        series = (result.get("plots") or {}).get(part) or {}
        one = {
            "id": part,
            "words": _whole(words.PARTS.get(part, part)),
            "answer": _answer(
                metrics.get(part) or {}, ((result.get("uplift") or {}).get(part) or {}).get("measures") or {}, outcome
            ),
            "figures": figures(series, metrics.get(part) or {}, names, outcome),
            "deciles": _deciles(series.get("joint") or {}),
            "cutoffs": _cutoffs(series, names, result.get("cutoff")),
            "classes": _classes(series.get("joint") or {}),
            "weighted": bool((series.get("joint") or {}).get("weighted")),
        }
        found += [one] if any(one[k] for k in ("figures", "deciles", "cutoffs", "classes")) else []
    return found


def _cutoffs(series: Mapping[str, Any], names: Mapping[str, str], chosen: float | None) -> list[dict[str, Any]]:
    """Both models' confusion matrices at the chosen cut-off, without one that separates the classes best."""
    tables = {m: series[m]["cutoffs"] for m in plots.MODELS if series.get(m, {}).get("cutoffs")}
    if not tables:
        return []
    cutoff = widest(next(iter(tables.values()))) if chosen is None else chosen
    return [{"model": names[m]} | at_cutoff(table, cutoff) for m, table in tables.items()]


def _classes(series: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A line for each class, with its row of the confusion matrix."""
    matrix = series.get("confusion") or []
    return [dict(c) | {"given": row} for c, row in zip(series.get("classes") or [], matrix, strict=False)]


def _moved(result: Result) -> list[tuple[str, list[dict[str, Any]]]]:
    """(which rows, a line for the score and for each column) of every part that was compared."""
    stability = result.get("stability") or {}
    found = [
        ("New rows" if result.get("purpose") == "predict" else "Held-out rows", _lines_moved(stability)),
        ("Out-of-time rows", _lines_moved(stability.get("out_of_time") or {})),
    ]
    return [(_whole(name), lines) for name, lines in found if lines]


def _later_score_only(stability: Mapping[str, Any]) -> bool:
    """Whether the baseline of the score is that of held-out rows."""
    return (
        bool(stability.get("columns"))
        and not stability.get("score")
        and bool((stability.get("out_of_time") or {}).get("score"))
    )


def _lines_moved(stability: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The score first, then the columns, the most moved first; `bar` runs to twice the limit of a shift."""
    columns = sorted(stability.get("columns") or [], key=lambda line: -(line["psi"] or 0.0))
    lines = [*([stability["score"]] if stability.get("score") else []), *columns]
    colour = {"stable": "rest", "watch": "alone", "shifted": "bad"}
    return [
        dict(line) | {"bar": plots.bar([(0, min(line["psi"] or 0.0, 0.5), colour.get(line["mark"], "rest"))], 0, 0.5)}
        for line in lines
    ]


def _deciles(series: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [r for r in series.get("deciles") or [] if "event_rate" in r]
    top = max((float(r["event_rate"]) for r in rows), default=0.0)
    return [dict(r) | {"bar": plots.bar([(0, r["event_rate"], "joint")], 0, top or 1)} for r in rows]


def _phases(phases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
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


def _environment(environment: Mapping[str, Any]) -> dict[str, str]:
    """Every entry as one text; one that holds several (versions) in one line."""
    entries = {
        k: ", ".join(f"{n} {x}" for n, x in v.items()) if isinstance(v, Mapping) else words.joined(v)
        for k, v in environment.items()
    }
    return {k.replace("_", " "): v for k, v in entries.items()}


def moment(text: object) -> str:
    """A time stamp as a person writes it; anything else as it is."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return "" if text is None else str(text)
    zone = at.tzname()
    return f"{at.day} {at:%B %Y, %H:%M}" + (f" {zone}" if zone else "")


def typeset(say: Callable[..., str]) -> Callable[..., str]:
    """`say` with a true minus sign, a dash for what is undefined, units that are not torn off."""

    def typeset(*values: Any) -> str:
        text = say(*values)
        return "–" if text == "-" else text.replace("-", "−").replace(" ", "\u00a0")

    return typeset
