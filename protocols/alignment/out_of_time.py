"""The out-of-time part of the common rows: the guest knows their dates, and tells the hosts which rows are not used for
training.

Adversary: honest but curious.  A guest that names other rows than its dates say chooses which rows a model is fitted
on, as it can by its choice of a table;
the least intersection holds for the rows that are left.

     guest (dates)                                               host P
 1   rows on or after the job's cut-off
                     LaterRows  ----------------------------->   leaves these rows out of whatever it fits

Who learns what: a host, of every common row, one bit; no date.  It must know its training rows, because it cuts bins,
fills gaps and standardises on them alone;
for rows that the shared draw holds out anyway it could be spared the bit, and could then not say how its own columns
have moved between the parts.
Cost: one bit per row and host.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.alignment.lists import marked, marks
from protocols.channel import broadcast
from protocols.message import REVEALED, Message
from protocols.session import Session

Rows = NDArray[np.bool_]


class LaterRows(
    Message,
    disclosure=REVEALED,
    permit="out-of-time-rows-to-hosts",
    learns="which of the common rows are out of time, that is on or after the job's cut-off date, but no date",
):
    rows: bytes  # bitmap over the common rows, in the shared order


def guest(session: Session, later: Rows) -> None:
    """Tells all hosts; later (n,): the common rows on or after the cut-off."""
    broadcast(session.hosts, LaterRows(marked(np.flatnonzero(later), len(later))))


def host(session: Session, rows: int) -> Rows:
    """(rows,) which of the common rows are out of time.  Raises RemoteProtocolError for a bitmap of another length."""
    later = np.zeros(rows, np.bool_)
    later[marks(session.roles.guest, session.guest.recv(LaterRows).rows, rows)] = True
    return later
