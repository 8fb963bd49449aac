"""The end of a run: nobody keeps a result before every party has one, and nobody leaves before all keep theirs.

     each party                                             each of its peers
 1   (its own result is on its disk, not yet for use)
                       Finished  ------------------------>
                                 <------------------------  Finished
 2   keeps its result
                       Kept      ------------------------>
                                 <------------------------  Kept
 3   leaves

A party that cannot write its result (a full disk) stops before step 1, so that the others stop too: no model exists of which a part is missing.
A party that has passed step 2 knows that every result is on a disk: if it dies, it needs nobody to end the run.  A party that died before step 2 finds the
others still waiting for its Kept when it comes back; they wait as long as their party files say (vfl/attempts.py).
Who learns what: that the sender is done.
"""

from __future__ import annotations

from collections.abc import Callable

from protocols.channel import broadcast
from protocols.message import PUBLIC, Message
from protocols.session import Session


class Finished(Message, disclosure=PUBLIC, learns="that the sender has its part of the result"):
    done: bool


class Kept(Message, disclosure=PUBLIC, learns="that the sender keeps its part of the result, as every party has one"):
    done: bool


def confirm(session: Session, keep: Callable[[], None]) -> None:
    """Tells every peer that this party has its result, keeps it when all have, and leaves when all keep theirs.  Every party runs this last."""
    channels = [session.channels[p] for p in session.roles.all if p in session.channels]
    broadcast(channels, Finished(True))  # 1
    for channel in channels:
        channel.recv(Finished)
    keep()  # 2
    broadcast(channels, Kept(True))
    for channel in channels:
        channel.recv(Kept)  # 3
