"""Attacks on what a party received: clustering rows by the nodes that they shared (a host), and counting bits of a host's table (the guest).

Source of the first: ID2Graph, arXiv 2307.10318, in its simplest form: rows that share nodes in many trees are taken to share a label.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from protocols.boosting.shared import NodeRows
from protocols.boosting.transfer import Choices
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from protocols.binning import Binned
from protocols.boosting.levels import segments, unpack_bits
from protocols.cipher import Keyring
from protocols.message import Message
from tests.boosting.world import Trained, joined
from tests.harness import Sent

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]


def messages(transcript: Sequence[Sent], kind: type[Message], receiver: str) -> list[Message]:
    return [s.message(Keyring()) for s in transcript if s.kind is kind and s.receiver == receiver]


def node_features(transcript: Sequence[Sent], rows: int, trees: int, levels: int) -> Floats:
    """(rows, nodes) from NodeRows: which of each tree's nodes a host knows a row to be in."""
    received, columns = iter(messages(transcript, NodeRows, "host1")), []
    for _ in range(trees):
        nodes = [np.arange(rows)]
        for _ in range(levels - 1):
            message = next(received)
            split = unpack_bits(message.split, len(nodes), "guest")  # type: ignore[attr-defined]
            parents = [node for node, s in zip(nodes, split, strict=True) if s]
            left = unpack_bits(message.left, sum(map(len, parents)), "guest")  # type: ignore[attr-defined]
            parts = segments(left, [len(parent) for parent in parents])
            nodes = [child for parent, goes in zip(parents, parts, strict=True) for child in (parent[goes], parent[~goes])]
            columns += [np.isin(np.arange(rows), node) for node in nodes]
            if not nodes:
                break
    return np.array(columns, dtype=np.float64).T


def choice_features(transcript: Sequence[Sent], levels: int) -> Floats:
    """(rows, indices) from Choices: all that a host receives for each row in the clear in `hidden`."""
    columns = []
    for k, message in enumerate(messages(transcript, Choices, "host1")):
        shifts = np.frombuffer(message.shifts, dtype=np.uint8)  # type: ignore[attr-defined]
        columns += [shifts == i for i in range(1 << k % levels)]
    return np.array(columns, dtype=np.float64).T


def label_gain(own: Floats, received: Floats, y: Floats, known: int = 40, draws: int = 20) -> float:
    """By how much AUC on the other rows grows when a host with `known` labels adds what it received to its own columns."""
    rng, gained = np.random.default_rng(0), []
    own = (own - own.mean(axis=0)) / own.std(axis=0)
    for _ in range(draws):
        some = np.concatenate([rng.choice(np.flatnonzero(y == c), known // 2, replace=False) for c in (0, 1)])
        rest = np.setdiff1d(np.arange(len(y)), some)
        scores = []
        for x in (own, np.column_stack([own, received])):
            model = LogisticRegression(C=0.05, max_iter=500).fit(x[some], y[some])
            scores.append(roc_auc_score(y[rest], model.decision_function(x[rest])))
        gained.append(scores[1] - scores[0])
    return float(np.mean(gained))


def entropy_share(trained: Trained, blocks: Sequence[Binned], host: int, *, all_rows: bool) -> float:
    """The share of the entropy of a host's binned columns that direction bits give the guest, if it knew which column and cut each stands for.

    all_rows: it got every row's bit of every split (scoring in `shared`), else only those on a row's own path (training; `hidden` always).
    """
    binned, every = blocks[host], np.arange(len(blocks[host]))
    low, high = np.zeros(binned.bins.shape, dtype=np.int64), np.full(binned.bins.shape, binned.missing, dtype=np.int64)
    for tree in joined(trained):
        at = np.zeros(len(every), dtype=np.int64)
        for node in np.flatnonzero(tree.left >= 0):
            owner, f, cut, missing_left = int(tree.owner[node]), int(tree.feature[node]), int(tree.cut[node]), bool(tree.missing_left[node])
            left = blocks[owner].goes_left(every, f, cut, missing_left)
            here = at == node
            if owner == host:
                told = every >= 0 if all_rows else here
                high[told & left, f] = np.minimum(high[told & left, f], cut)
                low[told & ~left, f] = np.maximum(low[told & ~left, f], cut + 1)
            at[here] = np.where(left[here], tree.left[node], tree.left[node] + 1)
    known = whole = 0.0
    for f in range(binned.columns):
        share = np.bincount(binned.bins[:, f], minlength=binned.missing + 1) / len(every)
        below = np.concatenate([[0.0], np.cumsum(share)])
        known -= float(np.log2(below[high[:, f] + 1] - below[low[:, f]]).sum())
        whole -= float(np.log2(share[binned.bins[:, f]]).sum())
    return known / whole


def orderable(trained: Trained, blocks: Sequence[Binned], host: int, *, all_rows: bool) -> tuple[float, float]:
    """The share of a host's cuts that won, and of all pairs of cuts of a column the share whose order direction bits show.

    A row on the right of one cut and on the left of the other shows it.  As with `entropy_share`, the guest is granted which column and cut each split stands for.
    """
    binned, every = blocks[host], np.arange(len(blocks[host]))
    told: dict[tuple[int, int], tuple[Bits, Bits]] = {}  # of a cut: the rows known to lie on its left, and on its right
    for tree in joined(trained):
        at = np.zeros(len(every), dtype=np.int64)
        for node in np.flatnonzero(tree.left >= 0):
            owner, f, cut, missing_left = int(tree.owner[node]), int(tree.feature[node]), int(tree.cut[node]), bool(tree.missing_left[node])
            left = blocks[owner].goes_left(every, f, cut, missing_left)
            here = at == node
            if owner == host:
                known = np.ones_like(here) if all_rows else here
                before = told.get((f, cut), (np.zeros_like(here), np.zeros_like(here)))
                told[f, cut] = before[0] | (known & left), before[1] | (known & ~left)
            at[here] = np.where(left[here], tree.left[node], tree.left[node] + 1)
    cuts = [len(c) for c in binned.binner.cuts]
    pairs = [(a, b) for a in told for b in told if a[0] == b[0] and a[1] < b[1]]
    shown = sum(bool((told[a][1] & told[b][0]).any()) for a, b in pairs)
    return len(told) / sum(cuts), shown / sum(c * (c - 1) // 2 for c in cuts)
