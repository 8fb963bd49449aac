"""Certificates that a party should refuse."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocols.errors import ConfigError
from vfl.transport.identity import Identity, create_identity


def signed_by(issuer: Identity, folder: Path, name: str) -> Identity:
    """An identity called `name` whose certificate the issuer has signed."""
    made = create_identity(folder, name)
    mine = x509.load_pem_x509_certificate(made.certificate_pem)
    theirs = x509.load_pem_x509_certificate(issuer.certificate_pem)
    issued = (
        x509.CertificateBuilder(
            theirs.subject, mine.subject, mine.public_key(), 7, mine.not_valid_before_utc, mine.not_valid_after_utc
        )
    ).sign(issuer._key, hashes.SHA256())
    made.certificate_path.write_bytes(issued.public_bytes(serialization.Encoding.PEM))
    return Identity.load(made.key_path, made.certificate_path)


def authority(folder: Path, name: str) -> Identity:
    """An identity whose self-signed certificate may sign others, as a careless party may have made it."""
    made, key = create_identity(folder, name), ec.generate_private_key(ec.SECP256R1())
    now, subject = datetime.datetime.now(datetime.UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made._key = key
    made.certificate_pem = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 9, now, now + datetime.timedelta(1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    return made


def expired(folder: Path) -> Identity:
    """A certificate of "telecom" that was valid until today."""
    with pytest.raises(ConfigError, match="expired"):
        create_identity(folder, "telecom", days=0)
    pem = (folder / "cert.pem").read_bytes()
    return Identity("telecom", folder / "key.pem", folder / "cert.pem", pem, ec.generate_private_key(ec.SECP256R1()))


def of_tomorrow(folder: Path) -> Identity:
    """A certificate of "telecom" that a machine made whose clock is a day ahead; the private key is its own."""
    made = create_identity(folder, "telecom")
    mine, day = x509.load_pem_x509_certificate(made.certificate_pem), datetime.timedelta(1)
    later = x509.CertificateBuilder(
        mine.subject, mine.subject, mine.public_key(), 7, mine.not_valid_before_utc + day, mine.not_valid_after_utc
    )
    pem = later.sign(made._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    made.certificate_path.write_bytes(pem)
    return Identity("telecom", made.key_path, made.certificate_path, pem, made._key)
