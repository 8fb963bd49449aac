"""`vfl check` ends as `vfl run` would where a certificate, the port or the run directory is wrong, says what ends soon,
and with --connect meets all who give the same command."""

from __future__ import annotations

import datetime
import os
import socket
from collections.abc import Callable

import pytest

from tests.promises.processes.institutions import Ended, Institutions
from tests.promises.processes.test_refusals import nothing_sent
from vfl.transport import identity


def check(parties: Institutions, name: str = "telecom") -> Ended:
    return parties.here("check", parties.job, parties.file(name))


def pin_of(parties: Institutions, pem: bytes) -> None:
    """Replaces the certificate of the bank that telecom has pinned."""
    (parties.folder / "telecom" / "peers" / "bank.pem").write_bytes(pem)


def made(parties: Institutions, name: str, days: int) -> bytes:
    """The certificate of another identity, which ends after `days`."""
    made = identity.create_identity(parties.folder / f"{name}-{days}", name, days)
    return made.certificate_path.read_bytes()


def expired(parties: Institutions) -> None:
    key = identity.ec.generate_private_key(identity.ec.SECP256R1())
    pin_of(parties, identity._self_signed(key, "bank", 0).public_bytes(identity.serialization.Encoding.PEM))


def no_certificate(parties: Institutions) -> None:
    pin_of(parties, b"hello\n")


def the_arbiters(parties: Institutions) -> None:
    pin_of(parties, (parties.folder / "trustco" / "identity" / "cert.pem").read_bytes())


def two_certificates(parties: Institutions) -> None:
    pin_of(parties, 2 * (parties.folder / "bank" / "identity" / "cert.pem").read_bytes())


def no_run_directory(parties: Institutions) -> None:
    (parties.folder / "telecom" / "runs").write_text("a file")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (expired, ("The certificate of bank expired on", "Ask bank for a new one")),
        (no_certificate, ("The certificate of bank does not hold exactly one certificate", "Ask for the cert.pem")),
        (the_arbiters, ("(bank and trustco|trustco and bank) have the same certificate", "Pin for each party")),
        (two_certificates, ("The certificate of bank does not hold exactly one certificate", "Ask for the cert.pem")),
        (no_run_directory, ("the run folder .* cannot be made", r"\[run\] directory")),
    ],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_what_run_would_refuse_is_refused_by_check(
    parties: Institutions, fault: Callable[[Institutions], None], words: tuple[str, ...]
) -> None:
    parties.lay_out()
    fault(parties)
    found = check(parties)
    found.says(2, *words)
    assert "Ready" not in found.out


def test_fewer_own_rows_than_must_be_common_are_refused_before_anything_is_sent(parties: Institutions) -> None:
    parties.lay_out(min_intersection=6000)
    rows = len(parties.data["telecom"])
    for command in ("check", "run", "align"):
        parties.here(command, parties.job, parties.file("telecom")).says(
            3,
            rf"telecom: {rows} rows .* an id of their own, and the job wants at least 6,000 common ones",
            "lower align",
        )
    assert parties.sent("telecom") == 0


def test_a_port_that_is_taken_is_refused(parties: Institutions) -> None:
    parties.lay_out()
    address, port = parties.ports["bank"].split(":")
    with socket.create_server((address, int(port))):
        check(parties, "bank").says(4, f"This party cannot listen at {address}:{port}", "End the other program")
    found = check(parties, "bank")
    assert (found.code, "Ready" in found.out) == (0, True), found.err
    assert os.listdir(parties.folder / "bank" / "runs") == []  # what it tried, it has undone


def test_a_certificate_that_ends_soon_or_bears_another_name_is_said(parties: Institutions) -> None:
    parties.lay_out()
    assert "ends on" not in check(parties).out
    pin_of(parties, made(parties, "bank", 12))
    said = " ".join(check(parties).out.split())
    day = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=11)
    assert "the certificate of bank ends on" in said
    assert f"{day:%Y-%m}" in said or day.day > 27
    assert "ask bank for a new one, and pin it before then" in said
    both = '["peers/bank.pem", "peers/former.pem"]'
    former = parties.folder / "telecom" / "peers" / "former.pem"
    former.write_bytes((parties.folder / "bank" / "identity" / "cert.pem").read_bytes())
    parties.change("telecom", '"peers/bank.pem"', both)
    expired(parties)
    said = " ".join(check(parties).out.split())
    assert "the certificate of bank ended on" in said
    assert "remove it from peers.bank.certificate" in said
    assert "in -" not in said
    parties.change("telecom", both, '"peers/bank.pem"')
    pin_of(parties, made(parties, "other", 300))
    assert "the certificate of bank was made for another name" in " ".join(check(parties).out.split())


def test_swapped_files_are_said_in_one_line(parties: Institutions) -> None:
    parties.lay_out()
    for command in ("check", "run"):
        parties.here(command, parties.file("bank"), parties.job).says(
            2, "party.toml is a party file, not a job file", "Give the job file first"
        )
    parties.here("check", parties.job, parties.job).says(2, "job.toml is a job file, not a party file")


@pytest.mark.slow
def test_all_meet_and_nothing_is_sent(parties: Institutions) -> None:
    parties.lay_out()
    words = ["-m", "vfl", "check", "--connect", "--connect-timeout", "40", str(parties.job)]
    started = {name: parties.run([*words, str(parties.file(name))], name) for name in parties.roles}
    for name, process in started.items():
        ended = process.wait(60)
        said = " ".join(ended.out.split())
        assert ended.code == 0, ended.err
        others = " and ".join(other for other in ("bank", "telecom", "trustco") if other != name)
        assert f"Connected to {others}: the same job, release and certificates." in said
    nothing_sent(parties)
    other = parties.folder / "other.toml"
    other.write_text(parties.job.read_text().replace("C = 1.0", "C = 2.0"))
    bank = parties.run([*words, str(parties.file("bank"))], "bank")
    telecom = parties.run([*words[:-1], str(other), str(parties.file("telecom"))], "telecom")
    for process in (bank, telecom):
        process.wait(60).says(4, "the job differs")
