"""One party makes the key, the others check it before they use it: for regressions the arbiter, for trees the guest.

     holder                                                 party P
 1   n = pq
                    PublicKeyOffer (n, proof)  -------->    exact size, no small factor, not prime, no perfect power; proven:
                                                            gcd(n, phi(n)) = 1 (Goldberg et al., ePrint 2018/057) and
                                                            two primes, both 3 modulo 4 (van de Graaf and Peralta 1987), and
                                                            gcd(p - 1, q - 1) = 2 (paillier/proof.rs of the core)

Who learns what: the other parties the public key.  Nobody but its maker ever holds the private one.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence

from protocols.channel import broadcast
from protocols.cipher import DecryptionKey, EncryptionKey
from protocols.errors import InvalidKey
from protocols.message import PUBLIC, Message
from protocols.session import Session


class PublicKeyOffer(Message, disclosure=PUBLIC, learns="the public key of this run", most_bytes=1 << 18):
    n: bytes  # big-endian
    proof: bytes


def offer(session: Session, key: DecryptionKey, receivers: Sequence[str] | None = None) -> None:
    """The holder's side: tells `receivers` (all data parties) the public key, with its proof."""
    n = key.public.raw.n
    session.keys.add(key.public)
    message = PublicKeyOffer(n.to_bytes((n.bit_length() + 7) // 8, "big"), key.prove())
    broadcast([session.channels[p] for p in receivers or session.roles.data_parties], message)


def accept(session: Session, holder: str | None = None) -> EncryptionKey:
    """The other side: the key of `holder` (the arbiter), checked.  Raises InvalidKey."""
    holder = holder or session.roles.arbiter
    message = session.channels[holder].recv(PublicKeyOffer)
    if len(message.n) > session.scheme.bits // 8 + 1:
        raise InvalidKey(f"{holder} sent a public key that is too large", party=holder)
    key = session.scheme.accept(int.from_bytes(message.n, "big"), message.proof, holder)
    return session.keys.add(key)
