"""Boosted trees on disk: a part as plain arrays, and a part from arrays that may hold anything.

guest  bins.*; trees.nodes (trees,) how many nodes each has; trees.owner, feature, cut, missing_left, left, gain, value: those of all trees, one after the
       other, of sealed ones those on the guest's columns alone; base (outputs,); of sealed trees joint.owner, order, feature, cut, missing_left
       (trees, 2^depth - 1), margin_unit (1,), rounding_key (32,) secret bytes
host   bins.*; splits.feature, cut, missing_left (handles,); splits.seat (handles, 3): of sealed trees, tree, level and seat of each handle, else (0, 3);
       score_key (32,) secret bytes, else (0,)
both   bins.cuts: those of all columns, one after the other; bins.counts (columns,): how many each has; bins.has_missing (columns,); of categorical columns
       categories.values and categories.bins, one column after the other; categories.counts and categories.other (columns,): how many, or -1 for a column of
       numbers, and the bin of those not seen in training
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.allowance import own_name
from protocols.binning.quantile import UNSEEN, Binned, Binner, KeptBins
from protocols.boosting.ensemble import Ensemble, HostSplits
from protocols.boosting.params import Params
from protocols.boosting.sealed_parts import GuestTrees
from protocols.kept import Keep
from vfl.data import Table
from vfl.data.codes import Names, coded, coded_column
from vfl.data.schema import Schema
from vfl.models.content import Body, Tensors
from vfl.screen.sentences import counted

MOST_TREES = 10_000_000
LATER = "monotone_constraints"  # a parameter that parts without it do not name
Shapes = dict[str, tuple[type[Any], Sequence[int | None]]]
BINS: Shapes = {
    "bins.cuts": (np.float64, [None]),
    "bins.counts": (np.int64, [None]),
    "bins.has_missing": (np.bool_, [None]),
    "categories.values": (np.float64, [None]),
    "categories.bins": (np.int64, [None]),
    "categories.counts": (np.int64, [None]),
    "categories.other": (np.int64, [None]),
}
NODES: dict[str, type[Any]] = {
    "owner": np.int64,
    "feature": np.int64,
    "cut": np.int64,
    "missing_left": np.bool_,
    "left": np.int64,
    "gain": np.float64,
    "value": np.float64,
}


@dataclass(frozen=True, eq=False, repr=False)
class TreesPart:
    """A data party's part of boosted trees: its bins, and at the guest the trees, open ones or what it knows of sealed
    ones; at a host what its handles stand for (depth:
    of sealed trees, else 0).

    hosts: at the guest their names, in the order by which the trees number them.  monotone: the sign of each column's
    constraint, () where there are none.
    """

    party: str
    model_id: bytes
    columns: tuple[str, ...]
    binner: Binner
    names: tuple[Names, ...]  # of each column the categories that training saw, None for numbers
    ensemble: Ensemble | GuestTrees | None = None
    splits: HostSplits | None = None
    depth: int = 0
    classes: tuple[Any, ...] | None = None
    hosts: tuple[str, ...] = ()
    monotone: tuple[int, ...] = ()
    schema: Schema = Schema()  # noqa: RUF009

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.party}: {counted(len(self.columns), 'column')}>"

    @property
    def own_name(self) -> bytes:
        """The name under which a host counts what the model opens."""
        return own_name(self.model_id, self.splits.score_key if self.splits is not None else b"")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that a table to be scored must have."""
        return self.columns

    @property
    def categories(self) -> dict[str, tuple[str, ...]]:
        """Of each of them that holds categories, those that training saw."""
        return {c: names for c, names in zip(self.columns, self.names, strict=True) if names is not None}

    @property
    def is_guests(self) -> bool:
        """Whether the part is the guest's."""
        return self.ensemble is not None

    @property
    def trees(self) -> Ensemble | GuestTrees:
        """The guest's trees."""
        assert self.ensemble is not None
        return self.ensemble

    def binned(self, features: pd.DataFrame) -> Binned:
        """The rows of a table in this part's bins; its columns are looked up by name."""
        return self.binner.transform(coded(features, self.columns, self.names))

    def kept(self, table: Table, keep: Keep) -> KeptBins:
        """The same of a table of common rows, a column at a time."""

        def column(k: int) -> NDArray[np.float64]:
            return coded_column(table.column(self.columns[k]), self.names[k])

        return self.binner.kept(len(table), column, keep)


class Rest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """The keys of manifest.json that trees add: at the guest the parameters and the hosts, at a host the depth and
    number of sealed trees, else 0; the categories of each column; the sign of each column's monotone constraint, where
    there is one."""

    params: dict[str, str | int | float | bool | None] | None
    depth: int
    trees: int
    names: list[list[str] | None]
    hosts: list[str]
    monotone: list[int] = []


def pack(part: TreesPart) -> Body:
    """As the module says."""
    cuts, names = part.binner.cuts, [None if n is None else list(n) for n in part.names]
    tensors: Tensors = {
        "bins.cuts": np.concatenate([np.zeros(0), *cuts]),
        "bins.counts": np.array([len(c) for c in cuts], dtype=np.int64),
        "bins.has_missing": np.array(part.binner.has_missing, dtype=np.bool_),
        "categories.values": np.concatenate([np.zeros(0), *(c.values for c in part.binner.categories if c)]),
        "categories.bins": np.concatenate([np.zeros(0, np.int64), *(c.bins for c in part.binner.categories if c)]),
        "categories.counts": np.array([len(c.values) if c else -1 for c in part.binner.categories], dtype=np.int64),
        "categories.other": np.array([c.other if c else UNSEEN for c in part.binner.categories], dtype=np.int64),
    }
    if part.ensemble is not None:
        own = part.ensemble.own if isinstance(part.ensemble, GuestTrees) else part.ensemble
        trees = own.trees
        tensors["trees.nodes"] = np.array([len(t) for t in trees], dtype=np.int64)
        tensors |= {
            f"trees.{name}": np.concatenate([np.zeros(0, kind), *(getattr(t, name) for t in trees)])
            for name, kind in NODES.items()
        }
        tensors["base"] = own.base
        if isinstance(part.ensemble, GuestTrees):
            tensors |= _joint_tensors(part.ensemble)
        params = {name: getattr(own.params, name) for name in Params.__dataclass_fields__}
        if not own.params.monotone_constraints:
            del params[LATER]
        return Body(msgspec.to_builtins(Rest(params, 0, 0, names, list(part.hosts), list(part.monotone))), tensors)
    splits = part.splits
    assert splits is not None
    tensors |= {
        "splits.feature": np.array(splits.feature, dtype=np.int64),
        "splits.cut": np.array(splits.cut, dtype=np.int64),
        "splits.missing_left": np.array(splits.missing_left, dtype=np.bool_),
        "splits.seat": np.array(splits.seat, dtype=np.int64).reshape(-1, 3),
        "score_key": np.frombuffer(splits.score_key, dtype=np.uint8),
    }
    rest = Rest(None, part.depth, splits.trees, names, [], list(part.monotone))
    return Body(msgspec.to_builtins(rest), tensors)


def _joint_tensors(trees: GuestTrees) -> Tensors:
    """What the guest knows of sealed trees."""
    return {
        "joint.owner": trees.shape.owner,
        "joint.order": trees.shape.order,
        "joint.feature": trees.feature,
        "joint.cut": trees.cut,
        "joint.missing_left": trees.missing_left,
        "margin_unit": np.array([trees.margin_unit]),
        "rounding_key": np.frombuffer(trees.rounding_key, dtype=np.uint8),
    }
