"""A party's own certificate, renewed: of the same key, or of a new one when others may know the key."""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from protocols.errors import ConfigError
from vfl.job.party import Identity as OwnIdentity
from vfl.job.party import Party, load_party
from vfl.models.part_files import reseal_all
from vfl.storage.files import write_private
from vfl.transport.identity import Identity, create_identity, new_certificate

NEW = "new"  # the new key and certificate, until they take their place
ASIDE = ".until"  # the former files, until the renewal is complete


def renew_identity(folder: Path, *, new_key: bool, passphrase: Callable[[], bytes | None]) -> tuple[Identity, Path]:
    """Returns the new identity, and the folder that keeps the former files: ledgers of that time are checked with them.

    new_key: also makes a new key, and seals with it what this party keeps as an arbiter; passphrase: of its file.
    Raises ConfigError, ModelError; given again, it continues where it was interrupted.
    """
    party = load_party(folder / "party.toml")
    own = party.identity
    kept = own.certificate.parent / f"until-{datetime.date.today():%Y%m%d}"
    aside = own.certificate.parent / ASIDE
    former = [own.key, own.certificate] if new_key else [own.certificate]
    if kept.exists():
        raise ConfigError(f"{kept} exists already", remedy="It was renewed today; move that folder away to do so again")
    if aside.exists() and {file.name for file in aside.iterdir()} != {file.name for file in former}:
        raise ConfigError(
            f"a renewal {'without' if new_key else 'with'} --new-key was interrupted here",
            remedy="Give that command again first: it continues",
        )
    try:
        if new_key:
            _new_key(party, former, aside, passphrase)
        else:
            _new_certificate(own, party.name, former, aside)
        os.rename(aside, kept)
    except OSError as error:
        raise ConfigError(
            f"{error.filename} cannot be written ({error.strerror})", remedy="Check that this account may write there"
        ) from None
    return Identity.load(own.key, own.certificate, party.name), kept


def _new_certificate(own: OwnIdentity, name: str, former: list[Path], aside: Path) -> None:
    if not aside.exists():
        _set_aside(former, aside)
    if (aside / own.certificate.name).read_bytes() == own.certificate.read_bytes():
        write_private(own.certificate, new_certificate(own.key, own.certificate, name))


def _new_key(party: Party, former: list[Path], aside: Path, passphrase: Callable[[], bytes | None]) -> None:
    own = party.identity
    folder = own.certificate.parent / NEW
    if not aside.exists():
        if not folder.exists():
            create_identity(draft := _draft(folder), party.name, passphrase=passphrase())
            os.rename(draft, folder)
        now = Identity.load(folder / "key.pem", folder / "cert.pem", party.name)
        reseal_all(party.run.directory, Identity.load(own.key, own.certificate), now)
        _set_aside(former, aside)
    for fresh, file in ((folder / "key.pem", own.key), (folder / "cert.pem", own.certificate)):
        if fresh.exists():
            os.replace(fresh, file)
    if folder.exists():
        folder.rmdir()


def _set_aside(files: list[Path], folder: Path) -> None:
    """The folder appears with all files in it, or not at all."""
    draft = _draft(folder)
    for file in files:
        os.link(file, draft / file.name)
    os.rename(draft, folder)


def _draft(folder: Path) -> Path:
    """An empty folder that becomes `folder`; what an interrupted renewal left there is removed."""
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    return draft
