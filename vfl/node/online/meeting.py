"""A party in a meeting of all parties of a published model, and what an epoch is to a node, whatever its lists hold."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.glm.shares import Moved
from protocols.online.asking import Asked
from protocols.online.publishing import EpochStart, Meter
from protocols.session import Session
from vfl.models.part_files import add_shares, drop_shares
from vfl.models.shared_weights import SharedWeights
from vfl.run.scoring import Prepared

Says = Callable[..., None]
Serve = Callable[[Meter, Callable[[], None]], EpochStart | None]  # meter, settle: as of `asking.serve_host`


@dataclass(frozen=True)
class Lists:
    """At the guest.  left: how many queries the hosts still answer today; ask: from canonical ids (n,), None for one
    that cannot be read, and the guest's own columns (n, width) as integers; prepare: does work of queries to come while
    `short` says that there is some; end: receives what is still on its way to queries that will not come, before
    anything else is said."""

    name: bytes
    left: int
    ask: Callable[[Sequence[bytes | None], NDArray[np.int64]], Asked]
    prepare: Callable[[], None] = lambda: None
    short: Callable[[], bool] = lambda: False
    end: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Meeting:
    """A party in a meeting, and where it keeps its part."""

    session: Session
    ready: Prepared
    folder: Path | None
    says: Says

    @contextlib.contextmanager
    def shares(self, part: Any) -> Iterator[Callable[[Mapping[str, Moved]], None]]:
        """What stores shares that an epoch moves on; earlier ones are dropped when all parties have theirs."""
        names = _names(part)

        def keep(moved: Mapping[str, Moved]) -> None:
            if moved:
                assert self.folder is not None
                add_shares(self.folder, moved, self.ready.identity)

        yield keep
        if names:
            assert self.folder is not None
            drop_shares(self.folder, names, self.ready.identity)


def _names(part: Any) -> dict[str, frozenset[bytes]]:
    """Of the shares in a part, by whose weights they are of."""
    if part is None:
        return {}
    held = part.shares if isinstance(part, SharedWeights) else {part.party: part.shares}
    return {party: frozenset(one.names) for party, one in held.items() if one.names}
