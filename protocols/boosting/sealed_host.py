"""A host's side of sealed trees: the steps of sealed.py's figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import Bins
from protocols.boosting import gradients, held_out, leaves, level_sums, product, walk
from protocols.boosting import scale as scales
from protocols.boosting.blocks import Layout
from protocols.boosting.ensemble import HostSplits
from protocols.boosting.keys import agree
from protocols.boosting.level_sums import LevelSums
from protocols.boosting.levels import own_columns
from protocols.boosting.opening import SplitColumns, party_of
from protocols.boosting.params import Params
from protocols.boosting.prepare import Owned
from protocols.boosting.sealed import (
    MaskedSums,
    Start,
    TreeRowOrder,
    Wins,
    candidate,
    first_of,
    in_order,
    kept_trees,
    layout_of,
    level_of,
    prepared_by,
    receive_start,
    shuffled_order,
)
from protocols.cipher import key_offer
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.kept import KeptRows
from protocols.parts import Part
from protocols.randomness import Seed
from protocols.recovery.checkpoint import Arrays
from protocols.row_blocks import send_vector
from protocols.session import Session

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]


@dataclass(eq=False)
class HostState:
    """The same at a host."""

    splits: HostSplits
    over: bool = False

    def save(self) -> Arrays:
        return self.splits.save() | {"over": np.array(self.over)}

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        self.splits.load(saved)
        self.over = bool(saved["over"])


def host(
    session: Session,
    binned: Bins,
    p: Params,
    held: Bits | None = None,
    before: HostSplits | None = None,
    *,
    weighted: bool = False,
) -> HostSplits:
    """binned: the host's n rows in the shared order; held (n,): rows that no tree is trained on; before: its part of
    the model that gets more rounds; weighted: whether the guest's rows have weights.

    Learns: its own wins.  Raises ConfigError, InvalidKey, ProtocolError.
    """
    layout_of(p, len(binned), session.scheme.bits, weighted)  # where it does not fit, nothing is sent
    outside = np.zeros(len(binned), dtype=np.bool_) if held is None else held
    columns, order, name = start_host(session, binned, outside)  # 0
    binned, outside = binned.ordered(order, session.keep), in_order(outside, order, session.keep)[:]
    del order
    key_offer.accept(session)
    keys = agree(session)
    scale = scales.receive(session, p, len(binned), weighted)
    layout = Layout(len(binned), p.max_depth, scale.slots, session.scheme.bits)
    start = Start(p, columns, outside, layout, scale, keys, first_of(p, 0 if before is None else before.trees))
    if before is not None:
        session.once(lambda: walk.host(session, keys, binned, before, p.max_depth), lambda _: {}, lambda _: 0)
    splits = HostSplits(name) if before is None else before.continued(name, len(before))  # even one that has no split
    splits.score_key = session.seed("score key").secret
    state = HostState(splits)
    for step in session.steps("train", start.steps, state, until=lambda: state.over):
        owned = prepared_by(session, start, step, binned, party_of(session))  # 1
        for number in step:
            host_round(session, start, splits, step, number, binned, owned)
            if p.early_stopping_rounds and number + 1 < p.n_estimators:
                state.over = not session.arbiter.recv(held_out.MoreRounds).more
                if state.over:
                    break
    return splits.first(kept_trees(session, start, splits.trees)) if p.early_stopping_rounds else splits


def start_host(session: Session, binned: Bins, held: Bits) -> tuple[list[int], KeptRows[np.int64], bytes]:
    """Step 0 at a host: how many columns each party has, the order of rows, the model's name."""
    guest_name = session.roles.guest
    session.guest.send(SplitColumns(binned.columns))
    seed = session.guest.recv(TreeRowOrder).seed
    check_lengths(guest_name, 32, seed, what="bytes of a seed")
    order = shuffled_order(Seed(guest_name, seed), len(binned), session.keep)
    columns, told = receive_start(session, len(binned), in_order(held, order, session.keep)[:])
    if columns[party_of(session)] != binned.columns:
        raise RemoteProtocolError(
            f"{guest_name} announced another number of columns than this party has", party=guest_name
        )
    return columns, order, told.model_id


def host_round(
    session: Session, start: Start, splits: HostSplits, step: range, number: int, binned: Bins, owned: Sequence[Owned]
) -> None:
    p, keys, classes, n = start.p, start.keys, start.p.num_class, len(binned)
    gradients.host(session, keys, start.scale, f"round {number}", classes * len(start.rows))  # 2
    candidates = binned.candidates(own_columns(p, number, start.columns, party_of(session)))
    for level in range(p.max_depth):
        places = 1 << level
        sums = LevelSums(start, owned, step, number, level)
        level_sums.host(session, start, level, sums)  # 4
        send_vector([session.arbiter], MaskedSums, sums.answers(session))  # 5
        wins = session.arbiter.recv(Wins)  # 6
        check_lengths(session.roles.arbiter, classes * places, wins.positions, what="nodes")
        won = list[int]()
        for node in np.flatnonzero(wins.positions >= 0):
            k, seat = divmod(int(node), places)
            c = candidate(session.roles.arbiter, owned[start.place(step, number, k)[0]], int(wins.positions[node]))
            won.append(splits.keep(candidates, c, (start.joint(number, k), level, seat)))
        helps = wins.helps if session.me == session.roles.hosts[0] else 0
        if not 0 <= helps <= classes * places - len(won):
            raise RemoteProtocolError(f"{session.roles.arbiter} asks for impossible help", party=session.roles.arbiter)
        left = partial(goes_left, splits, binned, won)
        product.host(session, keys, level_of(start, number, level), left, helps)  # 7
    for k in range(classes):
        leaves.host(session, keys, f"leaves {number} {k}", 1 << p.max_depth, n)  # 8
    splits.trees += classes
    if p.early_stopping_rounds:
        held_out.host(session, keys, start.scale, f"held out {number}", classes * int(start.held_out.sum()))  # 9


def goes_left(splits: HostSplits, binned: Bins, handles: Sequence[int], part: Part) -> Bits:
    """Which rows of a block go left at these splits, (splits, rows)."""
    left = [splits.goes_left(binned, part.rows, handle) for handle in handles]
    return np.array(left, dtype=np.bool_).reshape(len(handles), len(part))
