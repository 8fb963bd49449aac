"""Answers to the questions 1 to 6, about the model: each the section of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocols.group_size import LEAST_ROWS
from vfl.evidence import grids, strips
from vfl.evidence.blocks import Block, Facts, Grid
from vfl.evidence.recorded import Recorded
from vfl.evidence.subject import PURPOSES, Subject, approvals, signed_by, who_is_who
from vfl.evidence.treatment import keys, treatment
from vfl.report import words
from vfl.report.sections import moment
from vfl.screen.sentences import listed

OUTCOMES = {
    "binary": "one of two classes",
    "multiclass": "one of several classes",
    "numeric": "a number",
    "count": "a count of events",
}


def purpose(s: Subject, key: str, title: str) -> Block:
    """What it is for, who owns and approved it."""
    run = s.run
    what = f"{PURPOSES[run.purpose]}{f', {s.kind}' if s.kind else ''}"
    lead = f"{run.party} took part in the job “{run.report.get('job')}” on {moment(run.started)}: {what}."
    digest = (("The job’s digest, which all parties compared first", str(run.report.get("job_digest"))),)
    return Block(
        key,
        title,
        lead,
        (
            *who_is_who(run),
            *(("Run", str(name)) for name in (run.start.get("run"),) if name),
            *digest,
            *approvals(run),
            *signed_by(s),
        ),
        entries=s.about.entries(
            "model.purpose",
            "model.owner",
            "model.users",
            "model.not_for",
            "approval.approved_by",
            "approval.approved_on",
        ),
        links=(
            *(
                (("job/agreed.txt", "the job as agreed; its SHA-256 is the digest"),)
                if s.run.report.get("job_file")
                else ()
            ),
            ("model-documentation.html", "model documentation"),
        ),
    )


def columns(s: Subject, key: str, title: str) -> Block:
    """Which columns, and their treatment."""
    run, columns = s.run, grids.own_columns(s.figures, s.about, s.run.party)
    if run.role == "arbiter":
        lead = f"{run.party} holds no data: no column of it takes part. Each data party’s own pack lists its columns."
    elif run.purpose == "align":
        lead = "Only the key columns take part in an alignment. No other column leaves its table in any form."
    elif columns and words.of_members(run.report):
        lead = (
            f"The columns of {run.party} are listed below; every member has the same ones. Their names are in the job, "
            "which all parties have. All parties learn the means and standard deviations of the columns over all "
            f"members’ rows{_of_two(run)}; no more of the distributions below leaves {run.party}."
        )
    elif columns:
        lead = (
            f"The columns of {run.party} are listed below. No other party learnt their names or distributions, "
            "unless question 7 says so; a partner’s own pack lists its columns."
        )
    else:
        lead = "The columns are those of the model, which the pack of its training lists."
    return Block(
        key,
        title,
        lead,
        (*_outcome(s), *treatment(run.report), *_unseen(s.figures)),
        grids=columns,
        entries=s.about.entries("data.treatment"),
    )


def _of_two(run: Recorded) -> str:
    two = len((run.report.get("parties") or {}).get("members") or ()) == 2
    return ", from which each of two members can compute the other’s" if two else ""


def _outcome(s: Subject) -> Facts:
    """The column that is predicted, where this party holds it."""
    named = s.figures.get("outcome_column") or ((s.run.report.get("job_file") or {}).get("table") or {}).get("label")
    if s.run.purpose != "run" or not named:
        return ()
    what = OUTCOMES.get(words.outcome_of(s.run.report), "")
    return (("Outcome, which the model predicts", f"{named}{f': {what}' if what else ''}"),)


def _unseen(figures: Mapping[str, Any]) -> Facts:
    told = figures.get("prediction") or {}
    return tuple(
        (f"Rows that {what}, by column", ", ".join(f"{name} ({rows:,})" for name, rows in told[key].items()))
        for key, what in (("missing", "lack a value"), ("unseen", "hold a text that the model does not know"))
        if told.get(key)
    )


def people(s: Subject, key: str, title: str) -> Block:
    """Who is in it, and how they were matched."""
    report, run = s.run.report, s.run
    sizes = s.figures.get("alignment") or {}
    facts = [("Matched by", ", else by ".join(found))] if (found := keys(report)) else []
    facts += [(f"Rows of {name}", grids.number(rows)) for name, rows in words.rows_by_party(report).items()]
    named = (
        ("intersection", "Rows that all data parties know"),
        ("train_rows", "Rows that were trained on"),
        ("validation_rows", "Rows that decided when training ended"),
        ("test_rows", "Rows that were held out"),
        ("out_of_time_rows", "Rows that are out of time"),
        ("repeated", "Own rows left out since they repeat an id"),
    )
    facts += [(text, grids.number(sizes[name])) for name, text in named if sizes.get(name) is not None]
    facts += [(f"Matched by {name}", grids.number(rows)) for name, rows in (sizes.get("by_key") or {}).items()]
    told = s.figures.get("prediction") or {}
    rows = (
        ("scored", "Rows with a score"),
        ("left_out", "Rows left out since a value is missing here"),
        ("unknown", "Rows that a partner does not know or cannot score"),
    )
    facts += [(text, grids.number(told[name])) for name, text in rows if told.get(name) is not None]
    averaged = s.figures.get("averaging") or {}
    facts += [
        (f"{text} of {run.party}", grids.number(averaged[name]))
        for name, text in (("rows", "Training rows"), ("held_out", "Held-out rows"))
        if name in averaged
    ]
    if words.of_members(report):
        lead = "Every member trains on its own customers. Nobody is matched, and no row is compared between members."
    elif run.role == "arbiter":
        lead = f"{run.party} saw no id and no row. It learnt numbers of rows at most."
    else:
        lead = (
            "Ids were compared in blinded form. Rows that a party alone knows were left out: its partners learnt no "
            "more than their number."
        )
    return Block(
        key,
        title,
        lead,
        tuple(facts),
        grids=grids.took_part(s.figures),
        entries=s.about.entries("data.people", "data.left_out"),
    )


def quality(s: Subject, key: str, title: str) -> Block:
    """How good it is, compared with what."""
    tables, run = grids.measures(s.figures, s.names), s.run
    if tables:
        what = "the average of all members’ models" if words.of_members(run.report) else "the joint model"
        lead = (
            f"“{s.names['joint'].capitalize()}” is {what}. “{s.names['guest_alone'].capitalize()}” is the same kind "
            f"of model, trained on {_alone(run)}: the simpler alternative."
        )
    elif run.purpose == "run":
        lead = "Only a party that holds the outcome can measure the model: its pack has the measures."
    else:
        lead = {
            "align": "An alignment makes no model, so there is nothing to measure. Question 3 has the numbers of rows.",
            "predict": "Nothing is measured here: the outcome of these rows is not known yet. The pack of the model’s "
            "training has its measures.",
        }[run.purpose]
    facts = [*_held_out(s), *_how_measured(s.figures)]
    over = (s.figures.get("averaging") or {}).get("over_members") or {}
    rows = tuple(
        (
            words.METRICS.get(k, (k,))[0],
            grids.number(m["averaged"]),
            grids.number(m["alone"]),
            grids.number(m["members"]),
        )
        for k, m in over.items()
    )
    means = (
        (Grid("Mean over members", ("Measure", "Averaged model", "Own models", "Members"), rows, 3),) if rows else ()
    )
    return Block(
        key,
        title,
        lead,
        tuple(facts),
        grids=(*tables, *means),
        entries=s.about.entries("model.alternatives"),
        charts=strips.calibration(s.figures, s.names, words.outcome_of(run.report)),
        points=(*_not_drawn(s), *_without_interval(s.figures), *words.cautions(run.report.get("model") or {})),
        links=(("figures.json", "the numbers of the run, unrounded"), ("commands.json", "the command for each number")),
    )


def _alone(run: Recorded) -> str:
    """What the simpler alternative is trained on."""
    if words.of_members(run.report):
        return f"{run.party}’s own training rows alone (figures.json calls it guest_alone)"
    guest = words.party_names(run.report)[0]
    return f"the same training rows, by the columns of {guest} alone"


def _held_out(s: Subject) -> Facts:
    """How the rows that measure the model were chosen."""
    split = (s.run.report.get("job_file") or {}).get("split") or {}
    if s.run.purpose != "run" or not split:
        return ()
    by_row = words.of_members(s.run.report) and (s.run.report.get("job_file") or {}).get("privacy")
    how = "by a hash of each row’s own numbers" if by_row else "the outcome plays no part in the draw"
    drawn = f"about {grids.percent(split.get('test'))} of the rows, drawn with seed {split.get('seed', 0)}: {how}"
    found = [drawn] if split.get("test") else []
    found += [f"all rows on or after {split['out_of_time']}"] if split.get("out_of_time") else []
    return (("Held out", "; ".join(found)),) if found else ()


def _without_interval(figures: Mapping[str, Any]) -> tuple[str, ...]:
    """Which measures have none."""
    names = dict[str, None]()
    for part, models in (figures.get("metrics") or {}).items():
        sure = ((figures.get("uplift") or {}).get(part) or {}).get("measures") or {}
        for name in models.get("joint") or {}:
            if name in words.METRICS and sure and name not in sure and name not in ("n", "base_rate", "mean_observed"):
                names[words.METRICS[name][0]] = None
    if not names:
        return ()
    return (f"No interval is computed of {listed(list(names), 'and')}.",)


def _not_drawn(s: Subject) -> tuple[str, ...]:
    """That calibration is left out, where the run has it and the pack has not."""
    drawn, kept = s.run.report.get("plots") or {}, s.figures.get("calibration") or {}
    parts = [
        words.PARTS.get(part, part)
        for part, models in drawn.items()
        if any(
            (series.get("calibration") or {}).get("count")
            for model, series in models.items()
            if model not in kept.get(part, {})
        )
    ]
    if not parts:
        return ()
    return (
        f"Calibration on {listed(parts, 'and')} is left out where a group of rows by prediction has fewer than "
        f"{LEAST_ROWS} rows: its means would tell about few people. The run’s own report.html draws it.",
    )


def _how_measured(figures: Mapping[str, Any]) -> Facts:
    sure = next(iter((figures.get("uplift") or {}).values()), None)
    found = []
    if sure:
        drawn = f"paired bootstrap of the rows, {sure['draws']:,} draws, seed {sure['seed']}"
        found.append(("Intervals", f"of each measure and of the difference: {drawn}"))
    if search := figures.get("search"):
        found.append(
            ("Chosen among", f"{len(search['candidates'])} candidates by {search['scoring']} in {search['cv']} folds")
        )
    scores = (figures.get("prediction") or {}).get("scores") or {}
    if scores:
        found.append(
            ("Scores", f"mean {grids.number(scores['mean'])}, standard deviation {grids.number(scores['sd'])}")
        )
    return tuple(found)


def stable(s: Subject, key: str, title: str) -> Block:
    """Over time and across groups."""
    run, tables = s.run, grids.stability(s.figures)
    lead = (
        "The population stability index (PSI) compares rows with the training rows. A verdict other than stable "
        "needs a PSI that chance gives in fewer than one case of twenty, which is more than its mean by chance. "
        "Then a column is to be watched from 0.1, and has shifted from 0.25."
        if tables
        else _not_compared(run)
    )
    return Block(
        key,
        title,
        lead,
        grids=tables,
        entries=s.about.entries("fairness.groups", "fairness.findings"),
        points=(
            *_not_of_time(s),
            *_by_draw(s),
            *_no_score(s),
            "Groups of people are not compared by this engine, since no column says which groups matter"
            + ("." if run.purpose == "align" else ": the institution compares them with the scores."),
        ),
    )


def _not_compared(run: Recorded) -> str:
    """Why no rows are compared."""
    if run.purpose == "align":
        return "An alignment trains no model and scores nobody: there are no training rows to compare others with."
    if run.role == "arbiter":
        return f"{run.party} holds no data, and so compares no rows."
    if words.of_members(run.report) and run.purpose == "run":
        return (
            "An averaging does not compare held-out rows with training rows. `vfl monitor` and each prediction of a "
            "member compare new rows with its training rows."
        )
    if run.purpose == "run":
        return "No row was held out in this run, so none is compared with the training rows."
    return f"{run.party} compared no rows with training rows in this run."


def _not_of_time(s: Subject) -> tuple[str, ...]:
    if s.run.purpose != "run" or not s.figures.get("stability") or s.figures["stability"].get("out_of_time"):
        return ()
    return (
        "The held-out rows are of the same time as the training rows, so that these numbers say nothing of stability "
        "over time: a job with `split.out_of_time`, `vfl monitor` and each prediction compare later rows.",
    )


def _by_draw(s: Subject) -> tuple[str, ...]:
    """That rows drawn at random moved by chance, where a column is called moved."""
    lines = (s.figures.get("stability") or {}).get("columns") or ()
    moved = [str(line["column"]) for line in lines if line.get("mark") not in (None, "stable")]
    if s.run.purpose != "run" or not moved:
        return ()
    return (
        f"{listed(moved, 'and')}: held-out rows were drawn at random, so that this is no shift over time. It is the "
        "draw: of twenty columns one is expected to get such a verdict by chance, and among few rows a PSI is large.",
    )


def _no_score(s: Subject) -> tuple[str, ...]:
    """Why the score itself is not compared."""
    found = s.figures.get("stability") or {}
    if s.run.purpose != "run" or s.run.role != "guest" or not found or found.get("score") is not None:
        return ()
    if "train" in (s.figures.get("metrics") or {}):
        return ("The score is not compared: it is not one number for each row.",)
    return ("The score is not compared: training rows were not scored, so that there is nothing to compare it with.",)
