"""A party's own table as a job wants it: read, and checked by everything that a party can check alone."""

from __future__ import annotations

import dataclasses
from functools import partial

import pandas as pd

from protocols.errors import ConfigError, DataError
from vfl.data import Table, read_source, shapes, table_from_frame
from vfl.data.places import place_of
from vfl.data.shapes import Profile
from vfl.job import Job, Party
from vfl.job.partners import own_columns_check
from vfl.job.policy import columns_check, few_columns_check, few_values_check, rows_check
from vfl.job.table import Data
from vfl.models import own_columns
from vfl.models.content import Part
from vfl.preprocessing.binned import as_binned
from vfl.run.budget import Spread, spread_of
from vfl.run.preflight import check_held_out, check_label_numbers
from vfl.schema.section import listed


def own_table(job: Job, party: Party, before: Part | None, profile: Profile) -> tuple[Table, list[str]]:
    """The table of a training, and what deserves a word in it; before: the part of a model to which the training adds;
    profile: gets the shapes of its ids.  Raises ConfigError, DisclosureRefused, DataError."""
    assert party.data is not None
    read = partial(read_table, job, party, party.data, before=before)
    table = read(profile=profile)[1]
    if place_of(party.data.source) == "here":
        table = dataclasses.replace(table, again=lambda: read()[1])
    rows_check(job, party, len(table))
    columns_check(party, party.name, len(table.columns))
    few_columns_check(job, party, len(table.columns))
    few_values_check(job, party, table.features)
    own_columns_check(job, party, table.columns)
    check_held_out(job, table)
    check_label_numbers(job, party, table)
    cautions = own_columns.cautions(table, job.model, job.preprocess)
    return table, cautions + shapes.cautions(profile, party.data.settings().by_own(job.align.normalise))


def read_table(
    job: Job,
    party: Party,
    data: Data,
    *,
    scored_by: Part | None = None,
    before: Part | None = None,
    profile: Profile | None = None,
) -> tuple[pd.DataFrame, Table]:
    """What stands in `data`, and as the job wants it; scored_by: the part of a model, when rows are to be scored and
    need no label; before: that of a model to which the training adds; profile: gets the shapes of the ids."""
    guest = party.role == "guest"
    outcome = [c for c in (data.label, data.weight, data.date) if c] if guest and scored_by is None else []
    columns, settings = data.columns if scored_by is None else scored_by.inputs, data.settings()
    codes = [name for name, kind in settings.types.items() if kind == "category"]
    if codes and scored_by is None and not job.takes_texts:
        raise ConfigError(
            f"{party.name}: [data] says that {listed(codes, 'and')} holds categories, and this job's model takes "
            f"numbers only",
            remedy='Agree on encode = "onehot" in [preprocess], or on another kind of model, or remove it from '
            "data.categories and data.types",
            party=party.name,
        )
    keys = [data.id_columns.get(column, column) for column in job.align.columns]
    only = None if columns is None else [*keys, *columns, *outcome]  # of a wide file, no other is read
    known = scored_by or before
    schema = None if known is None else known.schema
    texts, missing = (codes, ()) if schema is None else ((*schema.categories, *codes), schema.missing)
    missing = (*missing, *settings.missing)
    frame = read_source(data.source, data.query, keys=keys, only=only, texts=texts, missing=missing, form=data.form)
    table = table_from_frame(
        frame,
        party=party.name,
        keys=job.align.keys,
        normalise=job.align.normalise,
        duplicates=job.align.duplicates
        if scored_by is None or not guest
        else "error",  # no row to be scored is dropped
        label=data.label if scored_by is None else None,
        columns=columns,
        need_label=guest and scored_by is None,
        need_features=not guest,
        objective=job.model.label,
        missing=job.takes_missing or scored_by is not None,  # of rows to be scored, those without a value are left out
        texts=job.takes_texts,
        weights=data.weight if scored_by is None else None,
        date=data.date if scored_by is None else None,
        settings=settings,
        schema=schema,
        profile=profile,
    )
    check_classes(job, party, table)
    if scored_by is None:
        job.model.check_table(table)
    # a column of weights, or of dates, is no feature of any job
    weighted = getattr(job.model, "sample_weight", False) or getattr(job.model, "exposed", False)
    return frame, dataclasses.replace(
        table, weight=table.weight if weighted else None, date=table.date if job.split.out_of_time else None
    )


def check_classes(job: Job, party: Party, table: Table) -> None:
    """Raises DataError unless a label of several classes has as many values as the job says."""
    agreed = getattr(job.model, "num_class", None)
    if table.label is not None and job.model.label == "multiclass" and len(table.classes or ()) != agreed:
        raise DataError(
            f"{party.name}: label column '{table.label.name}' holds {len(table.classes or ())} different "
            f"values, and the job says model.num_class = {agreed}",
            remedy="Correct num_class in the job at every party, or the label",
            party=party.name,
        )


def spread_in(job: Job, table: Table) -> Spread:
    """How far a host's columns differ from each other, as the job bins them."""
    return table.once("spread", lambda: spread_of(as_binned(table.features, job.preprocess)))
