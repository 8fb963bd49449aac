"""A key file that is encrypted with a passphrase, by this library or by openssl."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import serialization

from protocols.errors import ConfigError
from vfl.job.setup import init_party
from vfl.transport.identity import PASSPHRASE, Identity, create_identity, verify


def encrypted(folder: Path, how: str) -> Path:
    """An identity whose key file is encrypted with "correct horse"."""
    key = create_identity(folder, "bank").key_path
    if how == "openssl":
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        out = key.with_suffix(".enc")
        command = [
            "openssl",
            "pkcs8",
            "-topk8",
            "-v2",
            "aes-256-cbc",
            "-in",
            str(key),
            "-out",
            str(out),
            "-passout",
            "pass:correct horse",
        ]
        subprocess.run(command, check=True, capture_output=True)
        out.replace(key)
    else:
        loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
        algorithm = serialization.BestAvailableEncryption(b"correct horse")
        key.write_bytes(loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, algorithm))
    key.chmod(0o600)
    return key


@pytest.mark.parametrize("how", ["cryptography", "openssl"])
def test_it_opens_with_its_passphrase_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    key = encrypted(tmp_path, how)
    certificate = key.with_name("cert.pem")
    monkeypatch.setattr("sys.stdin", None)
    monkeypatch.delenv(PASSPHRASE, raising=False)
    with pytest.raises(ConfigError, match=f"is encrypted. Set {PASSPHRASE}"):
        Identity.load(key, certificate)
    monkeypatch.setenv(PASSPHRASE, "wrong horse")
    with pytest.raises(ConfigError, match="cannot be opened with this passphrase") as caught:
        Identity.load(key, certificate)
    assert "wrong horse" not in str(caught.value)
    monkeypatch.setenv(PASSPHRASE, "correct horse")
    identity = Identity.load(key, certificate, "bank")
    assert verify(identity.certificate_pem, b"signed", identity.sign(b"signed"))
    identity.show_to(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert "correct horse" not in repr(identity) + str(vars(identity).get("name"))


@pytest.mark.parametrize("typed", [None, ["correct horse", "correct horse"], ["correct horse", "wrong horse"], [""]])
def test_init_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: list[str] | None) -> None:
    """From the environment, without a question; or typed twice, and where the two differ or nothing is given, nothing
    is written."""
    folder, answers = tmp_path / "bank", iter(typed or [])
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    monkeypatch.delenv(PASSPHRASE, raising=False)
    if typed is None:
        monkeypatch.setenv(PASSPHRASE, "correct horse")
    elif typed != ["correct horse"] * 2:
        with pytest.raises(ConfigError, match=r"no passphrase was given|the two passphrases differ") as caught:
            init_party(folder, "guest", "bank", encrypt=True)
        assert not folder.exists()
        assert "horse" not in str(caught.value)
        return
    identity = init_party(folder, "guest", "bank", encrypt=True)
    pem = identity.key_path.read_bytes()
    assert b"ENCRYPTED" in pem
    with pytest.raises(TypeError):
        serialization.load_pem_private_key(pem, password=None)
    assert list(answers) == []
    monkeypatch.setenv(PASSPHRASE, "correct horse")
    again = Identity.load(identity.key_path, identity.certificate_path, "bank")
    assert verify(identity.certificate_pem, b"signed", again.sign(b"signed"))
    assert not any(b"correct horse" in path.read_bytes() for path in folder.rglob("*") if path.is_file())
