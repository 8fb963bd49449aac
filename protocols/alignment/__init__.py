"""Aligning customer ids: every party learns which of its own rows all parties hold, in an order that all share, and
nothing of the other rows."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.alignment import ecdh as psi
from protocols.alignment import ring, ring_arbiter
from protocols.alignment.away import IdsAway
from protocols.alignment.lists import MemorySpool, Scratch, Spool
from protocols.alignment.outcome import Alignment, Request
from protocols.alignment.size_noise import SizeNoise, padded, settled
from protocols.errors import ConfigError
from protocols.ids import Ids
from protocols.session import Session

__all__ = ["Alignment", "Ids", "IdsAway", "MemorySpool", "Scratch", "SizeNoise", "Spool", "align", "serve"]


def align(
    session: Session,
    ids: Sequence[bytes] | tuple[Ids | IdsAway, ...],
    min_intersection: int,
    *,
    size_only: bool = False,
    scratch: Scratch = MemorySpool,
    or_none: bool = False,
    noise: SizeNoise | None = None,
) -> Alignment:
    """This party's rows that every data party holds, in the shared order.  Each data party runs this.

    ids: canonical and distinct; or, for keys that are tried in order, a tuple of the ids under each, empty where a row
    has none, and at this party's workers if they have read them.  size_only: only how many rows each key matches is
    opened.  scratch: creates storage for 16 bytes per row of each data party.  or_none: whether an intersection without
    a row is accepted too, as for rows to be scored.  noise: on the size, where that alone is opened.
    One host: two-party ECDH-PSI, the arbiter sees nothing.  Several hosts: the arbiter compares blinded points
    (`serve`).
    Raises DataError at every party if the intersection is smaller than `min_intersection`: then only its size was
    learnt.
    """
    keys: tuple[Ids | IdsAway, ...] = ids if isinstance(ids, tuple) else (Ids.of(ids),)
    ask = Request(min_intersection, size_only, scratch, or_none)
    two_party = psi.guest if session.me == session.roles.guest else psi.host
    role = ring.data_party if len(session.roles.hosts) > 1 else two_party
    if noise is None:
        return role(session, keys, ask)
    if not size_only:
        raise ConfigError(
            "noise on the size of an intersection does not go with the rows, which tell the size",
            remedy="Ask for the size alone, or leave out the noise",
        )
    return settled(role(session, padded(session, keys, noise), ask), noise)


def serve(
    session: Session,
    min_intersection: int,
    *,
    keys: int = 1,
    size_only: bool = False,
    scratch: Scratch = MemorySpool,
    or_none: bool = False,
) -> None:
    """The arbiter's side: compares blinded points when there are several hosts; with one host there is nothing to do.
    keys: how many are tried."""
    if len(session.roles.hosts) > 1:
        ring_arbiter.comparer(session, keys, Request(min_intersection, size_only, scratch, or_none))
    else:
        for _ in range(psi.STAGES * keys):
            session.absent()
