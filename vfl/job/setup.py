"""A party's folder: what `vfl init` and `vfl trust` write."""

from __future__ import annotations

import contextlib
import itertools
import tomllib
from pathlib import Path
from typing import Any, Literal, NamedTuple

from protocols.errors import ConfigError
from vfl.job import Party, job_from, load_party, starter_job, starter_party, with_peer, with_pins
from vfl.job.members_job import MembersJob
from vfl.job.starter import AVERAGING, starter_members_job
from vfl.models.plan import Role
from vfl.schema.section import build
from vfl.storage.files import write_private
from vfl.transport.identity import (
    Identity,
    check_name,
    check_validity,
    common_name,
    create_identity,
    fingerprint,
    load_certificate,
    new_passphrase,
)


def init_party(folder: Path, role: Role, name: str, *, encrypt: bool = False, **settings: Any) -> Identity:
    """Makes `folder` with identity/, peers/ and party.toml (`settings` as `vfl.job.starter_party`).  Raises ConfigError
    where one exists.

    encrypt: the key's file, with a passphrase from the environment or the terminal
    (`vfl.transport.identity.new_passphrase`).
    A new folder has mode 0700, identity/ too, and party.toml 0600 whatever the umask says: an address of a database can
    hold a password.
    """
    party_file = folder / "party.toml"
    if party_file.exists():
        raise ConfigError(
            f"{party_file} exists already", remedy="Choose another folder; an identity is never overwritten"
        )
    text = starter_party(role, name, **settings)
    passphrase = new_passphrase() if encrypt else None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "peers").mkdir(exist_ok=True)
        identity = create_identity(folder / "identity", name, passphrase=passphrase)
        write_private(party_file, text.encode())
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written ({error.strerror})", remedy="Choose a folder that you may write to"
        ) from None
    return identity


Pins = Literal["first", "add", "replace"]


class Trusted(NamedTuple):
    """A peer's name, the fingerprint of its certificate, how many certificates are pinned for it, and whether this one
    was already, so that nothing has changed."""

    peer: str
    fingerprint: str
    pinned: int
    already: bool = False


def trust_peer(folder: Path, certificate: Path, address: str | None = None, pins: Pins = "first") -> Trusted:
    """Copies a peer's certificate to peers/ and pins it in party.toml.

    pins: "first" makes the peer's section, unless there is one with this certificate and address; "add" pins the
    certificate besides those that the section has, and "replace" in their place, also if it is one of them; their files
    stay.  Raises ConfigError, and leaves everything as it was, if the party file would not be right with it.
    """
    party_file = folder / "party.toml"
    try:
        pem, text = certificate.read_bytes(), party_file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{error.filename} cannot be read ({error.strerror})",
            remedy="Check the path; vfl init makes a party's folder",
        ) from None
    found = load_certificate(pem, str(certificate))
    name, party = check_name(common_name(found)), load_party(party_file)
    if name == party.name:
        raise ConfigError(
            f"{certificate} is the certificate of {name}, and this folder is {name}'s own",
            remedy="Give a certificate that a partner handed over; its own is the file that this party gives to others",
        )
    check_validity(found, f"{certificate}, the certificate of {name},", f"Ask {name} for a new one: vfl renew makes it")
    pinned = folder / "peers" / f"{name}.pem"
    if pins == "first" and _is_pinned(party, name, pem, address):
        return Trusted(name, fingerprint(pem), len(party.peers[name].certificate), already=True)
    if pins == "first":
        changed, files = with_peer(text, name, f"peers/{name}.pem", address), 1
    else:
        pinned, now = _beside(folder, party, name, pem, address, pins)
        changed, files = with_pins(text, name, now), len(now)
    before = pinned.read_bytes() if pinned.exists() else None
    try:
        pinned.parent.mkdir(exist_ok=True)
        if before != pem:
            pinned.write_bytes(pem)
        party_file.write_text(changed, encoding="utf-8")
        load_party(party_file)
    except (OSError, ConfigError) as error:
        undo(party_file, text.encode(), pinned, before)
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"{error.filename} cannot be written ({error.strerror})", remedy="Choose a folder that you may write to"
        ) from None
    return Trusted(name, fingerprint(pem), files)


def _is_pinned(party: Party, name: str, pem: bytes, address: str | None) -> bool:
    """Whether a party accepts this certificate of a peer, and has the address that is given with it."""
    known = party.peers.get(name)
    return known is not None and pem in known.certificates() and address in (None, known.address)


def _beside(
    folder: Path, party: Party, name: str, pem: bytes, address: str | None, pins: Pins
) -> tuple[Path, list[str]]:
    """Where a further certificate of a peer goes, and its pins from now on as the party file names them."""
    if name not in party.peers:
        raise ConfigError(f"{name} is not pinned yet", remedy="Leave --add and --replace out")
    if address is not None:
        raise ConfigError(
            "--address goes with a new peer", remedy=f"Change the address in [peers.{name}] of the party file"
        )
    files, own = party.peers[name].certificate, folder.resolve()
    known = [str(f.relative_to(own)) if f.is_relative_to(own) else str(f) for f in files]
    if pem in (held := party.peers[name].certificates()):
        if pins == "add" or len(files) == 1:
            raise ConfigError(f"this certificate of {name} is pinned already", remedy="Ask for the new one")
        return files[held.index(pem)], [known[held.index(pem)]]
    numbers = itertools.chain([""], (f"-{k}" for k in itertools.count(2)))
    new = next(path for k in numbers if not (path := folder / "peers" / f"{name}{k}.pem").exists())
    return new, [*(known if pins == "add" else []), f"peers/{new.name}"]


def new_job(path: Path, kind: str, **settings: Any) -> None:
    """Writes a job file to start from (`settings` as `vfl.job.starter_job`, of averaging as
    `vfl.job.starter.starter_members_job`).  Raises ConfigError, also where there is one."""
    if path.exists():
        raise ConfigError(
            f"{path} exists already", remedy="Choose another name; a job that parties agreed on is never overwritten"
        )
    if kind == AVERAGING:
        text = starter_members_job(**settings)
        build(MembersJob, tomllib.loads(text), str(path))
    else:
        text = starter_job(kind=kind, **settings)
        job_from(tomllib.loads(text), str(path))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({error.strerror})", remedy="Choose a folder that you may write to"
        ) from None


def undo(party_file: Path, text: bytes, pinned: Path, pem: bytes | None) -> None:
    """Puts both files back, as far as they can be written."""
    with contextlib.suppress(OSError):
        party_file.write_bytes(text)
        if pem is None:
            pinned.unlink(missing_ok=True)
        else:
            pinned.write_bytes(pem)
