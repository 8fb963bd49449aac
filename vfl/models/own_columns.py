"""What in a party's own columns deserves a word before a training: the same in `vfl check`, in a run and in Python, to
this party alone, by column, never a value."""

from __future__ import annotations

import numpy as np

from vfl.data import Table
from vfl.data.doubts import outcome, values
from vfl.preprocessing import Preprocessing
from vfl.schema.spec import Spec


def cautions(table: Table, spec: Spec, steps: Preprocessing | None) -> list[str]:
    """A sentence each; table: as the model takes it; steps: the preprocessing, where there is one."""
    found = [*table.doubts, *([table.event_caution] if table.event_caution else []), *_one_bin(table, spec, steps)]
    plain = standardises(spec, steps)
    for name in table.features.columns:
        with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the largest one
            found += _said(table, str(name), plain=plain)
    return found


def _said(table: Table, name: str, *, plain: bool) -> list[str]:
    """Of one column; plain: whether it is standardised."""
    column, settings = table.features[name], table.settings
    told = values.nothing_said(column, settings) or values.one_value(column, settings)
    told = told or outcome.is_the_id(column, table.index, settings)
    if column.dtype.kind != "O":
        numbers = column.to_numpy(np.float64)
        told = told or values.no_amounts(name, numbers, settings)
        told = told or (values.far_out(name, numbers, settings) if plain else "")
    leak = "" if table.label is None else _leak(table, name)
    return [sentence for sentence in (told, leak) if sentence]


def _one_bin(table: Table, spec: Spec, steps: Preprocessing | None) -> list[str]:
    """Where every column has one bin; the guest of boosted trees is free in its own."""
    by_label = spec if spec.bins_by_label else steps if steps is not None and steps.encode == "woe" else None
    least = getattr(by_label or (spec if table.label is None else None), "min_bin_rows", 0)
    if len(table) >= 2 * least or not table.features.shape[1]:
        return []
    return [
        f"min_bin_rows = {least:,}, and this table has {len(table):,} rows: each of its columns has one bin, and the "
        "model learns nothing from it; lower min_bin_rows"
    ]


def standardises(spec: Spec, steps: Preprocessing | None) -> bool:
    """Whether the columns are standardised as they came: neither binned nor cut before."""
    if "clip" not in type(spec).model_fields:
        return False
    return steps is None or not (steps.clip_quantiles is not None or steps.encode in ("quantile", "woe"))


def _leak(table: Table, name: str) -> str:
    assert table.label is not None
    label = table.label.to_numpy(np.float64)
    return outcome.tells_label(table.features[name], label, len(table.classes or ()), table.settings)
