"""audit.html: one page with everything inside, in the style of a run's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vfl.evidence import strips
from vfl.report import words
from vfl.report.sections import moment, typeset
from vfl.screen.sentences import counted, listed

HERE = Path(__file__).parent / "templates"


def render(content: Mapping[str, Any]) -> str:
    """The page of an audit; content: that of audit.json."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    styles = [HERE.parents[1] / package / "templates" for package in ("evidence", "report")]
    environment = Environment(
        loader=FileSystemLoader([HERE, *styles]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = typeset(words.number)
    environment.filters["figure"] = typeset(figure)
    environment.filters["guess"] = guess
    environment.filters["range"] = typeset(interval)
    environment.filters["moment"] = moment
    environment.filters["model"] = words.model_kind
    bars = {one["number"]: strips.attacked(one) for one in content["attacks"]}
    environment.filters["times"] = lambda count: counted(count, "repetition")
    more = {"bars": bars, "reading": strips.ATTACKED, "cut": cut(content), "answer": answer(content)}
    return environment.get_template("audit.html").render(content, **more)


def answer(content: Mapping[str, Any]) -> str:
    """What all attacks, controls and checks say, in a few sentences."""
    attacks, checks = content["attacks"], content["checks"]
    if not attacks and not checks:
        return "Nothing was tried on this run: see below why."
    over = [one for one in attacks if one["works"] and not one["holds"]]
    groups = (
        ("control failed, which says nothing", [one for one in attacks if not one["works"]]),
        ("result is above its bound, as the job permits", [one for one in over if one.get("expected")]),
        ("result is above its bound", [one for one in over if not one.get("expected")]),
    )
    found = [f"{_numbered(some)}: {what}." for what, some in groups if some]
    failed = [check["check"] for check in checks if not check["holds"]]
    if not attacks:
        found.append("No attack was tried.")
    elif not over:
        found.append("No attack whose control succeeded found more than its bound allows.")
    if attacks and all(one["works"] for one in attacks):
        found.append("Every control succeeded.")
    found += [f"This check of the transcript does not hold: {name}." for name in failed]
    return " ".join(found)


def _numbered(attacks: Sequence[Mapping[str, Any]]) -> str:
    numbers = [str(one["number"]) for one in attacks]
    return f"{'Attack' if len(numbers) == 1 else 'Attacks'} {listed(numbers, 'and')}"


def cut(content: Mapping[str, Any]) -> list[str]:
    """That attacks were made less often than was asked, where they were."""
    few = [one for one in content["attacks"] if one["product"]["seeds"] < one["asked"]]
    if not few:
        return []
    each = [f"{one['number']} ({one['product']['seeds']} of {one['asked']} times)" for one in few]
    minutes, one_or_many = content["about"]["minutes"], "attack" if len(few) == 1 else "attacks"
    return [
        f"The {counted(minutes, 'minute')} of this audit were up before {one_or_many} {listed(each, 'and')} had been "
        "made as often as asked. The intervals below hold for what was made: they are wider."
    ]


def figure(value: float | None) -> str:
    """Three decimals, whole numbers without any."""
    if value is None:
        return "none"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:z.3f}"


def guess(chance: float) -> str:
    """As a result, but one figure of what three decimals do not show."""
    return f"{chance:.1g}" if 0 < chance < 0.0005 else figure(chance)


def interval(result: Mapping[str, float]) -> str:
    """The 95% interval of a mean over seeds; empty where nothing random decides."""
    if result["seeds"] < 2 or result["low"] == result["high"]:
        return ""
    return f"{result['low']:z.3f} to {result['high']:z.3f}"
