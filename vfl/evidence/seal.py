"""The index of a pack, and its party's signature."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from vfl.transport.identity import fingerprint

INDEX, SIGNATURE, CERTIFICATE = "index.json", "index.sig", "certificate.pem"
FORMAT = 1
ALGORITHM = "ECDSA on P-256 with SHA-256"
PREFIX = b"vfl evidence 1\n"
SIGNED = "the line 'vfl evidence 1', which ends with a line feed, and after it the bytes of index.json"


def as_json(content: object) -> bytes:
    """JSON for people and programs, the same each time."""
    return (json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


def signed_bytes(index: bytes) -> bytes:
    """What the signature covers."""
    return PREFIX + index


def listed(files: Mapping[str, bytes], says: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the index says of each file."""
    return [
        {"path": name, "sha256": sha256(files[name]), "bytes": len(files[name]), "says": says[name]}
        for name in sorted(files)
    ]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def signature_file(index: bytes, certificate: bytes, signature: bytes) -> bytes:
    """The content of index.sig."""
    return as_json(
        {
            "format": FORMAT,
            "algorithm": ALGORITHM,
            "signed": SIGNED,
            "index_sha256": sha256(index),
            "certificate": fingerprint(certificate),
            "signature": base64.b64encode(signature).decode(),
        }
    )


def sealed(index: bytes, certificate: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """The same, signed now."""
    return signature_file(index, certificate, sign(signed_bytes(index)))


def signature_in(data: bytes) -> bytes | None:
    """The signature in index.sig; None if the file is none."""
    try:
        return base64.b64decode(json.loads(data)["signature"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        return None
