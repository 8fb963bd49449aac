"""Boosted trees on disk: a part as plain arrays, and a part from arrays that may hold anything.

guest  bins.*; trees.nodes (trees,) how many nodes each has; trees.owner, feature, cut, missing_left, left, gain, value: those of all trees, one after the
       other, of sealed ones those on the guest's columns alone; base (outputs,); of sealed trees joint.owner, order, feature, cut, missing_left
       (trees, 2^depth - 1), margin_unit (1,), score_key (32,) secret bytes
host   bins.*; splits.feature, cut, missing_left (handles,); splits.seat (handles, 3): of sealed trees, tree, level and seat of each handle, else (0, 3);
       score_key (32,) secret bytes, else (0,)
both   bins.cuts: those of all columns, one after the other; bins.counts (columns,): how many each has; bins.has_missing (columns,); of categorical columns
       categories.values and categories.bins, one column after the other; categories.counts and categories.other (columns,): how many, or -1 for a column of
       numbers, and the bin of those not seen in training
"""  # noqa: E501

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.allowance import own_name
from protocols.binning.quantile import MAX_BIN, MAX_CATEGORIES, UNSEEN, Binned, Binner, Categories
from protocols.boosting.ensemble import Ensemble, HostSplits
from protocols.boosting.params import MAX_DEPTH, Params
from protocols.boosting.sealed_parts import NO_SPLIT, GuestTrees, Shape
from protocols.boosting.tree import GUEST, LEAF, Tree
from protocols.errors import ConfigError
from vfl.data.codes import Names, coded
from vfl.data.schema import Schema
from vfl.models.content import Body, CorruptPartError, Head, Tensors, check, tensors_of

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
        return f"<{type(self).__name__} of {self.party}: {len(self.columns)} columns>"

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
        "score_key": np.frombuffer(trees.score_key, dtype=np.uint8),
    }


def unpack(head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> TreesPart:
    """The part; raises CorruptPartError."""
    told = msgspec.convert(rest, Rest)
    check(
        (told.params is not None) or not told.hosts,
        (told.params is None) or told.depth == 0,
        0 <= told.depth <= MAX_DEPTH,
        0 <= told.trees <= MOST_TREES,
        told.trees == 0 or told.depth > 0,
        head.classes is None or told.params is not None,
        not told.monotone or len(told.monotone) == len(head.columns),
        all(sign in (-1, 0, 1) for sign in told.monotone),
    )
    signs = tuple(told.monotone)
    if told.params is not None:
        params = _params(told.params)
        _check_classes(head, params)
        shapes: Shapes = BINS | {"trees.nodes": (np.int64, [None]), "base": (np.float64, [params.num_class])}
        shapes |= _joint_shapes(params)
        arrays = tensors_of(tensors, shapes | {f"trees.{name}": (kind, [None]) for name, kind in NODES.items()})
        binner = _binner(arrays, len(head.columns))
        own = Ensemble(params, head.name, arrays["base"], _trees(arrays, params, binner))
        ensemble = _joint(arrays, own, binner, len(told.hosts)) if params.sealed else own
        names, hosts = _names(told, binner), tuple(told.hosts)
        return TreesPart(
            head.party,
            head.name,
            tuple(head.columns),
            binner,
            names,
            ensemble=ensemble,
            classes=head.values,
            hosts=hosts,
            monotone=signs,
        )
    shapes = BINS | {
        "splits.feature": (np.int64, [None]),
        "splits.cut": (np.int64, [None]),
        "splits.missing_left": (np.bool_, [None]),
    }
    arrays = tensors_of(
        tensors, shapes | {"splits.seat": (np.int64, [None, 3]), "score_key": (np.uint8, [32 if told.depth else 0])}
    )
    binner = _binner(arrays, len(head.columns))
    splits = _splits(arrays, head.name, told, binner)
    common = (head.party, head.name, tuple(head.columns), binner, _names(told, binner))
    return TreesPart(*common, splits=splits, depth=told.depth, monotone=signs)


def _params(told: Mapping[str, Any]) -> Params:
    check(set(told) | {LATER} == set(Params.__dataclass_fields__))
    try:
        return Params(**told)
    except (ConfigError, TypeError):
        raise CorruptPartError from None


def _check_classes(head: Head, params: Params) -> None:
    outputs = {"binary:logistic": 2, "multi:softprob": params.num_class}.get(params.objective)
    check((head.classes is None) == (outputs is None), head.classes is None or len(head.classes) == outputs)


def _binner(arrays: Tensors, columns: int) -> Binner:
    counts = arrays["bins.counts"]
    check(
        len(counts) == columns == len(arrays["bins.has_missing"]),
        counts >= 0,
        counts < MAX_BIN,
        counts.sum() == len(arrays["bins.cuts"]),
    )
    cuts = _apart(arrays["bins.cuts"], counts)
    check(*(np.diff(c) > 0 for c in cuts))
    return Binner(cuts, tuple(bool(m) for m in arrays["bins.has_missing"]), _categories(arrays, columns))


def _categories(arrays: Tensors, columns: int) -> tuple[Categories | None, ...]:
    counts, others = arrays["categories.counts"], arrays["categories.other"]
    check(
        len(counts) == len(others) == columns,
        counts >= -1,
        counts <= MAX_CATEGORIES,
        others >= UNSEEN,
        others < MAX_BIN,
    )
    sizes = np.maximum(counts, 0)
    check(sizes.sum() == len(arrays["categories.values"]) == len(arrays["categories.bins"]))
    values, bins = _apart(arrays["categories.values"], sizes), _apart(arrays["categories.bins"], sizes)
    check(*(np.diff(v) > 0 for v in values), *((b >= 0) & (b < MAX_BIN) for b in bins))
    return tuple(
        None if n < 0 else Categories(v, b, int(o)) for n, v, b, o in zip(counts, values, bins, others, strict=True)
    )


def _names(told: Rest, binner: Binner) -> tuple[Names, ...]:
    """Distinct and sorted, as the numbers in the bins count them."""
    check(len(told.names) == len(binner.categories))
    for names, bins in zip(told.names, binner.categories, strict=True):
        check((names is None) == (bins is None))
        if names is not None and bins is not None:
            check(names == sorted(set(names)), np.array_equal(bins.values, np.arange(len(names))))
    return tuple(None if names is None else tuple(names) for names in told.names)


def _apart(joined: NDArray[Any], sizes: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
    return tuple(np.split(joined, np.cumsum(sizes)[:-1])) if len(sizes) else ()


def _most(binner: Binner) -> NDArray[np.int64]:
    """The largest cut of each column."""
    return np.array(
        [c.count if c else len(cuts) for cuts, c in zip(binner.cuts, binner.categories, strict=True)], dtype=np.int64
    )


def _trees(arrays: Tensors, params: Params, binner: Binner) -> tuple[Tree, ...]:
    sizes = arrays["trees.nodes"]
    check(sizes >= 1, len(sizes) <= params.trees, len(sizes) % params.num_class == 0)
    check(*(len(arrays[f"trees.{name}"]) == sizes.sum() for name in NODES))
    edges = [0, *np.cumsum(sizes).tolist()]
    trees = [Tree(*(arrays[f"trees.{name}"][a:b] for name in NODES)) for a, b in itertools.pairwise(edges)]
    for tree in trees:
        _check_tree(tree, params, binner)
    return tuple(trees)


def _check_tree(tree: Tree, params: Params, binner: Binner) -> None:
    """Children follow their parents in order, two by two, none deeper than max_depth; a split of the guest's names a
    column and a cut that there are."""
    inner = np.flatnonzero(tree.owner != LEAF)
    check(tree.owner >= LEAF, tree.left[tree.owner == LEAF] == -1, len(tree) == 1 + 2 * len(inner))
    check(tree.left[inner] == 1 + 2 * np.arange(len(inner)), tree.left[inner] > inner)
    depth = np.zeros(len(tree), dtype=np.int64)
    for node in inner:
        depth[tree.left[node] : tree.left[node] + 2] = depth[node] + 1
    check(depth <= params.max_depth)
    own = tree.owner == GUEST
    check(tree.feature[own] >= 0, tree.feature[own] < len(binner.cuts), tree.feature[tree.owner > GUEST] >= 0)
    check(tree.cut[own] >= 0, tree.cut[own] <= _most(binner)[tree.feature[own]])


def _joint_shapes(params: Params) -> Shapes:
    if not params.sealed:
        return {}
    nodes = [None, (1 << params.max_depth) - 1]
    whole: Shapes = {f"joint.{name}": (np.int64, nodes) for name in ("owner", "order", "feature", "cut")}
    return whole | {
        "joint.missing_left": (np.bool_, nodes),
        "margin_unit": (np.float64, [1]),
        "score_key": (np.uint8, [32]),
    }


def _joint(arrays: Tensors, own: Ensemble, binner: Binner, hosts: int) -> GuestTrees:
    """Owners that there are, seats that are permutations, and of the guest's own splits columns and cuts that there
    are."""
    shape = checked_shape(own.params.max_depth, arrays["joint.owner"], arrays["joint.order"], hosts)
    feature, cut, mine = arrays["joint.feature"], arrays["joint.cut"], shape.owner == GUEST
    check(*(len(arrays[f"joint.{name}"]) == len(shape) for name in ("feature", "cut", "missing_left")))
    check(
        len(shape) % own.params.num_class == 0,
        len(shape) + len(own.trees) <= own.params.trees,
        arrays["margin_unit"] > 0,
    )
    check(feature[mine] >= 0, feature[mine] < len(binner.cuts))
    check(cut[mine] >= 0, cut[mine] <= _most(binner)[feature[mine]])
    unit, key = float(arrays["margin_unit"][0]), arrays["score_key"].tobytes()
    return GuestTrees(own, shape, feature, cut, arrays["joint.missing_left"], unit, key)


def checked_shape(depth: int, owner: NDArray[np.int64], order: NDArray[np.int64], parties: int) -> Shape:
    """The shape of sealed trees from what was read; parties: hosts.  Raises CorruptPartError."""
    shape = Shape(depth, owner, order)
    check(len(owner) == len(order), owner >= NO_SPLIT, owner <= parties)
    for level in range(depth):
        check(np.sort(shape.level(level)[1], axis=1) == np.arange(1 << level))
    return shape


def _splits(arrays: Tensors, model_id: bytes, told: Rest, binner: Binner) -> HostSplits:
    depth = told.depth
    feature, cut, seat = arrays["splits.feature"], arrays["splits.cut"], arrays["splits.seat"]
    most = _most(binner)
    check(len(feature) == len(cut) == len(arrays["splits.missing_left"]), feature >= 0, feature < len(most))
    check(cut >= 0, cut <= most[feature], len(seat) == (len(feature) if depth else 0))
    tree, level, place = seat.T
    check(
        tree >= 0,
        tree < max(told.trees, 1),
        level >= 0,
        level < max(depth, 1),
        place >= 0,
        place < 1 << np.clip(level, 0, MAX_DEPTH),
    )
    check(len(np.unique(seat, axis=0)) == len(seat))
    missing_left = arrays["splits.missing_left"].tolist()
    seats = [tuple(s) for s in seat.tolist()]
    return HostSplits(
        model_id, feature.tolist(), cut.tolist(), missing_left, seats, told.trees, arrays["score_key"].tobytes()
    )
