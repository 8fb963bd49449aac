"""Random sealed trees between a guest, hosts and an arbiter, whose epochs are published and asked in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import Binned, Binner, Categories
from protocols.boosting import scoring
from protocols.boosting.ensemble import Ensemble, HostSplits
from protocols.boosting.params import Params
from protocols.boosting.sealed_parts import NO_SPLIT, ArbiterTrees, GuestTrees, Shape
from protocols.cipher import Identity
from protocols.local import run_local
from protocols.online import asking, publishing, tree_epoch, tree_query
from protocols.online.tree_epoch import GuestTreeEpoch, ListedRows
from protocols.session import Roles, Session
from tests.harness import Recording, Sent
from tests.online import everything

MODEL, UNIT = b"t" * 16, 2.0**-40
Ints = NDArray[np.int64]
Asks = Callable[[Session, GuestTreeEpoch], Any]
CUTS, CODES = 6, 4


def binner() -> Binner:
    """Of two columns of numbers, the second with missing values, and one of texts."""
    cuts = np.arange(CUTS, dtype=np.float64)
    codes = np.arange(CODES)
    named = Categories(codes.astype(np.float64), codes, CODES - 1)
    return Binner((cuts, cuts, np.zeros(0)), (False, True, False), (None, None, named))


def rows_of(rng: np.random.Generator, rows: int) -> Binned:
    made = binner()
    bins = np.stack([rng.integers(0, CUTS + 1, rows), rng.integers(0, CUTS + 1, rows), rng.integers(0, CODES, rows)], 1)
    bins[rng.random(rows) < 0.1, 1] = made.width
    return Binned(made, bins.astype(np.int16))


@dataclass
class TreeWorld:
    """Hosts that know `rows` ids each, all but one of them common; trees of every shape, whose splits anybody owns."""

    hosts: int = 1
    rows: int = 30
    trees: int = 16
    depth: int = 3
    outputs: int = 1
    score_bits: int = 10
    seed: int = 0
    meter: publishing.Meter = everything
    binned: dict[str, Binned] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.roles = Roles("guest", tuple(f"h{k}" for k in range(self.hosts)), "arbiter")
        self.binned = {h: rows_of(rng, self.rows) for h in self.roles.hosts}
        self.ids = {
            h: [b"id %d" % i for i in range(1, self.rows)] + [b"only %d" % k] for k, h in enumerate(self.roles.hosts)
        }
        nodes = (1 << self.depth) - 1
        owner = rng.integers(NO_SPLIT, self.hosts + 1, (self.trees, nodes))
        order = np.concatenate(
            [rng.permuted(np.tile(np.arange(1 << level), (self.trees, 1)), axis=1) for level in range(self.depth)],
            axis=1,
        )
        shape = Shape(self.depth, owner, order)
        column = rng.integers(0, 3, owner.shape)
        cut = np.where(column == 2, rng.integers(0, CODES, owner.shape), rng.integers(0, CUTS, owner.shape))
        missing = rng.random(owner.shape) < 0.5
        classes = {"objective": "multi:softprob", "num_class": self.outputs} if self.outputs > 1 else {}
        rounds = max(1, self.trees // self.outputs)
        params = Params(n_estimators=rounds, max_depth=self.depth, score_bits=self.score_bits, **classes)
        own = Ensemble(params, MODEL, rng.normal(size=self.outputs), ())
        value = rng.integers(-(1 << 39), 1 << 39, (self.trees, nodes + 1))
        self.arbiter = ArbiterTrees(MODEL, self.outputs, self.score_bits, shape, value, rng.bytes(32))
        self.guest = GuestTrees(own, shape, column, cut, missing, UNIT, rng.bytes(32))
        self.splits = {h: HostSplits(MODEL, trees=self.trees) for h in self.roles.hosts}
        for number, splits in enumerate(self.splits.values(), 1):
            for tree, node in np.argwhere(owner == number).tolist():
                level = (node + 1).bit_length() - 1
                splits.feature.append(int(column[tree, node]))
                splits.cut.append(int(cut[tree, node]))
                splits.missing_left.append(bool(missing[tree, node]))
                splits.seat.append((tree, level, node + 1 - (1 << level)))

    def own(self, rows: int) -> Binned:
        """Columns of the guest's."""
        return rows_of(np.random.default_rng(self.seed + 1), rows)

    def batch(
        self, own: Binned, rows: Ints, names: Sequence[bytes], taps: Mapping[str, Sequence[Any]] | None = None
    ) -> NDArray[np.float64]:
        """What the protocol of `vfl predict` computes for these rows of the hosts."""
        programs: dict[str, Callable[[Session], Any]] = {
            "guest": lambda session: scoring.guest(session, own, self.guest, names),
            "arbiter": lambda session: scoring.arbiter(session, self.arbiter),
        }
        for host in self.roles.hosts:
            programs[host] = lambda session: scoring.host(
                session, self.binned[session.me].take(rows), self.splits[session.me], self.depth
            )
        found: NDArray[np.float64] = run_local(self.roles, programs, Identity(), taps=taps)["guest"]
        return found

    def run(
        self,
        asks: Asks,
        transcript: list[Sent] | None = None,
        taps: Mapping[str, Sequence[Any]] | None = None,
        **changed: Callable[[Session], Any],
    ) -> Any:
        """What `asks` returned at the guest; changed: another program of a party."""

        def guest(session: Session) -> Any:
            found = asks(session, tree_epoch.guest(session, self.guest))
            for channel in (*session.hosts, session.arbiter):
                channel.send(asking.OnlineEnd(True))
            return found

        def host(session: Session) -> Any:
            me = session.me
            start: publishing.EpochStart | None = session.guest.recv(publishing.EpochStart)
            while start is not None:
                listed = ListedRows(self.ids[me], self.binned[me], self.splits[me], self.depth)
                start = tree_query.serve_host(session, tree_epoch.host(session, start, listed), self.meter)

        def arbiter(session: Session) -> Any:
            start: publishing.EpochStart | None = session.guest.recv(publishing.EpochStart)
            while start is not None:
                begun = tree_epoch.arbiter(session, start, self.arbiter)
                start = tree_query.serve_arbiter(session, begun, self.arbiter)

        programs = {"guest": guest, "arbiter": arbiter} | dict.fromkeys(self.roles.hosts, host) | changed
        recording = {} if transcript is None else {p: [Recording(p, transcript)] for p in self.roles.all}
        return run_local(self.roles, programs, Identity(), taps=taps or recording, deadline=3600)["guest"]
