"""Who may use the local face: a bearer token per user, each in a file of its own, with roles."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

from protocols.errors import ConfigError
from vfl.job.node import Access, RoleName

SHORTEST = 32  # characters of a token


@dataclass(frozen=True)
class User:
    """Who was recognised, and what they may do."""

    name: str
    roles: tuple[RoleName, ...]
    digest: bytes = field(repr=False)


class Users:
    """All users of the face.  Keeps digests of tokens, and compares in a time that does not depend on them.  Raises
    ConfigError for a file that others can read, or a token that is short or shared."""

    def __init__(self, access: Mapping[str, Access]) -> None:
        self._users = [User(name, one.roles, _digest(_token(name, one))) for name, one in access.items()]
        if len({user.digest for user in self._users}) < len(self._users):
            raise ConfigError(
                "two users of node.http.access have the same token", remedy="Give each a token of its own"
            )

    def find(self, token: str) -> User | None:
        """The user with this token."""
        digest, found = _digest(token), None
        for user in self._users:
            if hmac.compare_digest(user.digest, digest):
                found = user
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _token(name: str, one: Access) -> str:
    where = f"node.http.access.{name}.token: the file {one.token}"
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
