"""A key file that is encrypted with a passphrase, by this library or by openssl."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from protocols.errors import ConfigError
from vfl.identity import PASSPHRASE, Identity, create_identity, verify


def encrypted(folder: Path, how: str) -> Path:
    """An identity whose key file is encrypted with "correct horse"."""
    key = create_identity(folder, "bank").key_path
    if how == "openssl":
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        out = key.with_suffix(".enc")
        command = ["openssl", "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", str(key), "-out", str(out), "-passout", "pass:correct horse"]
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
