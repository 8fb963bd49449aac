"""Aligning customer ids: every party learns which of its own rows all parties hold, in an order that all share, and
nothing of the other rows."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.alignment import ecdh as psi
from protocols.alignment import ring, ring_arbiter
from protocols.alignment.away import IdsAway
from protocols.alignment.lists import MemorySpool, Scratch, Spool
from protocols.alignment.outcome import Alignment, Request
from protocols.ids import Ids
from protocols.session import Session

__all__ = ["Alignment", "Ids", "IdsAway", "MemorySpool", "Scratch", "Spool", "align", "serve"]


def align(
    session: Session,
    ids: Sequence[bytes] | tuple[Ids | IdsAway, ...],
    min_intersection: int,
    *,
    size_only: bool = False,
    scratch: Scratch = MemorySpool,
    or_none: bool = False,
) -> Alignment:
    """This party's rows that every data party holds, in the shared order.  Each data party runs this.

    ids: canonical and distinct; or, for keys that are tried in order, a tuple of the ids under each, empty where a row
    has none, and at this party's workers if they have read them.  size_only: only how many rows each key matches is
    opened.  scratch: creates storage for 16 bytes per row of each data party.  or_none: whether an intersection without
    a row is accepted too, as for rows to be scored.
    One host: two-party ECDH-PSI, the arbiter sees nothing.  Several hosts: the arbiter compares blinded points
    (`serve`).
    Raises DataError at every party if the intersection is smaller than `min_intersection`: then only its size was
    learnt.
    """
    keys: tuple[Ids | IdsAway, ...] = ids if isinstance(ids, tuple) else (Ids.of(ids),)
    ask = Request(min_intersection, size_only, scratch, or_none)
    two_party = psi.guest if session.me == session.roles.guest else psi.host
    role = ring.data_party if len(session.roles.hosts) > 1 else two_party
    return role(session, keys, ask)


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
