"""report.json, apart from its tables and the model."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from vfl.report.schema.part import Counts, Measures, Number, Part, says
from vfl.report.schema.rows import Column, Stability


class Names(Part, kw_only=True):
    """The parties by role."""

    guest: Annotated[str | UnsetType, says("the guest's name")] = UNSET
    hosts: Annotated[list[str] | UnsetType, says("the hosts' names")] = UNSET
    members: Annotated[list[str] | UnsetType, says("the members' names, in the place of guest and hosts")] = UNSET
    arbiter: Annotated[str | None, says("the arbiter's name; null if there is none")] = None


class Alignment(Part, kw_only=True):
    """Which rows are common; empty at the arbiter."""

    guest_rows: Annotated[int | UnsetType, says("rows of the guest's table")] = UNSET
    host_rows: Annotated[
        int | Counts | UnsetType | None,
        says("rows of the host's table, with several hosts by name; null for a prediction"),
    ] = UNSET
    intersection: Annotated[int | UnsetType, says("common rows; for a prediction rows that all parties can score")] = (
        UNSET
    )
    train_rows: Annotated[int | UnsetType, says("common rows that the model was trained on")] = UNSET
    test_rows: Annotated[int | UnsetType, says("common rows that were held out")] = UNSET
    out_of_time_rows: Annotated[int | UnsetType, says("with `split.out_of_time`, common rows on or after that day")] = (
        UNSET
    )
    validation_rows: Annotated[
        int | UnsetType, says("with early stopping, common rows that decided when training ended")
    ] = UNSET
    repeated: Annotated[
        int | UnsetType, says("rows of this party's own table that repeated an id and were left out")
    ] = UNSET
    by_key: Annotated[Counts | UnsetType, says("with several keys, how many rows each key matched")] = UNSET


class Interval(Part, kw_only=True):
    """A difference of two models and its interval."""

    change: Annotated[Number, says("joint minus guest alone")]
    low: Annotated[Number, says("the interval's lower end; null if too few draws define it")]
    high: Annotated[Number, says("its upper end")]


class Ends(Part, kw_only=True):
    """Of the interval of one model's measure."""

    low: Annotated[Number, says("the lower end; null if too few draws define it")]
    high: Annotated[Number, says("the upper end")]


class Uplift(Part, kw_only=True):
    """By a paired bootstrap of the rows."""

    measures: Annotated[
        dict[str, Interval],
        says(
            "by measure, `change` (joint minus guest alone) and the ends `low` and `high` of its "
            "interval (null if too few draws define them)"
        ),
    ]
    models: Annotated[
        dict[str, dict[str, Ends]] | UnsetType,
        says("by `joint` and `guest_alone`, of each measure the ends `low` and `high` of its own interval"),
    ] = UNSET
    level: Annotated[float, says("of the intervals, 0.95")]
    draws: Annotated[int, says("how many, 200 to 1,000")]
    seed: Annotated[int, says("that of the split")]


class Scores(Part, kw_only=True):
    """How the scores of a prediction are distributed."""

    mean: Annotated[Number, says("mean")]
    sd: Annotated[Number, says("standard deviation")]
    min: Annotated[Number, says("smallest")]
    p5: Annotated[Number, says("5th percentile")]
    p25: Annotated[Number, says("25th percentile")]
    median: Annotated[Number, says("median")]
    p75: Annotated[Number, says("75th percentile")]
    p95: Annotated[Number, says("95th percentile")]
    max: Annotated[Number, says("largest")]
    histogram: Annotated[list[int], says("rows in 20 equal bins")]


class ScoredClass(Part, kw_only=True):
    """One class in a prediction."""

    name: Annotated[str, says("its value")] = msgspec.field(name="class")
    mean: Annotated[Number, says("mean probability")]
    rows: Annotated[int, says("rows in which it is the most probable")]


class Prediction(Part, kw_only=True):
    """The rows of a prediction, at data parties."""

    rows: Annotated[int | UnsetType, says("rows of this party's own table")] = UNSET
    left_out: Annotated[int | UnsetType, says("how many of them miss a value that the model needs")] = UNSET
    missing: Annotated[Counts | UnsetType, says("by column, in how many rows")] = UNSET
    unseen: Annotated[Counts | UnsetType, says("by column, how many rows hold a text that the model does not know")] = (
        UNSET
    )
    scored: Annotated[int | UnsetType, says("at the guest, how many rows")] = UNSET
    unknown: Annotated[
        int | UnsetType, says("at the guest, rows that a partner does not know, or cannot score either")
    ] = UNSET
    scores: Annotated[
        Scores | UnsetType, says("at the guest, of the rows with a score: mean, quantiles and a histogram")
    ] = UNSET
    classes: Annotated[
        list[ScoredClass] | UnsetType,
        says(
            "with several classes, in the place of `scores`: `class`, `mean`, and `rows` in which "
            "it is the most probable"
        ),
    ] = UNSET


class Search(Part, kw_only=True):
    """What a search compared and found."""

    cv: Annotated[int, says("how many folds")]
    scoring: Annotated[str, says("the measure that decides")]
    candidates: Annotated[list[dict[str, Any]], says("their parameters")]
    trainings: Annotated[int, says("how many models were trained")]
    models_told: Annotated[int, says("for how many of them parties learnt their part")]
    best: Annotated[int | UnsetType, says("at data parties, which candidate, from 0")] = UNSET
    fold_rows: Annotated[list[int] | UnsetType, says("at data parties, rows per fold")] = UNSET
    scores: Annotated[
        list[list[Number]] | UnsetType,
        says("at the guest, one list per candidate, by fold; larger is better"),
    ] = UNSET
    mean: Annotated[list[Number] | UnsetType, says("at the guest, over the folds")] = UNSET
    sd: Annotated[list[Number] | UnsetType, says("at the guest, over the folds (ddof 0)")] = UNSET


class TookPart(Part, kw_only=True):
    """One member of an averaging."""

    member: Annotated[str, says("its name")]
    rounds: Annotated[int, says("in how many rounds it took part to the end")]


class Round(Part, kw_only=True):
    """One round of an averaging."""

    round: Annotated[int, says("its number, from 1")]
    members: Annotated[int, says("how many took part to the end")]
    rows: Annotated[int | None, says("how many training rows they have in all; null where nobody knows")]
    without: Annotated[list[str], says("the members that did not")]


class OverMembers(Part, kw_only=True):
    """A measure over members."""

    members: Annotated[int, says("how many have it: those whose held-out rows define it")]
    averaged: Annotated[Number, says("its mean over these, of the averaged model")]
    alone: Annotated[Number, says("the same of each member's own model")]


class Promised(Part, kw_only=True):
    """What noise promises."""

    unit: Annotated[str, says('what is protected: each `"row"`, each `"member"` or each `"label"`')]
    epsilon: Annotated[float, says("what the run costs, for `delta`")]
    delta: Annotated[float, says("as the job says it")]
    multiplier: Annotated[float, says("the noise of a sum or of counts, divided by what one unit can change")]
    sums: Annotated[int, says("how many sums, or hosts' counts, are opened with noise; of labels 1")]
    on: Annotated[
        str | UnsetType,
        says('what carries the noise: `"sums"`, `"events of bins"` or `"labels that are trained on"`'),
    ] = UNSET


class Averaged(Part, kw_only=True):
    """What members averaged."""

    members: Annotated[list[TookPart], says("in the job's order: `member`, and in how many `rounds` it took part")]
    rounds: Annotated[list[Round], says("one by one: `round`, `members`, `rows`, `without`")]
    rows: Annotated[int | UnsetType, says("at a member, its own training rows")] = UNSET
    held_out: Annotated[int | UnsetType, says("at a member, its own held-out rows")] = UNSET
    over_members: Annotated[
        dict[str, OverMembers] | UnsetType,
        says(
            "where rows are held out, by measure the means over members, of the `averaged` model and of the members' "
            "own ones (`alone`), and over how many `members`"
        ),
    ] = UNSET
    better: Annotated[
        int | UnsetType,
        says("for how many members the first of the two measures is better with the averaged model, where it is here"),
    ] = UNSET
    left: Annotated[dict[str, str] | UnsetType, says("at the aggregator, by member that left, why")] = UNSET
    confirmed: Annotated[
        list[str] | UnsetType, says("at the aggregator, which members said at the end that they have the model")
    ] = UNSET


class Phase(Part, kw_only=True):
    """What one phase took."""

    name: Annotated[str, says("its name")]
    seconds: Annotated[float, says("how long it took")]
    bytes_sent: Annotated[int, says("to all peers")]
    bytes_received: Annotated[int, says("from all peers")]
    messages_sent: Annotated[int, says("to all peers")]
    messages_received: Annotated[int, says("from all peers")]


class Encryption(Part, kw_only=True):
    """What computing with ciphertexts took."""

    products: Annotated[int, says("products modulo n^2, counted since the run last resumed")]
    product_s: Annotated[float, says("seconds per product on one core, measured after the run")]
    cpu_s: Annotated[float, says("the two multiplied: an estimate of what the same run in the clear would save")]
    ciphertext_bytes: Annotated[
        int | UnsetType, says("sent, in messages that hold ciphertexts; absent if `resumed`")
    ] = UNSET


class Disclosed(Part, kw_only=True):
    """All messages of one kind to one receiver."""

    message: Annotated[str, says("the kind")]
    disclosure: Annotated[str, says("its class")] = msgspec.field(name="class")
    to: Annotated[str, says("the receiver")]
    count: Annotated[int, says("how many")]
    bytes: Annotated[int, says("of all")]
    learns: Annotated[str, says("what the receiver learns")]
    noise: Annotated[str | UnsetType, says("that it carries noise, and how much")] = UNSET


class Environment(Part, kw_only=True):
    """Versions and machine, as far as they decide a number."""

    python: Annotated[str, says("its version")]
    platform: Annotated[str, says("the operating system")]
    processor: Annotated[str, says("its kind")]
    cores: Annotated[int | None, says("that the process may use")]
    backend: Annotated[str, says("of the arithmetic")]
    versions: Annotated[dict[str, str], says("of the libraries")]


class Report(Part, kw_only=True):
    """The whole file."""

    format: Annotated[int | UnsetType, says("1")] = UNSET
    purpose: Annotated[str | UnsetType, says("`run` or `predict`")] = UNSET
    job: Annotated[str | UnsetType, says("the job's name")] = UNSET
    job_digest: Annotated[str | UnsetType, says("its digest, in hex")] = UNSET
    run: Annotated[str | UnsetType, says("the run's name, in hex, as in its ledger; absent if it sent nothing")] = UNSET
    role: Annotated[str | UnsetType, says("this party's")] = UNSET
    party: Annotated[str | UnsetType, says("this party's name")] = UNSET
    parties: Annotated[
        Names | UnsetType,
        says("the names of all, by role: `guest`, `hosts`, `arbiter`; of members `members`, `arbiter`"),
    ] = UNSET
    outcome: Annotated[str | UnsetType, says("`binary`, `numeric`, `count` or `multiclass`")] = UNSET
    outcome_column: Annotated[
        str | UnsetType | None, says("of a training, at the guest, the name of the label’s column")
    ] = UNSET
    classes: Annotated[
        list[Any] | UnsetType | None,
        says("at the guest the label's values, the event last; null for numbers"),
    ] = UNSET
    started: Annotated[str | UnsetType, says("when, UTC")] = UNSET
    alignment: Annotated[Alignment | UnsetType, says("which rows are common, see below")] = UNSET
    metrics: Annotated[
        dict[str, dict[str, Measures]] | UnsetType,
        says(
            "at the guest by part of the split, `test`, `out_of_time` and `train`: of `joint` and "
            "`guest_alone` the measures for the kind of label, for two values `auc`, `ks`, "
            "`gini`, `log_loss`, `brier` and others; at a member `joint` is the averaged model, and `guest_alone` the "
            "same model of its own rows alone"
        ),
    ] = UNSET
    uplift: Annotated[dict[str, Uplift] | UnsetType, says("at the guest for `test` and `out_of_time`, see below")] = (
        UNSET
    )
    columns: Annotated[
        list[Column] | UnsetType, says("at data parties, own columns on the training rows, see below")
    ] = UNSET
    stability: Annotated[
        Stability | UnsetType,
        says("at data parties, how far rows have moved from the training rows, see below"),
    ] = UNSET
    prediction: Annotated[Prediction | UnsetType, says("for a prediction, at data parties, see below")] = UNSET
    search: Annotated[Search | UnsetType, says("for a job with a search, see below")] = UNSET
    privacy: Annotated[
        Promised | UnsetType,
        says("with `[privacy]`, what it promises: `unit`, `epsilon`, `delta`, `multiplier`, `sums`"),
    ] = UNSET
    averaging: Annotated[Averaged | UnsetType, says("for a job of members, who took part, see below")] = UNSET
    cutoff: Annotated[
        float | UnsetType,
        says("the cut-off of the page's confusion matrices, if `vfl report --cutoff` named one"),
    ] = UNSET
    phases: Annotated[list[Phase] | UnsetType, says("what each phase took, see below")] = UNSET
    peak_memory: Annotated[
        int | UnsetType,
        says(
            "for a run, bytes: the most memory that this party's process has held at once, until it wrote the report; "
            "without its workers"
        ),
    ] = UNSET
    resumed: Annotated[
        bool | UnsetType,
        says(
            "true if this party's process resumed a run that was interrupted or prepared ahead: `phases`, "
            "`peak_memory` and `encryption` then cover only that process; absent otherwise"
        ),
    ] = UNSET
    encryption: Annotated[
        Encryption | UnsetType, says("for a run, at a party that computed with ciphertexts, see below")
    ] = UNSET
    disclosure: Annotated[
        list[Disclosed] | UnsetType,
        says("the summary of the ledger: `message`, `class`, `to`, `count`, `bytes`, `learns`"),
    ] = UNSET
    permits: Annotated[
        dict[str, str] | UnsetType, says("what the job reveals: each permission and its description")
    ] = UNSET
    inputs: Annotated[
        dict[str, str] | UnsetType,
        says("at data parties: `own table`, the digest of this party's own table as read"),
    ] = UNSET
    job_file: Annotated[
        dict[str, Any] | UnsetType,
        says("the job's content as used for the digest; its digest is `job_digest`"),
    ] = UNSET
    model: Annotated[
        dict[str, Any] | UnsetType,
        says("the main parameters of the job's `[model]`, and what came out, by kind, see below"),
    ] = UNSET
    cautions: Annotated[
        list[str] | UnsetType,
        says("at data parties, sentences on this party's own table or, in a prediction, on its new rows, if any"),
    ] = UNSET
    environment: Annotated[
        Environment | UnsetType,
        says("`python`, `platform`, `processor`, `cores`, `backend` (of the arithmetic), `versions` of the libraries"),
    ] = UNSET
    plots: Annotated[
        dict[str, dict[str, dict[str, Any]]] | UnsetType,
        says(
            "the points of the plots on the page: at the guest by part of the split, of `joint` "
            "and `guest_alone`, for a label of two values `roc`, `ks`, `gain`, "
            "`precision_recall`, `calibration`, `histogram`, `deciles`, and `cutoffs` (how many "
            "`events` and `non_events` score each `cutoff` or more); with weights of rows these count by them, and "
            "`weighted` is true"
        ),
    ] = UNSET
