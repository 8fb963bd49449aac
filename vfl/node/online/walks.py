"""Sealed trees at a node: protocols/online/tree_epoch.py and tree_query.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import Binned
from protocols.boosting.sealed_parts import GuestTrees
from protocols.online import tree_epoch, tree_query
from protocols.online.asking import Asked
from protocols.online.publishing import EpochStart, Meter
from protocols.online.tree_epoch import ListedRows
from vfl.models.trees.leaf_values import LeafValues
from vfl.models.trees.part import TreesPart
from vfl.node.online.meeting import Lists, Meeting, Serve
from vfl.run.scoring import Scoring


def guest(meeting: Meeting, given: Any) -> Lists:
    """Publishes an epoch; given: the guest's part."""
    session, part = meeting.session, cast("TreesPart", given)
    with session.phase("publish"):
        begun = tree_epoch.guest(session, cast("GuestTrees", part.trees))

    def ask(ids: Sequence[bytes | None], bins: NDArray[np.int64]) -> Asked:
        return tree_query.ask(session, begun, ids, Binned(part.binner, bins.astype(np.int16)))

    return Lists(begun.name, begun.left, ask, end=begun.stock.refill)


def host(meeting: Meeting, start: EpochStart, scoring: Scoring, left: int) -> Serve:
    """The same at a host: what serves until the next epoch starts."""
    session, table, part = meeting.session, scoring.ready.table, cast("TreesPart", scoring.part)
    assert table is not None
    assert part.splits is not None

    def allow(outputs: int) -> None:
        session.allowance.score_vectors(part.own_name, outputs, part.columns)

    listed = ListedRows(list(table.names), part.binned(table.features), part.splits, part.depth)
    with session.phase("publish"):
        server = tree_epoch.host(session, start, listed, left, allow)

    def serve(meter: Meter, settle: Callable[[], None]) -> EpochStart | None:
        return tree_query.serve_host(session, server, meter, settle)

    return serve


def arbiter(
    meeting: Meeting, start: EpochStart, part: LeafValues
) -> Callable[[Callable[[int], object]], EpochStart | None]:
    """The same at the arbiter."""
    session = meeting.session
    with session.phase("publish"):
        begun = tree_epoch.arbiter(session, start, part.trees)
    return partial(tree_query.serve_arbiter, session, begun, part.trees)
