"""Trains and scores trees at protocol level, on tables that are aligned already."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.binning import Binned, Binner
from protocols.boosting import hidden, scoring, shared, twin
from protocols.boosting.ensemble import Ensemble, HostSplits, Rounds
from protocols.boosting.params import Params
from protocols.boosting.tree import LEAF, Tree
from protocols.channel import Tap
from protocols.cipher import Scheme
from protocols.session import Roles, Session
from vfl.engine import run_local

Floats = NDArray[np.float64]
NAME = b"0123456789abcdef"


@dataclass
class Trained:
    ensemble: Ensemble
    hosts: list[HostSplits]
    rounds: Rounds
    roles: Roles


def bin_blocks(blocks: Sequence[Floats], p: Params, categorical: Sequence[Collection[int]] | None = None) -> list[Binned]:
    """The guest's bins, then the hosts'; categorical: for each its columns of categories."""
    binned = []
    for k, x in enumerate(blocks):
        named = categorical[k] if categorical else ()
        binned.append(Binner.fit(x, p.max_bin, p.min_bin_rows if k else 1, named).transform(x))
    return binned


def roles_of(hosts: int) -> Roles:
    return Roles("guest", tuple(f"host{k}" for k in range(1, hosts + 1)), "arbiter")


def train(
    blocks: Sequence[Binned],
    y: Floats,
    p: Params,
    scheme: Scheme,
    taps: Mapping[str, Sequence[Tap]] | None = None,
    after: Trained | None = None,
    **more: Any,
) -> Trained:
    """Both profiles; the same rounds as `twin_trees`.  after: a training that this one continues."""
    roles = roles_of(len(blocks) - 1)
    if after:
        more["before"] = (after.ensemble, score(after, blocks, scheme))
    rounds = Rounds(p, y, **more)
    profile = hidden if p.membership == "hidden" else shared
    programs: dict[str, Callable[[Session], Any]] = {
        "guest": partial(profile.guest, binned=blocks[0], p=p, rounds=rounds, model_id=NAME),
        "arbiter": partial(hidden.arbiter, p=p, continues=after is not None) if p.membership == "hidden" else lambda session: None,
    }
    for k, (name, block) in enumerate(zip(roles.hosts, blocks[1:], strict=True)):
        programs[name] = partial(profile.host, binned=block, p=p, held_out=rounds.held_out, before=after.hosts[k] if after else None)
    results = run_local(roles, programs, scheme, taps=taps, deadline=300.0)
    return Trained(results["guest"], [results[h] for h in roles.hosts], rounds, roles)


def score(trained: Trained, blocks: Sequence[Binned], scheme: Scheme, taps: Mapping[str, Sequence[Tap]] | None = None) -> Floats:
    """Margins (rows, outputs) by the protocol."""
    p = trained.ensemble.params
    depth = p.max_depth if p.membership == "hidden" else 0
    programs: dict[str, Callable[[Session], Any]] = {
        "guest": partial(scoring.guest, binned=blocks[0], part=trained.ensemble),
        "arbiter": scoring.arbiter if depth else lambda session: None,
    }
    for name, block, part in zip(trained.roles.hosts, blocks[1:], trained.hosts, strict=True):
        programs[name] = partial(scoring.host, binned=block, part=part, depth=depth)
    return np.asarray(run_local(trained.roles, programs, scheme, taps=taps, deadline=300.0)["guest"])


def twin_trees(blocks: Sequence[Binned], y: Floats, p: Params, **more: Any) -> tuple[list[Tree], Rounds]:
    rounds = Rounds(p, y, **more)
    return twin.train(blocks, p, rounds), rounds


def joined(trained: Trained) -> list[Tree]:
    """The trees with every handle replaced by the column and cut that it stands for: what no party has."""
    trees = []
    for t, tree in enumerate(trained.ensemble.trees):
        level = np.zeros(len(tree), dtype=np.int64)
        for node in np.flatnonzero(tree.left >= 0):
            level[tree.left[node] : tree.left[node] + 2] = level[node] + 1
        feature, cut, missing_left = tree.feature.copy(), tree.cut.copy(), tree.missing_left.copy()
        for node in np.flatnonzero(tree.owner > 0):
            part, handle = trained.hosts[tree.owner[node] - 1], int(tree.feature[node])
            handle = part.seat.index((t, int(level[node]), handle)) if part.seat else handle
            feature[node], cut[node], missing_left[node] = part.feature[handle], part.cut[handle], part.missing_left[handle]
        trees.append(Tree(tree.owner, feature, cut, missing_left, tree.left, tree.gain, tree.value))
    return trees


def same(a: Sequence[Tree], b: Sequence[Tree]) -> bool:
    """Bit for bit."""
    return len(a) == len(b) and all(
        np.array_equal(getattr(s, name), getattr(t, name))
        for s, t in zip(a, b, strict=True)
        for name in ("owner", "feature", "cut", "missing_left", "left", "gain", "value")
    )


def leaves(trees: Sequence[Tree]) -> int:
    return sum(int((t.owner == LEAF).sum()) for t in trees)
