"""Checks of what a federation in one process is given: the size of the key, and the names of its hosts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from protocols.cipher import Paillier
from protocols.errors import ConfigError
from vfl.schema.section import Complaint
from vfl.schema.spec import FULL_KEY_BITS, check_key_bits
from vfl.transport.identity import PARTY_NAME


def paillier(key_bits: int) -> Paillier:
    """The scheme for a key size; raises ConfigError below 2048 bits, warns below 3072."""
    try:
        check_key_bits(key_bits)
    except Complaint as complaint:
        raise ConfigError(f"key_bits {complaint.what}", remedy=complaint.remedy) from None
    if key_bits < FULL_KEY_BITS:
        warnings.warn(
            f"a {key_bits}-bit key gives 112-bit security; {FULL_KEY_BITS} is the default", UserWarning, stacklevel=3
        )
    return Paillier(key_bits)


def check_hosts(hosts: object) -> None:
    """Raises ConfigError unless it is a mapping by names that hosts of a local federation can have: those that a job
    file allows."""
    if not isinstance(hosts, Mapping) or not hosts:
        given = "empty" if isinstance(hosts, Mapping) else f"a {type(hosts).__name__}"
        raise ConfigError(f"hosts is {given}: it holds a table by name of each host", remedy='Pass {"name": frame}')
    for name in hosts:
        if name in ("guest", "arbiter"):
            raise ConfigError(f"no host can be called {name}", remedy="Choose another name")
        if not isinstance(name, str) or not PARTY_NAME.fullmatch(name):
            remedy = "Use 1 to 32 lower-case letters, digits and hyphens, not starting with a hyphen, as job files do"
            raise ConfigError(f"{name!r} is not the name of a party", remedy=remedy)
