"""An identity is refused, with its remedy, unless it can be used; it shows no secret."""

from __future__ import annotations

import copy
import hashlib
import pickle
import re
import shutil
import ssl
from pathlib import Path

import pytest

from protocols.errors import ConfigError
from vfl.transport import identity
from vfl.transport.identity import Identity, create_identity, fingerprint, verify


def test_created_identity_can_be_loaded_again(tmp_path: Path) -> None:
    made = create_identity(tmp_path / "new" / "bank", "bank")
    again = Identity.load(made.key_path, made.certificate_path, "bank")
    assert again.name == "bank"
    assert again.fingerprint() == made.fingerprint()
    assert made.key_path.stat().st_mode & 0o777 == 0o600


def test_fingerprint_is_what_other_tools_show(tmp_path: Path) -> None:
    made = create_identity(tmp_path, "bank")
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(made.certificate_pem.decode())).hexdigest().upper()
    assert fingerprint(made.certificate_pem).replace(":", "") == digest
    assert re.fullmatch("([0-9A-F]{2}:){31}[0-9A-F]{2}", made.fingerprint())


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    create_identity(tmp_path, "bank")
    before = (tmp_path / "key.pem").read_bytes()
    with pytest.raises(ConfigError, match="exists already"):
        create_identity(tmp_path, "bank")
    assert (tmp_path / "key.pem").read_bytes() == before


@pytest.mark.parametrize("name", ["", "a b", "../bank", "-bank", "bänk", "x" * 64, "bank\n"])
def test_names_that_could_hurt_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="name of a party"):
        create_identity(tmp_path / "x", name)
    assert not (tmp_path / "x").exists()


def test_certificate_of_another_key(tmp_path: Path) -> None:
    one, other = create_identity(tmp_path / "1", "bank"), create_identity(tmp_path / "2", "bank")
    with pytest.raises(ConfigError, match="does not belong to the key"):
        Identity.load(one.key_path, other.certificate_path)


def test_certificate_of_another_party(tmp_path: Path) -> None:
    made = create_identity(tmp_path, "bank")
    with pytest.raises(ConfigError, match="another party") as caught:
        Identity.load(made.key_path, made.certificate_path, "telecom")
    assert (caught.value.expected, caught.value.found) == ("telecom", "bank")


def test_expired_certificate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expired on .*Run vfl renew"):
        create_identity(tmp_path, "bank", days=0)


def test_readable_key(tmp_path: Path) -> None:
    made = create_identity(tmp_path, "bank")
    made.key_path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        Identity.load(made.key_path, made.certificate_path)


@pytest.mark.parametrize("damage", ["missing", "garbage", "swapped", "two"])
def test_damaged_files(tmp_path: Path, damage: str) -> None:
    made = create_identity(tmp_path, "bank")
    if damage == "missing":
        made.certificate_path.unlink()
    elif damage == "garbage":
        made.key_path.write_text("not a key")
    elif damage == "swapped":
        shutil.copy(made.key_path, made.certificate_path)
    else:
        made.certificate_path.write_bytes(2 * made.certificate_pem)
    with pytest.raises(ConfigError) as caught:
        Identity.load(made.key_path, made.certificate_path)
    assert caught.value.remedy


def test_signatures_repeat_and_verify(tmp_path: Path) -> None:
    made, other = create_identity(tmp_path / "1", "bank"), create_identity(tmp_path / "2", "bank")
    signature = made.sign(b"ledger")
    assert signature == made.sign(b"ledger")
    assert verify(made.certificate_pem, b"ledger", signature)
    assert not verify(made.certificate_pem, b"ledgers", signature)
    assert not verify(other.certificate_pem, b"ledger", signature)
    assert not verify(made.certificate_pem, b"ledger", b"no signature")


def test_nothing_shows_the_key(tmp_path: Path) -> None:
    made = create_identity(tmp_path, "bank")
    assert repr(made) == f"<Identity of bank, {made.fingerprint()}>"
    for leak in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            leak(made)


def test_planted_fault_unchecked_pair_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check of dates, the test of expiry would fail."""
    monkeypatch.setattr(identity, "check_validity", lambda *_: None)
    assert create_identity(tmp_path, "bank", days=0).name == "bank"
