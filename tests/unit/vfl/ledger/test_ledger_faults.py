"""A ledger that was touched is found out."""

import base64
import json
from pathlib import Path

import pytest

from protocols.alignment.ecdh import BlindedIds
from protocols.errors import ConfigError
from vfl.job import PERMITS
from vfl.ledger import LedgerBroken, LedgerWriter, read_ledger, verify_ledger

ALL = tuple(PERMITS)


def broken(path: Path, identity=None) -> str:
    with pytest.raises(LedgerBroken) as caught:
        verify_ledger(path, identity.certificate_pem if identity else None)
    assert caught.value.exit_code == 5
    assert "do not rely on it" in str(caught.value)
    return str(caught.value)


def rows(ledger: Path) -> list[bytes]:
    return ledger.read_bytes().split(b"\n")[:-1]


def write(ledger: Path, lines: list[bytes]) -> None:
    ledger.chmod(0o600)
    ledger.write_bytes(b"".join(line + b"\n" for line in lines))


@pytest.mark.parametrize("number", range(6))
def test_a_removed_line_is_found(ledger, number):
    lines = rows(ledger)
    write(ledger, lines[:number] + lines[number + 1 :])
    assert f"line {number + 1} " in broken(ledger)


@pytest.mark.parametrize(("a", "b"), [(0, 1), (1, 2), (2, 4), (4, 5)])
def test_moved_lines_are_found(ledger, a, b):
    lines = rows(ledger)
    lines[a], lines[b] = lines[b], lines[a]
    write(ledger, lines)
    assert f"line {a + 1} " in broken(ledger)


@pytest.mark.parametrize(
    ("number", "key", "value"),
    [
        (0, "party", "shop"),
        (1, "bytes", 99),
        (1, "message", "Columns"),
        (3, "class", "SEALED"),
        (3, "permit", None),
        (4, "sha256", "0" * 64),
        (4, "time", "2020-01-01T00:00:00.000Z"),
    ],
)
def test_an_edited_line_is_found(ledger, number, key, value):
    lines = rows(ledger)
    line = json.loads(lines[number]) | {key: value}
    lines[number] = json.dumps(line, sort_keys=True, separators=(",", ":")).encode()
    write(ledger, lines)
    assert f"line {number + 2} does not follow" in broken(ledger)


def test_a_line_with_another_receiver_or_number_is_found(ledger):
    lines = rows(ledger)
    for key, value in (("to", "telecom"), ("seq", 2), ("number", 1), ("count", 2)):
        line = json.loads(lines[2]) | {key: value}
        write(ledger, [*lines[:2], json.dumps(line, sort_keys=True, separators=(",", ":")).encode(), *lines[3:]])
        assert "line 3 has a wrong number" in broken(ledger)


@pytest.mark.parametrize(("key", "value"), [("messages", 3), ("bytes", 1), ("outcome", "stopped"), ("signature", None)])
def test_an_edited_last_line_is_found(ledger, identity, key, value):
    lines = rows(ledger)
    line = json.loads(lines[-1]) | {key: value}
    lines[-1] = json.dumps(line, sort_keys=True, separators=(",", ":")).encode()
    write(ledger, lines)
    assert "line 6 " in broken(ledger, identity)


def test_every_flipped_byte_is_found(ledger, identity):
    data = ledger.read_bytes()
    for position in range(0, len(data), 7):
        ledger.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        broken(ledger, identity)


def test_every_truncation_is_found(ledger):
    data = ledger.read_bytes()
    for length in range(0, len(data), 11):
        ledger.write_bytes(data[:length])
        broken(ledger)


def test_anything_appended_is_found(ledger):
    lines = rows(ledger)
    for extra in (lines[-1], lines[1], b"{}", b"x", b"", b"[]", b"\xff"):
        write(ledger, [*lines, extra])
        assert "line 7 " in broken(ledger)
    write(ledger, [lines[0], *lines])
    assert "line 2 " in broken(ledger)


def test_other_white_space_is_found(ledger):
    lines = rows(ledger)
    write(ledger, [lines[0].replace(b":", b": ", 1), *lines[1:]])
    assert "line 1 is not a line as the ledger writes it" in broken(ledger)


def test_a_chain_written_anew_is_found_by_the_signature_only(ledger, identity, other_identity, tmp_path):
    forged = tmp_path / "forged"
    old = list(read_ledger(ledger))
    with LedgerWriter(
        forged, job="credit-risk", job_digest=bytes(32), party="bank", sign=other_identity.sign
    ) as writer:
        writer.record("telecom", BlindedIds, b"less")
    assert verify_ledger(forged).messages == 1
    assert "line 3 is not signed by the owner" in broken(forged, identity)
    lines = list(read_ledger(forged))
    lines[-1]["signature"] = old[-1]["signature"]
    write(forged, [json.dumps(line, sort_keys=True, separators=(",", ":")).encode() for line in lines])
    assert "line 3 is not signed by the owner" in broken(forged, identity)
    lines[-1]["signature"] = "no base64!"
    write(forged, [json.dumps(line, sort_keys=True, separators=(",", ":")).encode() for line in lines])
    assert "line 3 is not signed by the owner" in broken(forged, identity)


def test_an_unsigned_ledger_is_told_from_a_signed_one(tmp_path, identity):
    with LedgerWriter(tmp_path / "l", job="j", job_digest=bytes(32), party="bank"):
        pass
    assert verify_ledger(tmp_path / "l").messages == 0
    assert "bears no signature" in broken(tmp_path / "l", identity)


def test_another_format_and_no_file(ledger, tmp_path):
    lines = rows(ledger)
    write(ledger, [lines[0].replace(b'"format":2', b'"format":1'), *lines[1:]])
    assert "not of format 2" in broken(ledger)
    with pytest.raises(ConfigError, match="cannot be read"):
        verify_ledger(tmp_path / "none")


def test_the_signature_can_be_checked_without_our_code(ledger, identity):
    """As docs/file-formats.md says: `openssl dgst -sha256 -verify` over these bytes."""
    last = json.loads(rows(ledger)[-1])
    signature = base64.b64decode(last.pop("signature"))
    signed = b"vfl ledger 2\n" + json.dumps(last, sort_keys=True, separators=(",", ":")).encode()
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = x509.load_pem_x509_certificate(identity.certificate_pem).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
