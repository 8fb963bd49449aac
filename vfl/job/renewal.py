"""A party's own certificate, renewed: of the same key, or of a new one when others may know the key."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path

from protocols.errors import ConfigError
from vfl.job.party import Party, load_party
from vfl.models.part_files import reseal_all
from vfl.storage.files import write_private
from vfl.transport.identity import Identity, create_identity, new_certificate

NEW = "new"  # of a new key, until every part is sealed by it


def renew_identity(folder: Path, *, new_key: bool, passphrase: Callable[[], bytes | None]) -> tuple[Identity, Path]:
    """Returns the new identity, and the folder that keeps the former files: ledgers of that time are checked with them.

    new_key: also makes a new key, and seals with it what this party keeps as an arbiter; passphrase: of its file.
    Raises ConfigError, ModelError; given again, it continues where it was interrupted.
    """
    party = load_party(folder / "party.toml")
    own = party.identity
    kept = own.certificate.parent / f"until-{datetime.date.today():%Y%m%d}"
    if kept.exists():
        raise ConfigError(f"{kept} exists already", remedy="It was renewed today; move that folder away to do so again")
    try:
        if new_key:
            _new_key(party, kept, passphrase)
        else:
            pem = new_certificate(own.key, own.certificate, party.name)
            kept.mkdir(mode=0o700)
            os.link(own.certificate, kept / own.certificate.name)
            fresh = own.certificate.with_name(f".{own.certificate.name}")
            write_private(fresh, pem)
            os.replace(fresh, own.certificate)
    except OSError as error:
        raise ConfigError(
            f"{error.filename} cannot be written ({error.strerror})", remedy="Check that this account may write there"
        ) from None
    return Identity.load(own.key, own.certificate, party.name), kept


def _new_key(party: Party, kept: Path, passphrase: Callable[[], bytes | None]) -> None:
    own = party.identity
    folder = own.certificate.parent / NEW
    if not (folder / "cert.pem").exists():
        create_identity(folder, party.name, passphrase=passphrase())
    before = Identity.load(own.key, own.certificate)
    now = Identity.load(folder / "key.pem", folder / "cert.pem", party.name)
    reseal_all(party.run.directory, before, now)
    kept.mkdir(mode=0o700)
    for old, fresh in ((own.key, folder / "key.pem"), (own.certificate, folder / "cert.pem")):
        os.link(old, kept / old.name)
        os.replace(fresh, old)
    folder.rmdir()
