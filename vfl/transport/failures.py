"""Why two parties do not meet, in words, and what to do about it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocols.errors import HandshakeFailed, PeerAbsent, PeerUnreachable, VFLError
from vfl.transport.hello import Reason
from vfl.transport.peers import Peer
from vfl.transport.tls import NOT_OPEN, certificate_refused, explain, out_of_date


@dataclass(frozen=True)
class Seen:
    """What a party saw while it waited.

    troubles: by peer, why the last attempt failed; unpinned: addresses of callers whose certificate is not pinned;
    strangers: how many other callers there were.
    """

    troubles: Mapping[str, str]
    unpinned: Sequence[str]
    strangers: int


def absent(missing: Sequence[Peer], timeout: float, seen: Seen) -> VFLError:
    """The error of a party that has not met these peers in time."""
    peer, seconds = missing[0], f"{timeout:g} s"
    name, trouble = peer.name, seen.troubles.get(peer.name)
    others = f" ({' and '.join(p.name for p in missing[1:])} did not come either)" if missing[1:] else ""
    ended = f"; if {name} has ended already, its own message says why"
    if peer.dialled:
        what = f"{name} was not reached at {peer.address} in {seconds}: {trouble or 'no answer'}{others}"
        remedy = f"Start {name}, and check its address, its `listen` and the firewall{ended}"
        if trouble == NOT_OPEN:
            remedy = (
                f"Ask {name} to approve the job (vfl node status shows it there), and compare what vfl job digest "
                f"prints at both parties{ended}"
            )
        return PeerUnreachable(what, remedy=remedy, party=name)
    if seen.unpinned:
        stranger = f"a peer at {seen.unpinned[-1]} presented a certificate that is not pinned"
        remedy = f"If that was {name}: compare the fingerprint by phone and pin the certificate that it uses now"
        return HandshakeFailed(
            f"{name} did not come in {seconds}, but {stranger}{others}",
            remedy=remedy,
            party=name,
            about=Reason.CERTIFICATE.value,
        )
    if trouble:
        new = "if it has a new identity, compare the fingerprint by phone and pin the certificate that it uses now"
        return PeerAbsent(
            f"{name} {trouble}{others}", remedy=f"Ask {name} for the message shown there; {new}", party=name
        )
    remedy = (
        f"Start {name}, and check the address that it dials and the firewall{ended}; {seen.strangers} other callers "
        f"were rejected"
    )
    return PeerAbsent(f"{name} did not call this party in {seconds}{others}", remedy=remedy, party=name)


def own_address(peer: str, where: str) -> HandshakeFailed:
    """The error of a party whose address of the peer leads to itself."""
    return HandshakeFailed(
        f"{where} is this party's own address, not that of {peer}",
        remedy=f"Correct the address in [peers.{peer}] of the party file, and pin no other certificate",
        party=peer,
        about=Reason.NAME.value,
    )


def broken_handshake(error: ssl.SSLError, me: str, peer: str | None, where: str, *, dialled: bool) -> HandshakeFailed:
    """The error of a TLS handshake that failed; peer: who is at the other end, as far as is known; dialled: whether
    this party called."""
    place = f"{peer}: {explain(error)} ({where})" if peer else f"a peer at {where}: {explain(error)}"
    unpinned = certificate_refused(error) and not out_of_date(error)
    return HandshakeFailed(
        f"No connection with {place}",
        remedy=_remedy(error, me, peer or "that party", dialled=dialled),
        party=peer,
        about=Reason.CERTIFICATE.value if unpinned else None,
    )


def _remedy(error: ssl.SSLError, me: str, other: str, *, dialled: bool) -> str:
    refused = certificate_refused(error)
    if out_of_date(error):
        new = f"ask {other} for a new certificate and pin it"
        return f"Compare the clocks of both machines; if they are right, {new}"
    if refused == "them":
        leads = f"Check that this address leads to {other}; then pin" if dialled else "Pin"
        return f"{leads} the certificate that {other} uses now; compare the fingerprint by phone first"
    if refused == "us":
        pins = f"Let {other} pin the certificate that {me} uses now"
        return f"{pins}, compare the fingerprint by phone, and compare the clocks"
    return "Check the address and that no device between the parties opens TLS or answers it"
