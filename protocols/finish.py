"""The end of a run: nobody keeps a result before every party has one.

     each party                                             each of its peers
 1   (has written its own result, not yet for use)
                       Finished  ------------------------>
                                 <------------------------  Finished
 2   keeps its result

A party that cannot write its result (a full disk) stops before step 1, so that the others stop too: no model exists of which a part is missing.
(Two messages cannot do more than that: a party that dies between the steps leaves the others with theirs.)
Who learns what: that the sender is done.
"""

from __future__ import annotations

from protocols.channel import broadcast
from protocols.message import PUBLIC, Message
from protocols.session import Session


class Finished(Message, disclosure=PUBLIC, learns="that the sender has its part of the result"):
    done: bool


def confirm(session: Session) -> None:
    """Tells every peer that this party has its result, and waits until each has said so.  Every party runs this last."""
    channels = [session.channels[p] for p in session.roles.all if p in session.channels]
    broadcast(channels, Finished(True))  # 1
    for channel in channels:
        channel.recv(Finished)
