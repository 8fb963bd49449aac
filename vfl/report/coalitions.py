"""Who could learn what by colluding, by kind of model, and of an alignment: the short form of docs/threat-model.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Rows = list[tuple[str, str]]  # together, learn
# keys of [model] with which products of shares are dealt, whatever the link
DEALT = ("tol", "early_stopping", "sample_weight", "class_weight")


def coalitions(result: Mapping[str, Any]) -> Rows:
    """(who, what they could learn) for the job of this result; empty where the model's kind is not known."""
    if result.get("purpose") == "align":
        return _alignment(result.get("job_file") or {})
    model, parties = result.get("model") or {}, result.get("parties") or {}
    kind, several = str(model.get("kind") or ""), len(parties.get("hosts") or []) > 1
    if kind == "boosted-trees":
        return _trees(model.get("membership") == "open", several)
    if kind == "averaging":
        return _averaging(int(model.get("min_members") or 3), len(parties.get("members") or []))
    if kind.startswith("mlp-"):
        return [*NETWORK, *(OTHER_HOSTS if several else [("guest and host", ALL)])]
    if kind.endswith("-regression") or kind == "scorecard":
        exact = model.get("link") == "exact" or kind == "poisson-regression"
        return _regression(exact or any(model.get(name) for name in DEALT), several)
    return []


def alone_in_training(result: Mapping[str, Any]) -> Rows:
    """What a data party could learn from the alignment with which a training begins."""
    job = result.get("job_file") or {}
    return _alignment(job)[:1] if result.get("purpose") == "run" and job.get("align") else []


def _alignment(job: Mapping[str, Any]) -> Rows:
    """Of a job that the folder does not hold nothing is known."""
    hosts, align = (job.get("parties") or {}).get("hosts") or [], job.get("align") or {}
    if not hosts:
        return []
    if align.get("cardinality_only"):
        rows = [
            (
                "a data party by itself, with many lists of its choice",
                "who is known to all: each size is one equation, and policy.runs_per_partner_per_month limits how many",
            )
        ]
    else:
        rows = [
            (
                "a data party by itself, with a list of its choice",
                "of people whom it only guesses, who is known to all; policy.runs_per_partner_per_month limits how "
                "often",
            )
        ]
    if len(hosts) < 2:
        return [*rows, ("guest and host", "nothing that the two do not already hold")]
    return [
        *rows,
        GUESS,
        (
            "arbiter and a data party",
            "of chunks of that party’s rows, how many of them each set of other parties holds",
        ),
        (
            "the arbiter by itself, if it deviates",
            "whether ids that it guesses are in a data party’s table, as many as another one has rows",
        ),
    ]


def _regression(deals: bool, several: bool) -> Rows:
    rows = [
        (
            "arbiter and any host",
            "the outcome of every training row, then the predictors, then the others’ columns, perhaps mixed",
        ),
        (
            "arbiter and guest",
            f"the {'sum of the ' if several else ''}hosts’ linear predictors in each iteration, and from its "
            f"changes their columns, perhaps mixed",
        ),
        ("guest and a host", "the sum of the other hosts’ scores of scored rows" if several else ALL),
    ]
    if deals:
        rows.append(
            (
                FIRST,
                "every training row’s predictor in each iteration, and from its changes the other hosts’ columns, "
                "perhaps mixed"
                if several
                else ALL,
            )
        )
    return rows + ([("two or more hosts", "nothing about the guest or another host"), GUESS] if several else [])


def _trees(is_open: bool, several: bool) -> Rows:
    if is_open:
        rows = [
            ("a host by itself", "which rows a node holds, and so nearly every outcome"),
            ("the guest by itself", "the bin of every row in every column that wins, without the column’s name"),
        ]
    else:
        rows = [
            ("arbiter and a host", "the outcome of every training row"),
            ("arbiter and guest", "the bin of every row in the hosts’ columns that win, without their names"),
            (
                FIRST,
                "every row’s score, and which direction it takes at the other hosts’ splits" if several else ALL,
            ),
        ]
    return rows + ([("two or more hosts", "which of their splits won at the same level"), GUESS] if several else [])


def _averaging(least: int, members: int) -> Rows:
    if members == 2:
        return [("each member by itself", "the other’s sums of columns, number of rows, measures and updates")]
    return [
        ("all but one member of a sum", "the sums of columns, number of rows, measures and update of that one"),
        (
            f"arbiter and {least - 1} members or more",
            "another member’s number of rows, and nearly its update, once it and these drop out together",
        ),
        ("the arbiter by itself, if it deviates", "rows of members, by sending sums that it makes up for many rounds"),
    ]


NETWORK: Rows = [
    ("arbiter and host", "the outcome of every training row, then the guest’s columns, perhaps mixed"),
    ("arbiter and guest", "every sum and activation of every row, and from them the hosts’ columns, perhaps mixed"),
]
OTHER_HOSTS: Rows = [
    (
        "guest and the first host, which hands out random numbers",
        "every sum of every row, and from them the other hosts’ columns, perhaps mixed",
    ),
    ("guest and another host", "the sum of the other hosts’ parts of opened scores"),
    ("two or more hosts", "nothing about the guest or another host"),
]
FIRST = "guest and the first host, which hands out random numbers"
ALL = "nothing that the two do not already hold"
GUESS = ("arbiter and all but one data party", "whether an id that they guess is in that party’s table")
