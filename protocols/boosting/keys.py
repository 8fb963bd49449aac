"""Keys that two parties of a sealed training or scoring share: both draw the same pads from them, without a message.

     guest                        arbiter                        host P
                     PairKey  <---------   ---------> PairKey
     PairKey  ------------------------------------------------->

Who learns what: nothing.  A new key is drawn from the run's own seed for each training and each scoring, bound to all
messages before it; each number of a key is used once: its label names tree, level and quantity.  A party that resumes
draws the same key and sends the same messages; what was sent already cannot be sent with another content
(protocols/recovery/checkpoint.py, the ledger).  A run that starts afresh has other keys.  One that resumes from a
folder that was put back from a copy has the same, and a ledger without its last lines: then a partner that deviates can
have a second value under a pad (tests/promises/attacks/trees/test_repeated_levels.py, the control).
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.codec import check_lengths
from protocols.message import BLINDED, Message
from protocols.randomness import Seed
from protocols.session import Session


class PairKey(Message, disclosure=BLINDED, learns="nothing: a random key that sender and receiver share"):
    key: bytes  # (32,)


@dataclass(frozen=True)
class PairKeys:
    """By the name of the other party."""

    keys: dict[str, Seed]

    def with_(self, party: str, label: str) -> Seed:
        """The numbers that this party and `party` draw for `label`; each label once."""
        return self.keys[party].child(label)


def agree(session: Session) -> PairKeys:
    """Every party of a sealed training or scoring runs this.  Hosts share keys with guest and arbiter, not with each
    other."""
    me, roles = session.me, session.roles
    receivers = {roles.arbiter: [roles.guest, *roles.hosts], roles.guest: list(roles.hosts)}.get(me, [])
    makers = {roles.arbiter: [], roles.guest: [roles.arbiter]}.get(me, [roles.arbiter, roles.guest])
    keys = {}
    for party in receivers:
        keys[party] = session.seed(f"pair key {party}")
        session.channels[party].send(PairKey(keys[party].secret))
    for party in makers:
        key = session.channels[party].recv(PairKey).key
        check_lengths(party, 32, key, what="bytes of a key")
        keys[party] = Seed(party, key)
    return PairKeys(keys)
