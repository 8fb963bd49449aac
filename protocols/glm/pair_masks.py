"""Masks between hosts that cancel in the hosts' sum, so that nobody who holds one host's number alone can read it.

Source: the pairwise masks of Bonawitz et al. (CCS 2017), without drop-outs: a run needs every host.  Keyed by X25519
between the hosts, relayed by the guest.
Adversary: honest but curious (a guest that replaces the relayed keys could unmask a single host: docs/threat-model.md).

     host P                                                     guest
 1   (two or more hosts)  MaskKey  -------------------------->
                                   <--------------------------  MaskKeys, of all hosts
 2   each pair of hosts derives a seed; the first of the two by name adds what it expands to, the other subtracts it

Who learns what: one-time public keys.  With a single host there is no mask and no message.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.message import PUBLIC, Message
from protocols.parts import Part
from protocols.randomness import Seed
from protocols.session import Session


class MaskKey(Message, disclosure=PUBLIC, learns="a one-time public key of the sender", most_bytes=64):
    public: bytes  # (32,) X25519


class MaskKeys(Message, disclosure=PUBLIC, learns="the one-time public keys of all hosts", most_bytes=1 << 16):
    publics: bytes  # (hosts, 32) in the job's order


@dataclass(frozen=True)
class PairMasks:
    """A host's seeds with each other host, and whether it adds or subtracts what they expand to."""

    seeds: tuple[tuple[Seed, int], ...] = field(repr=False)

    def words(self, rows: int) -> NDArray[np.uint64]:
        """(rows,) words whose sum over all hosts is 0 mod 2^64; the same at every call."""
        total = np.zeros(rows, dtype=np.uint64)
        for seed, sign in self.seeds:
            total = total + seed.words(rows) if sign > 0 else total - seed.words(rows)
        return total

    def integers(self, use: int, part: Part, bits: int) -> PlainVec:
        """(rows of the block,) integers whose sum over all hosts is 0, each uniform in `bits` bits to who lacks one of
        the seeds; other ones for every `use` and block."""
        total = PlainVec.zeros(len(part))
        for seed, sign in self.seeds:
            mask = Seed(seed.maker, derived(seed.secret, part.label(f"use {use}").encode())).integers(len(part), bits)
            total = total + mask if sign > 0 else total - mask
        return total

    def apart(self, purpose: str) -> PairMasks:
        """Masks of another kind, from the same keys."""
        return PairMasks(
            tuple((Seed(seed.maker, derived(seed.secret, purpose.encode())), sign) for seed, sign in self.seeds)
        )


def relay(session: Session) -> None:
    """The guest's side: hands every host the keys of all, if there are several."""
    if len(session.hosts) > 1:
        publics = b"".join(channel.recv(MaskKey).public for channel in session.hosts)  # 1
        broadcast(session.hosts, MaskKeys(publics))


def agree(session: Session, purpose: str) -> PairMasks:
    """A host's side; purpose: separates masks of one kind from others."""
    hosts = session.roles.hosts
    if len(hosts) == 1:
        return PairMasks(())
    secret = X25519PrivateKey.from_private_bytes(session.seed(f"{purpose} mask").secret)
    own = secret.public_key().public_bytes_raw()
    session.guest.send(MaskKey(own))  # 1
    publics = session.guest.recv(MaskKeys).publics
    check_lengths(session.roles.guest, 32 * len(hosts), publics, what="bytes of keys")
    keys = dict(zip(hosts, (publics[i : i + 32] for i in range(0, len(publics), 32)), strict=True))
    if keys[session.me] != own or len(set(keys.values())) < len(hosts):
        raise RemoteProtocolError(
            f"{session.roles.guest} relayed other keys than the hosts sent", party=session.roles.guest
        )
    others = [h for h in hosts if h != session.me]
    return PairMasks(
        tuple(
            (pair_seed(secret, keys, session.me, other, purpose), 1 if session.me < other else -1) for other in others
        )
    )  # 2


def pair_seed(secret: X25519PrivateKey, keys: dict[str, bytes], me: str, other: str, purpose: str) -> Seed:
    first, second = sorted((me, other))
    try:
        shared = secret.exchange(X25519PublicKey.from_public_bytes(keys[other]))
    except ValueError:
        raise RemoteProtocolError(f"the key relayed for {other} is not valid", party=other) from None
    return Seed(me, derived(shared, f"{purpose}|{first}|{second}|".encode() + keys[first] + keys[second]))


def derived(secret: bytes, context: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"vfl pair mask v1|" + context).derive(secret)
