"""The arbiter makes the key; every data party checks it before it uses it.

     arbiter                                                data party P
 1   n = pq
                    PublicKeyOffer (n, proof)  -------->    exact size, no small factor, not prime, no perfect power,
                                                            gcd(n, phi(n)) = 1 proven (Goldberg et al., ePrint 2018/057)

Who learns what: the data parties the public key.  Nobody but the arbiter ever holds the private one.
"""

from __future__ import annotations

from protocols.channel import broadcast
from protocols.cipher import DecryptionKey, EncryptionKey
from protocols.errors import InvalidKey
from protocols.message import PUBLIC, Message
from protocols.session import Session


class PublicKeyOffer(Message, disclosure=PUBLIC, learns="the public key of this run"):
    n: bytes  # big-endian
    proof: bytes


def offer(session: Session, key: DecryptionKey) -> None:
    """The arbiter's side: tells every data party the public key, with its proof."""
    n = key.public.raw.n
    session.keys.add(key.public)
    message = PublicKeyOffer(n.to_bytes((n.bit_length() + 7) // 8, "big"), key.prove())
    broadcast([session.channels[p] for p in session.roles.data_parties], message)


def accept(session: Session) -> EncryptionKey:
    """A data party's side: the arbiter's key, checked.  Raises InvalidKey."""
    message = session.arbiter.recv(PublicKeyOffer)
    if len(message.n) > session.scheme.bits // 8 + 1:
        raise InvalidKey(f"{session.roles.arbiter} sent a public key that is too large", party=session.roles.arbiter)
    key = session.scheme.accept(int.from_bytes(message.n, "big"), message.proof, session.roles.arbiter)
    return session.keys.add(key)
