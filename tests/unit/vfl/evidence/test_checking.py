"""`vfl evidence verify` names the file in which one byte was changed, wherever that is."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.errors import ConfigError
from vfl.evidence.archive import Files, packed, unpacked
from vfl.evidence.checking import EvidenceBroken, check
from vfl.evidence.pack import pack
from vfl.evidence.seal import as_json, sealed, sha256, signed_bytes
from vfl.transport.identity import Identity, create_identity


@pytest.fixture(scope="module")
def data(run: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return pack(run, tmp_path_factory.mktemp("packed") / "pack.zip").file.read_bytes()


@pytest.fixture(scope="module")
def files(data: bytes) -> Files:
    return unpacked(data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pack.zip"


def fault(path: Path, data: bytes, certificate: bytes | None = None) -> str:
    """What the check says of these bytes."""
    path.write_bytes(data)
    with pytest.raises(EvidenceBroken) as found:
        check(path, certificate)
    return str(found.value)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def places(data: bytes) -> Iterator[tuple[str, int]]:
    """(file, place) of bytes of each file in the archive: of its header, and at both ends of its content."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            start = entry.header_offset + 30 + len(entry.filename)
            yield from ((entry.filename, entry.header_offset + k) for k in (0, 8, 14, 30))
            yield from ((entry.filename, start + k) for k in (0, entry.file_size - 1))


def named(name: str, said: str) -> bool:
    """Whether a file is named, by its name or, if that was changed, by the changed one."""
    return name in said or any(flipped(name.encode(), k).decode() in said for k in range(len(name)))


def test_an_unchanged_pack_is_sound(path: Path, data: bytes, institution: Path) -> None:
    path.write_bytes(data)
    found = check(path)
    assert (found.trusted, found.messages, set(found.partners)) == (False, 2, {"telecom"})
    assert found.index["party"] == "bank"
    assert check(path, (institution / "identity" / "cert.pem").read_bytes()).trusted


def test_one_changed_byte_in_any_file_is_named(path: Path, data: bytes) -> None:
    tried = list(places(data))
    assert len({name for name, _ in tried}) == 17
    for name, place in tried:
        said = fault(path, flipped(data, place))
        assert named(name, said), (name, place, said)


def test_one_changed_byte_of_the_archives_directory_is_found(path: Path, data: bytes, files: Files) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.start_dir
    for place in range(start, len(data), 29):
        said = fault(path, flipped(data, place))
        assert "directory" in said or any(named(name, said) for name in files), (place, said)
    assert "directory" in fault(path, data[:-1])
    assert "directory" in fault(path, data + b"x")
    assert "directory" in fault(path, b"")


@pytest.mark.slow
def test_every_byte_of_the_archives_directory_and_headers(path: Path, data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        heads = [p for e in archive.infolist() for p in range(e.header_offset, e.header_offset + 30 + len(e.filename))]
        for place in (*heads, *range(archive.start_dir, len(data))):
            fault(path, flipped(data, place))


def test_one_changed_byte_in_an_archive_packed_again_is_named(path: Path, files: Files) -> None:
    """Checksums of the archive are right again: the index and the signature find it."""
    for name, content in files.items():
        for place in (0, len(content) // 2, len(content) - 1):
            said = fault(path, packed(files | {name: flipped(content, place)}))
            assert name in said, (name, place, said)


def test_missing_and_further_files_are_named(path: Path, files: Files) -> None:
    for name in files:
        assert f"{name} is missing" in fault(path, packed({k: v for k, v in files.items() if k != name}))
    assert "notes.txt does not belong" in fault(path, packed(files | {"notes.txt": b"x"}))
    assert "../x does not belong" in fault(path, packed(files | {"../x": b"x"}))


def reindexed(files: Files, changed: Files) -> Files:
    """With an index that fits."""
    index = json.loads(files["index.json"])
    for one in index["files"]:
        if one["path"] in changed:
            one |= {"sha256": sha256(changed[one["path"]]), "bytes": len(changed[one["path"]])}
    return files | changed | {"index.json": as_json(index)}


def test_an_index_that_was_made_to_fit_is_not_signed(path: Path, files: Files) -> None:
    forged = reindexed(files, {"figures.json": files["figures.json"].replace(b"0.81", b"0.91")})
    assert "index.json was changed, or another key signed the pack" in fault(path, packed(forged))
    signature = json.loads(files["index.sig"]) | {"index_sha256": sha256(forged["index.json"])}
    said = fault(path, packed(forged | {"index.sig": as_json(signature)}))
    assert "index.sig was changed, or another key signed the pack" in said


def test_another_key_is_found(path: Path, data: bytes, files: Files, tmp_path: Path) -> None:
    """A forger signs index and certificate with an own key of the same name."""
    forger = create_identity(tmp_path / "forger", "bank")
    assert "another key" in fault(path, data, forger.certificate_pem)
    forged = signed_by(forger, reindexed(files, {"certificate.pem": forger.certificate_pem}))
    path.write_bytes(packed(forged))
    assert not check(path).trusted  # nothing in the pack tells: only a certificate from elsewhere does
    assert "another key" in fault(path, packed(forged), files["certificate.pem"])
    both = {"certificate.pem": forger.certificate_pem, "ledger/certificate.pem": forger.certificate_pem}
    said = fault(path, packed(signed_by(forger, reindexed(files, both))))
    assert "ledger/ledger.jsonl" in said
    assert "is not signed by the owner of this certificate" in said


def signed_by(forger: Identity, files: Files) -> Files:
    return files | {"index.sig": sealed(files["index.json"], forger.certificate_pem, forger.sign)}


def test_a_signed_pack_with_a_ledger_of_another_run_is_found(path: Path, files: Files, institution: Path) -> None:
    """The party itself exchanges what the pack proves."""
    own = Identity.load(institution / "identity" / "key.pem", institution / "identity" / "cert.pem")
    cut = b"".join(files["ledger/ledger.jsonl"].splitlines(keepends=True)[:-1])
    assert "ledger" in fault(path, packed(signed_by(own, reindexed(files, {"ledger/ledger.jsonl": cut}))))
    other = files["job/agreed.txt"].replace(b'"seed":7', b'"seed":8')
    said = fault(path, packed(signed_by(own, reindexed(files, {"job/agreed.txt": other}))))
    assert "job/agreed.txt is not the job of this run" in said
    partners = json.loads(files["ledger/signatures.json"])
    partners["partners"]["telecom"]["sent"] = 2
    said = fault(path, packed(signed_by(own, reindexed(files, {"ledger/signatures.json": as_json(partners)}))))
    assert "telecom's signature does not hold" in said


@pytest.mark.parametrize("content", [b"", b"PK", b"{}", bytes(22), b"PK\x05\x06" + bytes(18)])
def test_what_is_no_pack_is_refused(path: Path, content: bytes) -> None:
    assert "pack.zip" in fault(path, content)


def test_a_missing_file_is_a_wrong_name(path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        check(path)


def test_hostile_signature_files_are_refused(path: Path, files: Files) -> None:
    for bad in (b"[" * 9000, b"null", as_json({"signature": 7}), as_json({"signature": "§"}),
                as_json({"signature": base64.b64encode(b"x").decode()})):  # fmt: skip
        assert "index.sig was changed" in fault(path, packed(files | {"index.sig": bad}))
    for bad in (b"[" * 9000, b"null", b"{}", as_json({"files": [{}], "format": 1})):
        assert "index.json was changed" in fault(path, packed(files | {"index.json": bad}))
    assert signed_bytes(b"x") == b"vfl evidence 1\nx"
