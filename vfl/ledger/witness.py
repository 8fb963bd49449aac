"""What partners sign at the end of a run, in addition to the ledger: `signatures.json`.

Each party signs, for each partner, how many messages it sent to and received from it and the chained SHA-256 of them.
The partner keeps that: a ledger that is cut, removed, or rewritten and signed again by its owner no longer fits (`vfl
ledger reconcile`).  See docs/file-formats.md.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocols.channel import Count
from protocols.errors import ConfigError, RemoteProtocolError
from vfl.ledger.writing import encode
from vfl.storage.files import write_private

FILE, FORMAT = "signatures.json", 1
KEYS = {
    "job_digest": str,
    "run": str,
    "party": str,
    "peer": str,
    "sent": int,
    "received": int,
    "sent_sha256": str,
    "received_sha256": str,
}
Statement = dict[str, Any]


@dataclass(frozen=True)
class Signed:
    """What `statement["party"]` signed for `statement["peer"]`, and the certificate (PEM) under which it holds."""

    statement: Statement
    signature: bytes
    certificate: bytes

    @property
    def holds(self) -> bool:
        from vfl.transport.identity import verify  # certificates are slow to import

        return verify(self.certificate, signed_bytes(self.statement), self.signature)


def signed_bytes(statement: Statement) -> bytes:
    """What a signature covers."""
    return b"vfl kept 1\n" + encode(statement)


class Witness:
    """Signs what this party sent and received in a run, and keeps what its partners sign
    (protocols/recovery/finish.py)."""

    def __init__(
        self,
        folder: Path,
        job_digest: bytes,
        run: bytes,
        party: str,
        sign: Callable[[bytes], bytes],
        certificates: Mapping[str, Sequence[bytes]],
    ) -> None:
        """certificates: each partner's, as this party has pinned them."""
        self._path, self._job, self._run, self._party = folder / FILE, job_digest, run, party
        self._sign, self._certificates = sign, certificates
        self._kept = signatures(self._path) if self._path.exists() else {}

    def sign(self, peer: str, count: Count) -> bytes:
        """This party's signature over its count with `peer`."""
        return self._sign(signed_bytes(self._statement(self._party, peer, count)))

    def accept(self, peer: str, count: Count, signature: bytes) -> None:
        """Keeps the signature of `peer` over `count`; raises RemoteProtocolError if it is none, ConfigError if it
        cannot be written."""
        statement = self._statement(peer, self._party, count)
        by_each = [Signed(statement, signature, certificate) for certificate in self._certificates[peer]]
        signed = next((one for one in by_each if one.holds), None)
        if signed is None:
            raise RemoteProtocolError(
                f"{peer} did not sign what it sent and received",
                remedy=f"The results are kept. Keep the ledger too, and ask {peer} which software it runs",
                party=peer,
            )
        self._kept[peer] = signed
        lines = {
            name: one.statement
            | {"signature": base64.b64encode(one.signature).decode(), "certificate": one.certificate.decode("ascii")}
            for name, one in self._kept.items()
        }
        try:
            write_private(
                self._path,
                (json.dumps({"format": FORMAT, "partners": lines}, indent=1, sort_keys=True) + "\n").encode(),
            )
        except OSError as error:
            raise ConfigError(
                f"{self._path} cannot be written ({error.strerror})",
                remedy="Make room on the disk and start this party again",
            ) from None

    def _statement(self, party: str, peer: str, count: Count) -> Statement:
        return {
            "job_digest": self._job.hex(),
            "run": self._run.hex(),
            "party": party,
            "peer": peer,
            "sent": count.sent,
            "sent_sha256": count.produced.hex(),
            "received": count.received,
            "received_sha256": count.consumed.hex(),
        }


def signatures(path: Path) -> dict[str, Signed]:
    """What the partners signed, by their names; raises ConfigError where the file cannot be read or is none."""
    try:
        content = json.loads(path.read_bytes())
        found = (
            {str(name): _signed(line) for name, line in content["partners"].items()}
            if content["format"] == FORMAT
            else None
        )
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror})", remedy="Check that this account may read it"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        found = None
    if found is None:
        raise ConfigError(
            f"{path} is not what a run wrote", remedy="Put the unchanged file back, and ask who could write it"
        )
    return found


def _signed(line: Mapping[str, Any]) -> Signed:
    statement = {key: line[key] for key in KEYS}
    if any(type(statement[key]) is not kind for key, kind in KEYS.items()):
        raise TypeError
    return Signed(statement, base64.b64decode(line["signature"], validate=True), line["certificate"].encode("ascii"))
