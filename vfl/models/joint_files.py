"""A joint model of a local federation in a folder: `model.save` and `vfl.load_model`.

FOLDER/model.json        what the model is, as all parties know it
FOLDER/PARTY/            each data party's part, as it would hold it (vfl/models/part_files.py), and summary.json:
                         what it alone knows, of its report and of its table
FOLDER/arbiter/          the arbiter's part, where it keeps one, sealed by the key in FOLDER/arbiter/identity/
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import msgspec

from protocols.cipher import Scheme
from protocols.errors import ConfigError, ModelError
from protocols.session import Roles
from vfl.data import Settings
from vfl.models.averaging import files as averaging
from vfl.models.evaluation import Evaluation, Sampling
from vfl.models.joint import Joint, Learned
from vfl.models.new_rows import Reader
from vfl.models.part_files import DamagedPart, load_part, save_part
from vfl.models.registry import KINDS
from vfl.models.saved_files import (
    FORMAT,
    NAME,
    damaged,
    new_folder,
    read,
    read_kind,
    restored,
    stored,
    unknown,
    write,
)
from vfl.report.page import as_plain
from vfl.schema.arguments import path, scheme
from vfl.schema.parameters import paillier
from vfl.schema.section import build
from vfl.transport.identity import PARTY_NAME, DamagedIdentity, Identity, create_identity

OWN, IDENTITY = "summary.json", "identity"
NO_JOB = bytes(32)
DAYS = 36525  # a certificate that only this folder uses


class Saved(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The content of model.json."""

    format: int
    kind: str
    parameters: dict[str, Any]
    guest: str
    hosts: tuple[str, ...]
    arbiter: str
    keys: tuple[tuple[str, ...], ...]
    normalise: dict[str, str]
    duplicates: Literal["error", "first"]
    sizes: dict[str, int]
    common: int
    rows: int
    drawn: Sampling
    caution: str
    kept: bool  # whether the arbiter keeps a part

    @classmethod
    def of(cls, learned: Learned[Any], *, kept: bool) -> Saved:
        """What stands in it."""
        spec, reader, roles = learned.spec, learned.reader, learned.roles
        return cls(
            FORMAT,
            spec.kind,
            {name: stored(getattr(spec, name)) for name in type(spec).model_fields if name != "kind"},
            roles.guest,
            roles.hosts,
            roles.arbiter,
            reader.keys,
            dict(reader.normalise),
            "first" if reader.duplicates == "first" else "error",
            dict(learned.sizes),
            learned.common,
            learned.rows,
            learned.drawn,
            learned.caution,
            kept,
        )


class Own(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The content of a data party's summary.json.  report: of rows that were held out; id_columns: its own names of key
    columns; label, weight: the guest's columns."""

    summary: dict[str, Any]
    report: dict[str, Any] | None
    id_columns: dict[str, str]
    label: str | None
    weight: str | None

    @classmethod
    def of(cls, learned: Learned[Any], party: str) -> Own:
        """What stands in it."""
        report, settings = learned.reports.get(party), learned.reader.settings.get(party, Settings())
        guest = party == learned.roles.guest
        return cls(
            as_plain(learned.summaries[party]),
            None if report is None else as_plain(report.result),
            dict(settings.id_columns),
            learned.label if guest else None,
            learned.weight if guest else None,
        )


def save_model(model: Joint[Any, Any], folder: str | os.PathLike[str], passphrase: str | None = None) -> Path:
    """Writes a model into a new folder; passphrase: encrypts the arbiter's key.  Raises ConfigError."""
    target, learned = path("folder", folder), model.learned
    with new_folder(target) as draft:
        for party, part in model.parts.items():
            save_part(part, draft / party, kind=learned.kind.name, job_digest=NO_JOB)
            write(draft / party / OWN, Own.of(learned, party))
        if model.kept is not None:
            own = draft / learned.roles.arbiter
            identity = create_identity(own / IDENTITY, learned.roles.arbiter, DAYS, secret(passphrase))
            save_part(model.kept, own, kind=model.kept.STORED, job_digest=NO_JOB, identity=identity)
            own.chmod(0o700)
        write(draft / NAME, Saved.of(learned, kept=model.kept is not None))
    return target


def load_model(folder: str | os.PathLike[str], *, cipher: Scheme | None = None, passphrase: str | None = None) -> Any:
    """A model that `save` wrote: it gives the same scores, bit for bit.

    Parameters
    ----------
    folder : str or path
        Where the model was saved.
    cipher : Scheme, default None
        Replaces Paillier, as in `Federation.local`.
    passphrase : str, default None
        Of the arbiter's key, where the model was saved with one. An averaged model has no cipher and no key: it takes
        neither.

    Returns
    -------
    FederatedModel, FederatedTrees, FederatedScorecard, FederatedNetwork or AveragedModel
        Of a regression, of boosted trees, of a scorecard, and of an averaging. It holds no row of the training.

    Raises
    ------
    ConfigError
        An argument is not possible, or the passphrase is not the right one.
    ModelError
        The folder holds no saved model, or a damaged one.

    Notes
    -----
    What each party learns: nothing; no message is sent. Cost: that of reading the files.

    Examples
    --------
    >>> import tempfile
    >>> model = fed.fit(vfl.LogisticRegression(link="taylor"))
    >>> folder = model.save(tempfile.mkdtemp() + "/model")
    >>> vfl.load_model(folder, cipher=Identity()).intersection_
    200
    """
    source = path("folder", folder)
    scheme(cipher)
    if read_kind(source) == averaging.KIND:
        if cipher is not None or passphrase is not None:
            raise ConfigError("an averaged model has no cipher and no key", remedy="Leave out cipher and passphrase")
        return averaging.load(source)
    saved = read_saved(source)
    own = {party: read(source / party / OWN, Own) for party in (saved.guest, *saved.hosts)}
    try:
        parameters = {name: restored(value) for name, value in saved.parameters.items()}
        spec = build(KINDS[saved.kind].spec, {"kind": saved.kind, **parameters}, str(source / NAME))
    except (ConfigError, TypeError, ValueError, KeyError):
        raise damaged(source) from None
    roles, kind = Roles(saved.guest, saved.hosts, saved.arbiter), KINDS[saved.kind]
    parts = {party: part_of(source / party, saved.kind) for party in roles.data_parties}
    kept = arbiters(source / roles.arbiter, roles.arbiter, saved.kind, passphrase) if saved.kept else None
    names = {part.model_id for part in (*parts.values(), *([kept] if saved.kept else []))}
    if len(names) > 1 or any(part.party != party for party, part in parts.items()):
        raise ModelError(f"{source} holds parts of more than one model", remedy="Restore it from a copy")
    settings = {party: Settings(id_columns=one.id_columns, in_python=True) for party, one in own.items()}
    learned = Learned(
        kind,
        spec,
        roles,
        parts,
        kept,
        paillier(spec.key_bits) if cipher is None else cipher,
        Reader(saved.keys, saved.normalise, saved.duplicates, settings),
        own[saved.guest].label or "",
        own[saved.guest].weight,
        saved.sizes,
        saved.common,
        saved.rows,
        {party: one.summary for party, one in own.items()},
        {party: Evaluation(one.report) for party, one in own.items() if one.report is not None},
        saved.drawn,
        saved.caution,
    )
    model: Joint[Any, Any] = kind.joint(learned)
    return model


def read_saved(folder: Path) -> Saved:
    """model.json of a folder.  Raises ModelError."""
    saved = read(folder / NAME, Saved)
    if saved.format != FORMAT or saved.kind not in KINDS:
        raise unknown(folder, saved.format)
    parties = (saved.guest, *saved.hosts, saved.arbiter)
    if not all(PARTY_NAME.fullmatch(party) for party in parties) or not {*parties[:-1]} <= set(saved.sizes):
        raise damaged(folder)
    return saved


def part_of(folder: Path, kind: str) -> Any:
    """A data party's part of a model of this kind.  Raises ModelError."""
    try:
        part, head = load_part(folder)
    except DamagedPart:
        raise damaged(folder.parent) from None
    if head.kind != kind:
        raise damaged(folder.parent)
    return part


def arbiters(folder: Path, name: str, kind: str, passphrase: str | None) -> Any:
    """The arbiter's part.  Raises ConfigError without the right passphrase, ModelError."""
    own = folder / IDENTITY
    try:
        part, _ = load_part(folder, Identity.load(own / "key.pem", own / "cert.pem", name, secret(passphrase)))
    except (DamagedPart, DamagedIdentity):
        raise damaged(folder.parent) from None
    if part.kind != kind:
        raise damaged(folder.parent)
    return part


def secret(passphrase: object) -> bytes | None:
    """A passphrase as bytes.  Raises ConfigError for anything but a text that is not empty."""
    if passphrase is None:
        return None
    if not isinstance(passphrase, str) or not passphrase:
        raise ConfigError("passphrase is no text, or an empty one", remedy="Pass a text, or leave it out")
    return passphrase.encode()
