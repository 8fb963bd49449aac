"""The answer to question 6: why one person scores as she does, as far as this party can say."""

from __future__ import annotations

from vfl.evidence import grids
from vfl.evidence.blocks import Block, Facts
from vfl.evidence.subject import Subject

AGAIN = (
    "a score can be explained only by scoring the same person again with another value, as far as the budgets allow."
)
OF_TREES = (
    "The tables say how often columns decide, over all people. They do not explain the score of one person, and no "
    "party alone can: each knows only its own splits, and no file of the engine takes a score apart. Of one person "
    + AGAIN
)
POINTS = (
    "The table of points is not in this pack, since single rows decide the bounds of its bins: `vfl report RUN` shows "
    "it."
)
SIGNS = (
    "The model weighs the weight of evidence of each bin, which is larger the fewer events the bin has. So a weight "
    "below zero is the usual one: it lowers the predicted rate of events where the bin had few. A weight above zero "
    "runs against the column’s own event rates."
)


def person(s: Subject, key: str, title: str) -> Block:
    """Why a person has a score."""
    kind, tables = str(s.model.get("kind") or ""), grids.explained(s.model, s.run)
    points: tuple[str, ...] = ()
    facts: Facts = ()
    if s.run.purpose == "align":
        lead = "An alignment gives nobody a score."
    elif kind == "scorecard":
        lead = (
            "A score is the sum of points, one number for each column. With each prediction every party writes, for "
            "its own rows, the columns that cost most points (reasons.csv), where it knows its points."
        )
        points = (POINTS, *((SIGNS,) if s.model.get("coefficients") else ()))
    elif kind == "boosted-trees":
        lead = OF_TREES
    elif kind == "averaging" and tables:
        lead = "Each member knows the whole model, and so what each column adds to a score."
        facts = (("Intercept", grids.number(s.model.get("intercept"))),) if "intercept" in s.model else ()
        points = (
            "The linear predictor is the intercept plus, for each column, its weight times (value − mean) / standard "
            "deviation. Of two classes the score is 1 / (1 + exp(−predictor)), of counts exp(predictor), of numbers "
            "the predictor in units of the outcome’s standard deviation, above its mean. The means over all members’ "
            "rows are in the model’s file at each member (model.json), and not in this pack.",
        )
    elif tables:
        lead = "What decides a score, as far as this party knows it, is listed below."
    else:
        lead = f"No party knows all weights of this model, and this party knows none: {AGAIN}"
    return Block(
        key,
        title,
        lead,
        facts,
        points=points,
        grids=tables,
        entries=s.about.entries("oversight.explanation", "oversight.human"),
    )
