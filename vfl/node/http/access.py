"""Who may use the local face: users with roles, each known by a bearer token in a file or by a certificate.

A browser exchanges a token for a key that ends after `HOURS`, or with the node; the page keeps that key, not the token.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.serialization import Encoding

from protocols.errors import ConfigError
from protocols.randomness import run_seed
from vfl.job.node import Access, RoleName
from vfl.transport.identity import DamagedIdentity, load_certificate

SHORTEST = 32  # characters of a token
HOURS = 12
MOST_KEYS = 256


@dataclass(frozen=True)
class User:
    """Who was recognised, and what they may do."""

    name: str
    roles: tuple[RoleName, ...]
    digest: bytes = field(repr=False)


class Users:
    """All users of the face.  Keeps digests of tokens, and compares in a time that does not depend on them.  Raises
    ConfigError for a file that others can read, and for a token or certificate that is short, unreadable or shared."""

    def __init__(self, access: Mapping[str, Access]) -> None:
        self._users, self._certified, pems = list[User](), dict[bytes, User](), list[str]()
        for name, one in access.items():
            if one.certificate is None:
                self._users.append(User(name, one.roles, _digest(_token(name, one))))
                continue
            pem, digest = _certificate(name, one)
            if digest in self._certified:
                raise ConfigError(
                    "two users of node.http.access have the same certificate", remedy="Give each one of its own"
                )
            pems.append(pem)
            self._certified[digest] = User(name, one.roles, digest)
        if len({user.digest for user in self._users}) < len(self._users):
            raise ConfigError(
                "two users of node.http.access have the same token", remedy="Give each a token of its own"
            )
        self.certificates = "".join(pems)  # that the server's side of TLS accepts

    def find(self, token: str) -> User | None:
        """The user with this token."""
        digest, found = _digest(token), None
        for user in self._users:
            if hmac.compare_digest(user.digest, digest):
                found = user
        return found

    def certified(self, der: bytes) -> User | None:
        """The user with this certificate, whose key the caller has shown in the handshake."""
        return self._certified.get(hashlib.sha256(der).digest())


class Keys:
    """The keys of browsers that are signed in."""

    def __init__(self) -> None:
        self._open, self._lock = dict[bytes, tuple[User, float]](), threading.Lock()

    def open(self, user: User) -> tuple[str, float]:
        """A new key of this user, and when it ends (seconds since 1970)."""
        key, until = run_seed().hex(), time.time() + 3600 * HOURS
        with self._lock:
            while len(self._open) >= MOST_KEYS:
                del self._open[next(iter(self._open))]  # the oldest
            self._open[_digest(key)] = user, until
        return key, until

    def find(self, key: str) -> User | None:
        """The user with this key, by its digest: how long a look-up takes tells nothing about a key."""
        with self._lock:
            user, until = self._open.get(_digest(key), (None, 0.0))
        return user if time.time() < until else None

    def close(self, key: str) -> None:
        """Ends a key."""
        with self._lock:
            self._open.pop(_digest(key), None)


class Tickets:
    """Addresses of reports that a browser can open in a tab, where it can send no token: signed by this node, for one
    report, for at most an hour."""

    SECONDS = 1800

    def __init__(self) -> None:
        self._secret = run_seed()

    def query(self, run: str) -> str:
        """What makes the address of a run's report good; the same for half an hour."""
        until = (int(time.time()) // self.SECONDS + 2) * self.SECONDS
        return f"until={until}&ticket={self._ticket(run, until)}"

    def good(self, run: str, until: int, ticket: str) -> bool:
        return until > time.time() and hmac.compare_digest(ticket.encode(), self._ticket(run, until).encode())

    def _ticket(self, run: str, until: int) -> str:
        return hmac.digest(self._secret, f"report {until} {run}".encode(), hashlib.sha256).hex()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _certificate(name: str, one: Access) -> tuple[str, bytes]:
    """Of a user: in PEM, and its digest.  Raises ConfigError."""
    where = f"node.http.access.{name}.certificate: the file {one.certificate}"
    assert one.certificate is not None
    try:
        found = load_certificate(one.certificate.read_bytes(), where)
    except OSError as error:
        raise ConfigError(f"{where} cannot be read ({error.strerror})", remedy="Name the user's certificate") from None
    except DamagedIdentity:
        raise ConfigError(f"{where} holds no certificate", remedy="Name a certificate in PEM") from None
    return found.public_bytes(Encoding.PEM).decode(), hashlib.sha256(found.public_bytes(Encoding.DER)).digest()


def _token(name: str, one: Access) -> str:
    where = f"node.http.access.{name}.token: the file {one.token}"
    assert one.token is not None
    try:
        if os.name == "posix" and stat.S_IMODE(one.token.stat().st_mode) & 0o077:
            raise ConfigError(f"{where} can be read by other users", remedy=f"Run `chmod 600 {one.token}`")
        token = one.token.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        token = ""
    except OSError as error:
        raise ConfigError(
            f"{where} cannot be read ({error.strerror})", remedy=f"Make one: openssl rand -hex 32 > {one.token}"
        ) from None
    if len(token) < SHORTEST or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{where} holds no token of at least {SHORTEST} characters",
            remedy=f"Make one: openssl rand -hex 32 > {one.token}",
        )
    return token
