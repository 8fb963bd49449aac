"""Who takes part, by which certificate and at which address; checked before anything is sent."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding

from protocols.errors import ConfigError, ListenFailed
from vfl.transport.identity import check_name, check_validity, load_certificate


@dataclass(frozen=True)
class PeerAddress:
    """One other party: its role, its pinned certificates (several while it renews them), and "host:port" if this party
    dials it (None if it dials this one)."""

    name: str
    role: str
    certificates: tuple[bytes, ...]  # PEM
    address: str | None


class Peer:
    """A `PeerAddress`, checked and parsed."""

    def __init__(self, given: PeerAddress) -> None:
        self.name, self.role = check_name(given.name), given.role
        self.pins = _valid(given)  # DER of each certificate that is valid today -> PEM
        self.dialled = None if given.address is None else parse_address(given.address)

    @property
    def address(self) -> str:
        """Where it is, for people."""
        return "nowhere" if self.dialled is None else show_address(self.dialled)


def _valid(given: PeerAddress) -> dict[bytes, bytes]:
    """Those that are valid today.  Raises ConfigError if there is none, or one cannot be read."""
    what = f"The certificate of {given.name}"
    remedy = f"Ask {given.name} for a new one (vfl renew) and pin it (vfl trust --replace)"
    found, ended = dict[bytes, bytes](), list[ConfigError]()
    for pem in given.certificates:
        certificate = load_certificate(pem, what)
        try:
            check_validity(certificate, what, remedy)
        except ConfigError as error:
            ended.append(error)
            continue
        found[certificate.public_bytes(Encoding.DER)] = pem
    if not found:
        raise ended[-1]
    return found


def parse_address(text: str) -> tuple[str, int]:
    """("10.0.0.3", 7443) of "10.0.0.3:7443" or "[::1]:7443"; raises ConfigError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(
            f"'{text}' is not an address", remedy='Write it as "name-or-number:port", such as "10.0.0.3:7443"'
        )
    return host, int(port)


def show_address(address: object) -> str:
    """A socket address as text."""
    match address:
        case (str(host), int(port), *_):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return "an unknown address"


def check_peers(me: str, own_der: bytes, peers: Sequence[Peer], listens: bool) -> None:
    """Raises ConfigError unless names and certificates are distinct and every peer can be met."""
    names, pins = [me, *(p.name for p in peers)], [own_der, *(der for p in peers for der in p.pins)]
    if not peers:
        raise ConfigError("A run needs at least one other party")
    if len(set(names)) < len(names):
        raise ConfigError("Two parties have the same name", remedy="Give every party of the job its own name")
    owners = [me, *(p.name for p in peers for _ in p.pins)]
    if same := next((k for k, pin in enumerate(pins) if pin in pins[:k]), None):
        two = f"{owners[pins.index(pins[same])]} and {owners[same]}"
        raise ConfigError(
            f"{two} have the same certificate: it is pinned for two parties",
            remedy="Pin for each party the certificate that it made",
        )
    waiting = [p.name for p in peers if p.dialled is None]
    if waiting and not listens:
        raise ConfigError(
            f"{waiting[0]} can only be met if it dials this party, which does not listen",
            remedy=f"Set `listen`, or give an address for {waiting[0]}",
        )


def open_listener(listen: str) -> socket.socket:
    """A socket that listens at `listen`; raises ConfigError and ListenFailed."""
    host, port = parse_address(listen)
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise _listen_failed(listen, error) from None
    with contextlib.ExitStack() as undo:
        undo.callback(listener.close)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)  # so that a crowd that came earlier makes no party wait for TCP to try again
            listener.setblocking(False)
        except OSError as error:
            raise _listen_failed(listen, error) from None
        undo.pop_all()
    return listener


def _listen_failed(listen: str, error: OSError) -> ListenFailed:
    return ListenFailed(
        f"This party cannot listen at {listen} ({error.strerror})",
        remedy="End the other program that uses the port, or set `listen` to an address of this machine and a "
        "free port",
    )
