"""Who a party is: an EC P-256 key and a self-signed certificate, made once and pinned by every partner.

There is no authority in between.  Each party hands its `cert.pem` to its partners over any way they trust, two people
compare the fingerprint by phone, and from then on exactly the pinned certificates are accepted (see `vfl.transport`):
one, or while it is renewed two.  The private key never leaves its folder: file mode 0600, and no `repr`, log or error
shows it.  The same key signs this party's ledger, and seals what an arbiter keeps of models.
"""

from __future__ import annotations

import datetime
import getpass
import hashlib
import os
import re
import ssl
import stat
import sys
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocols.errors import ConfigError

PARTY_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")  # as vfl.schema.section.check_name
_SIGNATURE = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def check_name(name: str) -> str:
    """`name`, if it can be the name of a party; raises ConfigError."""
    if not PARTY_NAME.fullmatch(name):
        raise ConfigError(
            "This is not the name of a party",
            remedy="Use 1 to 32 lower-case letters, digits and hyphens, not starting with a hyphen",
        )
    return name


PASSPHRASE = "VFL_KEY_PASSPHRASE"  # noqa: S105  the name of a variable, not a secret


class DamagedIdentity(ConfigError):
    """A file holds no key or no certificate, or the two do not belong together."""


class Identity:
    """This party's key and certificate, checked: they belong together, are valid today, and the key is readable by its
    owner only."""

    def __init__(
        self,
        name: str,
        key_path: Path,
        certificate_path: Path,
        certificate_pem: bytes,
        key: ec.EllipticCurvePrivateKey,
        passphrase: bytes | None = None,
    ) -> None:
        self.name, self.key_path, self.certificate_path, self.certificate_pem = (
            name,
            key_path,
            certificate_path,
            certificate_pem,
        )
        self._key, self._passphrase = key, passphrase

    def show_to(self, context: ssl.SSLContext) -> None:
        """Makes this the key and certificate that `context` presents."""
        no_prompt = self._passphrase or b""  # without one, OpenSSL would ask at the terminal
        context.load_cert_chain(self.certificate_path, self.key_path, no_prompt)

    @classmethod
    def load(
        cls, key_path: Path, certificate_path: Path, name: str | None = None, passphrase: bytes | None = None
    ) -> Identity:
        """The identity in these two files.  Raises ConfigError, with the remedy, unless it can be used now (and as
        `name`).

        passphrase: of an encrypted key; otherwise it is read from the environment, or asked for, if the key is
        encrypted.
        """
        pem = _read(certificate_path, "certificate")
        certificate = load_certificate(pem, str(certificate_path))
        key, passphrase = _load_key(key_path, passphrase)
        if key.public_key() != certificate.public_key():
            raise DamagedIdentity(
                f"{certificate_path} does not belong to the key {key_path}",
                remedy="Put back the pair that `vfl init` wrote, or make a new identity and let every partner "
                "pin it again",
            )
        found = common_name(certificate)
        if name is not None and found != name:
            raise ConfigError(
                f"{certificate_path} is the certificate of another party",
                expected=name,
                found=found,
                remedy="Name this party's own files",
            )
        check_validity(
            certificate,
            f"This party's own certificate {certificate_path}",
            "Run vfl renew, and let every partner pin the new certificate (vfl trust --replace)",
        )
        return cls(check_name(found), key_path, certificate_path, pem, key, passphrase)

    @property
    def certificate_der(self) -> bytes:
        """The certificate, as it crosses in a handshake."""
        return der_of(self.certificate_pem)

    def fingerprint(self) -> str:
        """The fingerprint of this party's certificate, to be compared by phone."""
        return fingerprint(self.certificate_pem)

    def sign(self, data: bytes) -> bytes:
        """A signature over `data` (ECDSA on P-256 with SHA-256; equal data give equal bytes)."""
        return self._key.sign(data, _SIGNATURE)

    def seal(self, data: bytes, purpose: str) -> bytes:
        """`data` encrypted for this party's own disk: AES-SIV under a key derived from the private one, which is as
        safe as that key's file is.

        Equal data give equal bytes, so that a run that resumes writes the same file."""
        return AESSIV(self._own_key(purpose)).encrypt(data, None)

    def unseal(self, data: bytes, purpose: str) -> bytes | None:
        """What was sealed for the same purpose by the same key; None if this is nothing such."""
        try:
            return AESSIV(self._own_key(purpose)).decrypt(data, None)
        except (InvalidTag, ValueError):
            return None

    def _own_key(self, purpose: str) -> bytes:
        number = self._key.private_numbers().private_value.to_bytes(32, "big")
        return HKDF(hashes.SHA256(), 64, salt=None, info=b"vfl at rest|" + purpose.encode()).derive(number)

    def __repr__(self) -> str:
        return f"<Identity of {self.name}, {self.fingerprint()}>"

    def __reduce__(self) -> str:
        raise TypeError("an identity holds a private key and is never pickled")


def create_identity(folder: Path, name: str, days: int = 825, passphrase: bytes | None = None) -> Identity:
    """A new key (`key.pem`, mode 0600) and self-signed certificate (`cert.pem`, CN = `name`) in `folder`; never
    overwrites a key.

    passphrase: what the key's file is encrypted with.
    """
    check_name(name)
    key_path, certificate_path = folder / "key.pem", folder / "cert.pem"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    sealed = serialization.NoEncryption() if passphrase is None else serialization.BestAvailableEncryption(passphrase)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
    try:
        handle = os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(
            f"{key_path} exists already", remedy="Use it, or move it away if you want to replace it"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{key_path} cannot be written ({error.strerror})", remedy="Choose a folder that this user may write"
        ) from None
    with os.fdopen(handle, "wb") as file:
        file.write(secret)
    pem = _self_signed(key, name, days).public_bytes(serialization.Encoding.PEM)
    certificate_path.write_bytes(pem)
    return Identity.load(key_path, certificate_path, name, passphrase)


def new_certificate(key_path: Path, certificate_path: Path, name: str, days: int = 825) -> bytes:
    """A new certificate (PEM) of the key in a file, which may be of a certificate that has ended.  Raises
    ConfigError."""
    key, _ = _load_key(key_path, None)
    old = load_certificate(_read(certificate_path, "certificate"), str(certificate_path))
    if key.public_key() != old.public_key():
        raise ConfigError(f"{certificate_path} does not belong to the key {key_path}", remedy="Put back the pair")
    return _self_signed(key, name, days).public_bytes(serialization.Encoding.PEM)


def _self_signed(key: ec.EllipticCurvePrivateKey, name: str, days: int) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=10)  # partners' clocks differ a little
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,  # noqa: E501
        key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    both_ends = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(both_ends, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def load_certificate(pem: bytes, where: str) -> x509.Certificate:
    """The one certificate in `pem`; raises ConfigError naming `where`."""
    if b"PRIVATE KEY" in pem:
        raise ConfigError(
            f"{where} holds a private key",
            remedy="Only certificates are exchanged; if this key was sent to anybody, make a new identity",
        )
    try:
        (certificate,) = x509.load_pem_x509_certificates(pem)
        _ = (
            certificate.public_key(),
            certificate.subject,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
        )  # read when asked for
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise DamagedIdentity(
            f"{where} does not hold exactly one certificate in PEM form",
            remedy="Ask for the cert.pem that `vfl init` wrote",
        ) from None
    return certificate


def der_of(pem: bytes) -> bytes:
    """A certificate as it crosses in a handshake.  Raises ConfigError."""
    return load_certificate(pem, "The certificate").public_bytes(serialization.Encoding.DER)


def check_validity(certificate: x509.Certificate, what: str, remedy: str) -> None:
    """Raises ConfigError if `certificate` is not valid today."""
    now = datetime.datetime.now(datetime.UTC)
    if now > certificate.not_valid_after_utc:
        raise ConfigError(f"{what} expired on {certificate.not_valid_after_utc:%Y-%m-%d}", remedy=remedy)
    if now < certificate.not_valid_before_utc:
        raise ConfigError(
            f"{what} is valid only from {certificate.not_valid_before_utc:%Y-%m-%d}",
            remedy="Check this machine's clock",
        )


def common_name(certificate: x509.Certificate) -> str:
    """The name that `certificate` was made for ("" if it bears none)."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def fingerprint(pem: bytes) -> str:
    """SHA-256 of the certificate as "AB:CD:...": what two people read to each other before they pin it."""
    return load_certificate(pem, "The certificate").fingerprint(hashes.SHA256()).hex(":").upper()


def short_fingerprint(der: bytes) -> str:
    """The first eight bytes of the fingerprint, for errors and logs."""
    return hashlib.sha256(der).digest()[:8].hex(":").upper()


def verify(certificate_pem: bytes, data: bytes, signature: bytes) -> bool:
    """Whether `signature` over `data` was made by the owner of the certificate."""
    key = load_certificate(certificate_pem, "The certificate").public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        kind = DamagedIdentity if isinstance(error, FileNotFoundError) else ConfigError
        raise kind(
            f"The {what} {path} cannot be read ({error.strerror})",
            remedy="Make one with `vfl init`, or correct the path",
        ) from None


def _load_key(path: Path, passphrase: bytes | None) -> tuple[ec.EllipticCurvePrivateKey, bytes | None]:
    """The key, and the passphrase that its file is encrypted with, if it is."""
    pem = _read(path, "key")
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(f"The key {path} can be read by other users", remedy=f"Run `chmod 600 {path}`")
    passphrase = (passphrase or _passphrase(path)) if b"ENCRYPTED" in pem else None
    try:
        key = serialization.load_pem_private_key(pem, password=passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if passphrase is not None:
            raise ConfigError(
                f"The key {path} cannot be opened with this passphrase", remedy=f"Correct {PASSPHRASE}"
            ) from None
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise DamagedIdentity(f"{path} does not hold an EC P-256 key", remedy="Make an identity with `vfl init`")
    return key, passphrase


def new_passphrase() -> bytes:
    """What a new key is to be encrypted with: from the environment, or typed twice at the terminal.  Raises
    ConfigError."""
    asked = PASSPHRASE not in os.environ
    given = _asked("Passphrase of the new key: ")
    if not given:
        raise ConfigError(
            "no passphrase was given for the new key",
            remedy=f"Set {PASSPHRASE} in this process's environment, or start it at a terminal; without "
            f"--encrypt-key the key's file is not encrypted",
        )
    if asked and _asked("The same again: ") != given:
        raise ConfigError("the two passphrases differ", remedy="Give the command again; nothing was written")
    return given.encode()


def _asked(prompt: str) -> str | None:
    """From the environment, or from who sits at the terminal; it is in no file, argument or log."""
    given = os.environ.get(PASSPHRASE)
    return getpass.getpass(prompt) if given is None and sys.stdin is not None and sys.stdin.isatty() else given


def _passphrase(path: Path) -> bytes:
    given = _asked(f"Passphrase of {path}: ")
    if not given:
        raise ConfigError(
            f"The key {path} is encrypted",
            remedy=f"Set {PASSPHRASE} in this process's environment, or start it at a terminal",
        )
    return given.encode()
