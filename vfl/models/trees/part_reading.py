"""A part of boosted trees from arrays that may hold anything: the reading side of part.py."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import MAX_BIN, MAX_CATEGORIES, UNSEEN, Binner, Categories
from protocols.boosting.ensemble import Ensemble, HostSplits
from protocols.boosting.params import MAX_DEPTH, Params
from protocols.boosting.rounding import KEY
from protocols.boosting.sealed_parts import NO_SPLIT, GuestTrees, Shape
from protocols.boosting.tree import GUEST, LEAF, Tree
from protocols.errors import ConfigError
from vfl.data.codes import Names
from vfl.models.content import CorruptPartError, Head, Tensors, check, tensors_of
from vfl.models.trees.part import BINS, LATER, MOST_TREES, NODES, Rest, Shapes, TreesPart


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
        check_tree(tree, params, binner)
    return tuple(trees)


def check_tree(tree: Tree, params: Params, binner: Binner) -> None:
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
    whole |= {"joint.missing_left": (np.bool_, nodes), "margin_unit": (np.float64, [1])}
    return whole | {"rounding_key": (np.uint8, [KEY])}


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
    unit, key = float(arrays["margin_unit"][0]), arrays["rounding_key"].tobytes()
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
