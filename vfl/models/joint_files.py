"""A joint model of a local federation in a folder: `model.save` and `vfl.load_model`.

FOLDER/model.json        what the model is, and how new rows are read: no number of it
FOLDER/PARTY/            each data party's part, as it would hold it (vfl/models/part_files.py)
FOLDER/arbiter/          the arbiter's part, where it keeps one, sealed by the key in FOLDER/arbiter/identity/
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from protocols.cipher import Scheme
from protocols.errors import ConfigError, ModelError
from protocols.session import Roles
from vfl.data import Settings
from vfl.models.evaluation import Drawn, Evaluation
from vfl.models.joint import Joint, Learned
from vfl.models.new_rows import Reader
from vfl.models.part_files import RESTORE, load_part, save_part
from vfl.models.registry import KINDS
from vfl.report.page import as_plain
from vfl.schema.arguments import path, scheme
from vfl.schema.parameters import paillier
from vfl.schema.section import build
from vfl.storage.files import sync_tree, write_private
from vfl.transport.identity import Identity, create_identity

FORMAT, NAME, IDENTITY = 1, "model.json", "identity"
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
    id_columns: dict[str, dict[str, str]]  # by party, its own names of key columns
    label: str
    weight: str | None
    sizes: dict[str, int]
    common: int
    rows: int
    summaries: dict[str, dict[str, Any]]
    reports: dict[str, dict[str, Any]]
    drawn: Drawn
    caution: str
    kept: bool  # whether the arbiter keeps a part

    @property
    def settings(self) -> dict[str, Settings]:
        """By party, what a reader of new rows needs that the parts do not keep."""
        return {party: Settings(id_columns=own, in_python=True) for party, own in self.id_columns.items()}

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
            {party: dict(own.id_columns) for party, own in reader.settings.items() if own.id_columns},
            learned.label,
            learned.weight,
            dict(learned.sizes),
            learned.common,
            learned.rows,
            as_plain(learned.summaries),
            {party: as_plain(report.result) for party, report in learned.reports.items()},
            learned.drawn,
            learned.caution,
            kept,
        )


def save_model(model: Joint[Any, Any], folder: str | os.PathLike[str], passphrase: str | None = None) -> Path:
    """Writes a model into a new folder; passphrase: encrypts the arbiter's key.  Raises ConfigError."""
    target = path("folder", folder)
    if target.exists():
        raise ConfigError(f"{target} exists: a saved model is never overwritten", remedy="Name a new folder")
    draft, learned = target.with_name(f".{target.name}.part"), model.learned
    saved = Saved.of(learned, kept=model.kept is not None)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        for party, part in model.parts.items():
            save_part(part, draft / party, kind=learned.kind.name, job_digest=NO_JOB)
        if model.kept is not None:
            own = draft / learned.roles.arbiter
            identity = create_identity(own / IDENTITY, learned.roles.arbiter, DAYS, secret(passphrase))
            save_part(model.kept, own, kind=model.kept.STORED, job_digest=NO_JOB, identity=identity)
            own.chmod(0o700)
        write_private(draft / NAME, msgspec.json.format(msgspec.json.encode(saved), indent=2) + b"\n")
        sync_tree(draft)
        draft.rename(target)
    except OSError as error:
        raise ConfigError(
            f"the model cannot be written to {target} ({error.strerror})", remedy="Name a folder that can be written"
        ) from None
    return target


def load_model(
    folder: str | os.PathLike[str], *, cipher: Scheme | None = None, passphrase: str | None = None
) -> Joint[Any, Any]:
    """A model that `save` wrote: it gives the same scores, bit for bit.

    Parameters
    ----------
    folder : str or path
        Where the model was saved.
    cipher : Scheme, default None
        Replaces Paillier, as in `Federation.local`.
    passphrase : str, default None
        Of the arbiter's key, where the model was saved with one.

    Returns
    -------
    FederatedModel, FederatedTrees or FederatedScorecard
        Of a regression, of boosted trees, and of a scorecard. It holds no row of the training.

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
    saved = read_saved(source)
    try:
        parameters = {name: restored(value) for name, value in saved.parameters.items()}
        spec = build(KINDS[saved.kind].spec, {"kind": saved.kind, **parameters}, str(source / NAME))
    except (ConfigError, TypeError, ValueError):
        raise damaged(source) from None
    roles, kind = Roles(saved.guest, saved.hosts, saved.arbiter), KINDS[saved.kind]
    parts = {party: part_of(source / party, saved.kind) for party in roles.data_parties}
    kept = arbiters(source / roles.arbiter, roles.arbiter, saved.kind, passphrase) if saved.kept else None
    names = {part.model_id for part in (*parts.values(), *([kept] if saved.kept else []))}
    if len(names) > 1 or any(part.party != party for party, part in parts.items()):
        raise ModelError(f"{source} holds parts of more than one model", remedy="Restore it from a copy")
    learned = Learned(
        kind,
        spec,
        roles,
        parts,
        kept,
        paillier(spec.key_bits) if cipher is None else cipher,
        Reader(saved.keys, saved.normalise, saved.duplicates, saved.settings),
        saved.label,
        saved.weight,
        saved.sizes,
        saved.common,
        saved.rows,
        saved.summaries,
        {party: Evaluation(result) for party, result in saved.reports.items()},
        saved.drawn,
        saved.caution,
    )
    model: Joint[Any, Any] = kind.joint(learned)
    return model


def read_saved(folder: Path) -> Saved:
    """model.json of a folder.  Raises ModelError."""
    try:
        saved = msgspec.json.decode((folder / NAME).read_bytes(), type=Saved)
    except OSError:
        raise ModelError(f"{folder} holds no saved model", remedy="Name a folder that model.save wrote") from None
    except (msgspec.MsgspecError, RecursionError):
        raise damaged(folder) from None
    if saved.format != FORMAT or saved.kind not in KINDS:
        raise ModelError(
            f"{folder} has a format that this release does not know",
            remedy="Use the release that wrote it",
            expected=FORMAT,
            found=saved.format,
        )
    if not {saved.guest, *saved.hosts} <= set(saved.summaries) or saved.guest not in saved.sizes or not saved.keys:
        raise damaged(folder)
    return saved


def part_of(folder: Path, kind: str) -> Any:
    """A data party's part of a model of this kind.  Raises ModelError."""
    part, head = load_part(folder)
    if head.kind != kind:
        raise damaged(folder.parent)
    return part


def arbiters(folder: Path, name: str, kind: str, passphrase: str | None) -> Any:
    """The arbiter's part.  Raises ConfigError without the right passphrase, ModelError."""
    own = folder / IDENTITY
    part, _ = load_part(folder, Identity.load(own / "key.pem", own / "cert.pem", name, secret(passphrase)))
    if part.kind != kind:
        raise damaged(folder.parent)
    return part


def stored(value: Any) -> Any:
    """A parameter as JSON; a mapping, whose keys may be numbers, as its items."""
    return {"items": [[k, as_plain(v)] for k, v in value.items()]} if isinstance(value, Mapping) else as_plain(value)


def restored(value: Any) -> Any:
    """A parameter from what `stored` made of it."""
    return dict(value["items"]) if isinstance(value, Mapping) else value


def damaged(folder: Path) -> ModelError:
    return ModelError(f"the model in {folder} is damaged", remedy=RESTORE.replace("the run's folder", "it"))


def secret(passphrase: object) -> bytes | None:
    """A passphrase as bytes.  Raises ConfigError for anything but a text that is not empty."""
    if passphrase is None:
        return None
    if not isinstance(passphrase, str) or not passphrase:
        raise ConfigError("passphrase is no text, or an empty one", remedy="Pass a text, or leave it out")
    return passphrase.encode()
