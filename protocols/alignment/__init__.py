"""Aligning customer ids: every party learns which of its own rows all parties hold, in an order that all share, and nothing of the other rows."""

from __future__ import annotations

from protocols.alignment import psi, psi_many
from protocols.alignment.psi import Alignment
from protocols.session import Session

__all__ = ["Alignment", "align", "serve"]


def align(session: Session, ids: list[bytes], min_intersection: int) -> Alignment:
    """Rows of `ids` (distinct, canonical bytes) that every data party holds, in the shared order.  Each data party runs this.

    One host: two-party ECDH-PSI, the arbiter sees nothing.  Several hosts: the arbiter compares blinded points (`serve`).
    Raises DataError at every party if the intersection is smaller than `min_intersection`: then only its size was learnt.
    """
    if len(session.roles.hosts) > 1:
        return psi_many.data_party(session, ids, min_intersection)
    role = psi.guest if session.me == session.roles.guest else psi.host
    return role(session, ids, min_intersection)


def serve(session: Session, min_intersection: int) -> None:
    """The arbiter's side: compares blinded points when there are several hosts; with one host there is nothing to do."""
    if len(session.roles.hosts) > 1:
        psi_many.comparer(session, min_intersection)
