"""What goes wrong between institutions, and in the files of one: the exit code, who is named, what to do; and nothing
of ours was sent."""

from __future__ import annotations

import datetime
import resource
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_pem_x509_certificate

from tests.promises.processes.institutions import KEY, Institutions, tables
from vfl.demo.run import free_ports
from vfl.transport import identity


def another_certificate(parties: Institutions, name: str) -> Path:
    """A second identity of the same name: self-made, and not the one that the party uses."""
    return identity.create_identity(parties.folder / "forged" / name, name).certificate_path


def expire(parties: Institutions, name: str) -> None:
    """Gives a party a certificate of its own key that has ended."""
    folder = parties.folder / name / "identity"
    key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    expired = identity._self_signed(key, name, 0)
    (folder / "cert.pem").write_bytes(expired.public_bytes(serialization.Encoding.PEM))


def nothing_sent(parties: Institutions, *names: str) -> None:
    for name in names or tuple(parties.roles):
        assert parties.sent(name) == 0


# -- what two parties find out when they meet


def test_a_certificate_that_is_not_pinned_ends_both_sides(parties: Institutions) -> None:
    parties.lay_out()
    (parties.folder / "bank" / "peers" / "telecom.pem").write_bytes(
        another_certificate(parties, "telecom").read_bytes()
    )
    bank, telecom = parties.start("bank"), parties.start("telecom")
    bank.wait(20).says(
        4, "No connection with telecom: its certificate is not pinned here", "Pin the certificate that telecom uses now"
    )
    telecom.wait(20).says(
        4, "No connection with bank: it refuses this party's certificate", "pin the certificate that telecom uses now"
    )
    nothing_sent(parties)


def test_job_files_that_differ_end_both_sides(parties: Institutions) -> None:
    parties.lay_out()
    other = parties.folder / "other.toml"
    other.write_text(parties.job.read_text().replace("C = 1.0", "C = 2.0"))
    bank, telecom = parties.start("bank"), parties.start("telecom", job=other)
    for name, process in (("telecom", bank), ("bank", telecom)):
        process.wait(20).says(
            4, name, "the job differs", "Compare `vfl job digest job.toml` at both parties and use the same file"
        )
    nothing_sent(parties)


def test_a_host_that_dials_a_wrong_port_is_the_one_to_ask(parties: Institutions) -> None:
    parties.lay_out()
    parties.change("telecom", f'address = "{parties.ports["bank"]}"', f'address = "127.0.0.1:{free_ports(1)[0]}"')
    others = [parties.start(name) for name in ("bank", "trustco")]
    parties.start("telecom", timeout=1).wait(20).says(4, "bank was not reached at .* nobody listens there")
    for process in others:
        process.wait(20).says(4, r"telecom did not reach bank \('peer-unreachable'\)", "Ask telecom")


def test_a_peer_that_is_not_there(parties: Institutions) -> None:
    parties.lay_out()
    waits, dials = parties.start("bank", timeout=1), parties.start("trustco", timeout=40)
    waits.wait(20).says(
        4, r"telecom did not call this party in 1 s", "Start telecom, and check the address that it dials"
    )
    dials.wait(20).says(4, r"telecom did not reach bank \('peer-absent'\)", "Ask telecom")
    parties.start("telecom", timeout=1).wait(20).says(
        4, r"bank was not reached at 127.0.0.1:\d+ in 1 s: nobody listens there", "Start bank, and check its address"
    )
    nothing_sent(parties)


def test_an_expired_certificate(parties: Institutions) -> None:
    parties.lay_out()
    expire(parties, "telecom")
    certificate = parties.folder / "telecom" / "identity" / "cert.pem"
    (parties.folder / "bank" / "peers" / "telecom.pem").write_bytes(certificate.read_bytes())
    bank, telecom = parties.start("bank"), parties.start("telecom")
    telecom.wait(20).says(
        2, "This party's own certificate .* expired on", "Run vfl renew, and let every partner pin the new certificate"
    )
    bank.wait(20).says(2, "The certificate of telecom expired on", "Ask telecom for a new one")
    nothing_sent(parties)
    assert load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc < datetime.datetime.now(datetime.UTC)
    assert len(load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256())) == 32


def test_too_few_customers_in_common_end_all_three(parties: Institutions) -> None:
    data = tables()
    data["telecom"][KEY] = [f"CANARY-other-{i}" for i in range(len(data["telecom"]))]
    parties.lay_out(data)
    results = parties.together()
    for name in ("bank", "telecom"):
        results[name].says(
            3, "no id is common to all parties, and this job wants at least 5", "same id column and normaliser"
        )
    results["trustco"].says(4, "the data parties have too few ids in common", "Ask a data party for the message")
    sent = [
        line
        for f in (parties.folder / "bank").rglob("ledger.jsonl")
        for line in f.read_text().splitlines()
        if '"REVEALED"' in line
    ]
    assert len(sent) == 1  # the size, which is nought
    assert '"message":"IntersectionSize"' in sent[0]


# -- what one party finds out alone


def no_label(parties: Institutions) -> None:
    parties.change("bank", 'label = "canarylabel"', 'label = "outcome"')


def role_swapped(parties: Institutions) -> None:
    text = (
        parties.job.read_text()
        .replace('guest = "bank"', 'guest = "x"')
        .replace('hosts = ["telecom"]', 'hosts = ["bank"]')
    )
    parties.job.write_text(text.replace('guest = "x"', 'guest = "telecom"'))


def a_folder_as_table(parties: Institutions) -> None:
    table = parties.folder / "bank" / "customers.csv"
    table.unlink()
    table.mkdir()


def a_damaged_table(parties: Institutions) -> None:
    (parties.folder / "bank" / "customers.csv").write_bytes(b"\x80\xff\x00PAR1" * 40)


def a_forbidden_job(parties: Institutions) -> None:
    parties.change("bank", '  "scores-to-guest",\n', "")


def a_small_intersection(parties: Institutions) -> None:
    parties.change("bank", "min_intersection = 5", "min_intersection = 50")


def unknown_key(parties: Institutions) -> None:
    parties.job.write_text(parties.job.read_text().replace("max_iter", "max_itre"))


def another_version(parties: Institutions) -> None:
    parties.job.write_text(parties.job.read_text().replace("version = 1", "version = 2"))


def an_open_key(parties: Institutions) -> None:
    (parties.folder / "bank" / "identity" / "key.pem").chmod(0o644)


ALONE: list[tuple[Callable[[Institutions], None], int, tuple[str, ...]]] = [
    (no_label, 3, ("bank: label column 'outcome' is not in the table", r"Correct the name")),
    (role_swapped, 2, ('bank: role is "guest", the job \'credit-risk\' says "host"', "Make both files say the same")),
    (a_folder_as_table, 3, ("customers.csv: the folder holds no file", "Check the path")),
    (a_damaged_table, 3, ("customers.csv.* UTF-8", "Save|Convert")),
    (
        a_forbidden_job,
        6,
        ("bank: the job allows what this party's policy.allow does not: 'scores-to-guest'", "Remove it from the job"),
    ),
    (
        a_small_intersection,
        6,
        ("min_intersection is 5, this party's policy.at_least.min_intersection is 50", "Agree on a job"),
    ),
    (unknown_key, 2, ("job.toml", "model.max_itre", "Did you mean 'max_iter'")),
    (another_version, 2, ("version", "is 2", "Expected 1")),
    (an_open_key, 2, ("key.pem can be read by other users", "chmod 600")),
]


@pytest.mark.parametrize(("fault", "code", "words"), ALONE, ids=[fault.__name__ for fault, *_ in ALONE])
def test_a_fault_at_home_is_found_before_anything_is_opened(
    parties: Institutions, fault: Callable[[Institutions], None], code: int, words: tuple[str, ...]
) -> None:
    parties.lay_out()
    fault(parties)
    ended = parties.here("run", "--progress", "lines", parties.job, parties.file("bank"))
    ended.says(code, *words)
    assert "CANARY" not in ended.err
    assert ended.out == ""
    nothing_sent(parties)
    assert not list(parties.folder.rglob("runs"))


def no_table(parties: Institutions) -> None:
    (parties.folder / "telecom" / "customers.csv").unlink()


def a_hole(parties: Institutions) -> None:
    parties.data["telecom"].loc[parties.data["telecom"].index[3], "canarybill"] = None
    parties.data["telecom"].to_csv(parties.folder / "telecom" / "customers.csv", index=False)


def a_floor(parties: Institutions) -> None:
    parties.change("telecom", "min_intersection = 5", "min_intersection = 50")


def a_policy(parties: Institutions) -> None:
    parties.change("telecom", '  "scores-to-guest",\n', "")


def no_runs_left(parties: Institutions) -> None:
    """What is found out after the files were read: a budget."""
    parties.change("telecom", "runs_per_partner_per_month = 20", "runs_per_partner_per_month = 0")


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (no_table, 2, "telecom found a fault in its own files"),
        (a_hole, 3, "telecom found a fault in its own table"),
        (no_runs_left, 6, "telecom refused: policy.runs_per_partner_per_month"),
        pytest.param(a_policy, 6, "telecom refused: no permission scores-to-guest", marks=pytest.mark.slow),
        pytest.param(a_floor, 6, "telecom refused: policy.at_least.min_intersection", marks=pytest.mark.slow),
    ],
)
def test_a_party_that_fails_before_it_connects_tells_those_that_wait(
    parties: Institutions, fault: Callable[[Institutions], None], code: int, said: str
) -> None:
    parties.lay_out()
    fault(parties)
    others = {name: parties.start(name) for name in ("bank", "trustco")}
    for process in others.values():
        process.until(lambda events: any("telecom" in event["missing"] for event in events))
    started = time.monotonic()
    ended = parties.start("telecom").wait(30)
    assert ended.code == code, ended.err
    for process in others.values():
        process.wait(30).says(4, said, "Ask telecom")
    assert time.monotonic() - started < 30  # the connect timeout is 60 s
    nothing_sent(parties)


def test_the_port_is_taken(parties: Institutions) -> None:
    parties.lay_out()
    address, port = parties.ports["bank"].split(":")
    with socket.create_server((address, int(port))):
        parties.start("bank").wait(20).says(
            4, f"This party cannot listen at {address}:{port}", "End the other program that uses the port"
        )
    nothing_sent(parties)
    assert list((parties.folder / "bank" / "runs").iterdir()) == []


# -- a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this account may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_ends_all_three(parties: Institutions, small_disk: Path) -> None:
    parties.lay_out(max_iter=200)
    parties.change("telecom", 'directory = "runs"', f'directory = "{small_disk}"')
    ended_by_a_full_disk(parties, "No space left on device")


@pytest.mark.slow
def test_a_file_that_may_not_grow_ends_all_three(parties: Institutions) -> None:
    """As a full disk, where nothing can be mounted: no file of this process may exceed 40 kB, which the ledger does."""
    parties.lay_out(max_iter=200)
    ended_by_a_full_disk(
        parties, "File too large", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40 << 10, 40 << 10))
    )


def ended_by_a_full_disk(parties: Institutions, why: str, **popen: object) -> None:
    others = {name: parties.start(name) for name in ("bank", "trustco")}
    full = parties.start("telecom", "--progress", "none", **popen).wait(60)
    full.says(
        2,
        rf"the (ledger .* cannot be written \({why}\), so nothing more is sent|(run store|budget) .* cannot be "
        rf"read or written)",
        "Make room",
        "resumes",
    )
    for process in others.values():
        process.wait(15).says(4, "telecom found a fault in its own files", "Ask telecom")
    for name in others:
        assert not list((parties.folder / name / "runs").rglob("model"))


@pytest.mark.slow
def test_a_result_that_cannot_be_kept_is_kept_by_nobody(parties: Institutions) -> None:
    """The run itself goes well; then the model cannot be written at one party, and the others do not keep theirs, until
    there is room and all go on."""
    parties.lay_out()
    folder = parties.folder / "few-files"  # holds the ledger and what is written beside it, and not the model
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "nr_inodes=10", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this account may not mount a file system")
    try:
        parties.change("telecom", 'directory = "runs"', f'directory = "{folder}"')
        results = parties.together()
        results["telecom"].says(
            2, r"the results cannot be written to .* \(No space left on device\)", "Make room there"
        )
        for name in ("bank", "trustco"):
            results[name].says(4, "telecom found a fault in its own files", "Ask telecom")
            assert not list((parties.folder / name / "runs").glob("*/model"))
            assert not list((parties.folder / name / "runs").rglob("report.json"))
        subprocess.run(["mount", "-o", "remount,nr_inodes=1000", str(folder)], check=True)
        results = parties.done()
        assert results["telecom"].folder.parent == folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
