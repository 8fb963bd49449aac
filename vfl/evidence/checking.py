"""Checks a pack: `vfl evidence verify`.  Whatever byte was changed, the error names the file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocols.errors import ConfigError, ProtocolError, VFLError
from vfl.evidence.archive import MOST_BYTES, ArchiveDamaged, Files, differs_at, unpacked
from vfl.evidence.seal import CERTIFICATE, FORMAT, INDEX, SIGNATURE, sha256, signature_file, signature_in, signed_bytes
from vfl.ledger import LedgerBroken, partners_signed, verify_ledger
from vfl.transport.identity import fingerprint, verify

LEDGER, PARTNERS, SIGNER = "ledger/ledger.jsonl", "ledger/signatures.json", "ledger/certificate.pem"
AGREED = "job/agreed.txt"
UNCHANGED = "Do not rely on the pack: ask its party for an unchanged copy, and who could write this one"


class EvidenceBroken(ProtocolError):
    """A pack that was changed, or that another key signed."""

    code = "evidence-broken"


@dataclass(frozen=True)
class Checked:
    """What a sound pack says of itself.

    trusted: whether its certificate was compared with one that the reader has from elsewhere; partners: whose signature
    of the ledger it holds, with the fingerprint of the certificate; open: the fields that nobody filled in.
    """

    index: Mapping[str, Any]
    fingerprint: str
    trusted: bool
    files: int
    messages: int
    partners: Mapping[str, str]
    open: tuple[str, ...]


def check(path: Path, certificate: bytes | None = None) -> Checked:
    """Checks every byte of a pack.  certificate: the party's own, from elsewhere than the pack.

    Raises EvidenceBroken naming the file that was changed, is missing or does not belong, or that another key signed
    the pack; ConfigError if it cannot be read.
    """
    data = _read(path)
    files = _files(path, data)
    index = _index(path, files)
    for name in sorted({*files, *index["paths"]} - {INDEX, SIGNATURE}):
        _check_file(path, name, files, index["paths"])
    if (place := differs_at(data, files)) is not None:
        raise _broken(
            path, f"the archive was changed around {place}" if place else "the archive's directory was changed"
        )
    if certificate is not None and fingerprint(certificate) != fingerprint(files[CERTIFICATE]):
        raise EvidenceBroken(
            f"{path} was signed with another key than that of the given certificate",
            remedy="Check that it is the certificate of the party that wrote the pack; if it is, do not rely on the "
            "pack",
        )
    messages, partners = _check_ledger(path, files, index["content"])
    content = index["content"]
    return Checked(
        content,
        fingerprint(files[CERTIFICATE]),
        certificate is not None,
        len(files),
        messages,
        partners,
        tuple(key for key, text in content["fields"].items() if text is None),
    )


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} is too large for a pack", remedy="Name the file that vfl evidence pack wrote")
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror})", remedy="Name the file that vfl evidence pack wrote"
        ) from None


def _broken(path: Path, what: str) -> EvidenceBroken:
    return EvidenceBroken(f"{path}: {what}", remedy=UNCHANGED)


def _files(path: Path, data: bytes) -> Files:
    try:
        files = unpacked(data)
    except ArchiveDamaged as damaged:
        what = f"{damaged.name} was changed" if damaged.name else "the archive's directory was changed, or it is none"
        raise _broken(path, what) from None
    for name in (INDEX, SIGNATURE, CERTIFICATE):
        if name not in files:
            raise _broken(path, f"{name} is missing")
    return files


def _index(path: Path, files: Files) -> dict[str, Any]:
    """The index, if the certificate's owner signed it; `paths`: the SHA-256 of each file."""
    index, certificate, signature = files[INDEX], files[CERTIFICATE], signature_in(files[SIGNATURE])
    try:
        content = json.loads(index)
        paths = {str(one["path"]): str(one["sha256"]) for one in content["files"]}
        if content["format"] != FORMAT or not isinstance(content["fields"], dict):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _broken(path, f"{INDEX} was changed, or is of another release") from None
    try:
        holds = signature is not None and verify(certificate, signed_bytes(index), signature)
        same = holds and signature_file(index, certificate, signature or b"") == files[SIGNATURE]
    except VFLError:
        raise _broken(path, f"{CERTIFICATE} was changed") from None
    if not same:
        raise _broken(path, f"{_culprit(files, holds, paths)} was changed, or another key signed the pack")
    return {"content": content, "paths": paths}


def _culprit(files: Files, holds: bool, paths: Mapping[str, str]) -> str:
    """Which of the three files about the signature was changed, as far as the other two tell."""
    if holds:
        return SIGNATURE
    try:
        claimed = json.loads(files[SIGNATURE])["index_sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return SIGNATURE
    if claimed != sha256(files[INDEX]):
        return INDEX
    return SIGNATURE if paths.get(CERTIFICATE) == sha256(files[CERTIFICATE]) else CERTIFICATE


def _check_file(path: Path, name: str, files: Files, paths: Mapping[str, str]) -> None:
    if name not in files:
        raise _broken(path, f"{name} is missing")
    if name not in paths:
        raise _broken(path, f"{name} does not belong to it: the index does not list it")
    if sha256(files[name]) != paths[name]:
        raise _broken(path, f"{name} was changed")


def _check_ledger(path: Path, files: Files, content: Mapping[str, Any]) -> tuple[int, dict[str, str]]:
    """How many messages left, and whose signatures the ledger has; raises EvidenceBroken where they do not hold."""
    if (agreed := files.get(AGREED)) is not None and sha256(agreed) != content["job_digest"]:
        raise _broken(path, f"{AGREED} is not the job of this run")
    if LEDGER not in files:
        return 0, {}
    with tempfile.TemporaryDirectory() as folder:
        ledger, kept = Path(folder) / "ledger.jsonl", Path(folder) / "signatures.json"
        ledger.write_bytes(files[LEDGER])
        kept.write_bytes(files.get(PARTNERS, b'{"format":1,"partners":{}}'))
        try:
            found = verify_ledger(ledger, files.get(SIGNER))
            signed = partners_signed(ledger)
        except (LedgerBroken, ConfigError) as error:
            raise _broken(path, str(error.what).replace(folder, "ledger")) from None
    if (found.party, found.job_digest) != (content["party"], content["job_digest"]):
        raise _broken(path, f"{LEDGER} is of another run")
    return found.messages, {name: fingerprint(one) for name, one in signed.items()}
