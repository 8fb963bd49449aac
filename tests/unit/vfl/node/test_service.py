"""Jobs wait for approval, run as processes that outlive their node, and are started again when they were killed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from protocols.errors import ConfigError, DisclosureRefused
from tests.unit.vfl.node.conftest import Bank
from vfl.job import load_agreement, load_party
from vfl.node import calls, process, service
from vfl.node.inbox import submit
from vfl.node.processes import locked
from vfl.node.service import Service, pause
from vfl.node.table import JobTable
from vfl.run.session import session_digest
from vfl.transport import hello
from vfl.transport.identity import der_of


def digest_of(bank: Bank) -> str:
    return load_agreement(bank.job).digest.hex()


def put(bank: Bank, node: Service) -> str:
    """Puts the job into the inbox, and lets the node take it."""
    (bank.folder / "inbox" / "job.toml").write_bytes(bank.job.read_bytes())
    node.round()
    node.round()
    return digest_of(bank)


def until(node: Service, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, node.table.entries()
        node.round()
        time.sleep(0.02)


def pid_of(bank: Bank, digest: str) -> int:
    """Of the process that runs a job, once it has said so."""
    path, deadline = bank.folder / "processes" / f"{digest}.lock", time.monotonic() + 10
    while not path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(path.read_text())


def test_a_job_waits_until_it_is_approved_and_then_runs_to_its_end(bank: Bank) -> None:
    node = bank.service()
    digest = put(bank, node)
    assert list((bank.folder / "inbox").iterdir()) == []
    node.round()
    assert node.table.get(digest).state == "waiting"
    assert not node.processes.lives(digest)
    node.table.approve(digest, "jane", "command")
    until(node, lambda: node.processes.lives(digest))
    assert node.table.get(digest).state == "running"
    with pytest.raises(ConfigError, match="is running"):
        node.table.approve(digest, "jane", "command")
    bank.end(0)
    until(node, lambda: node.table.get(digest).state == "done")
    assert [(d[1], d[2], d[3]) for d in node.table.decisions(digest)] == [("approved", "jane", "command")]


def test_a_node_that_was_killed_finds_its_processes_again(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bank.service()
    digest = put(bank, first)
    first.table.approve(digest, "jane", "command")
    until(first, lambda: first.processes.lives(digest))
    pid = pid_of(bank, digest)
    with pytest.raises(ConfigError, match="another node of bank runs"):
        bank.service()
    first.leave()
    second = bank.service()
    second.round()
    assert second.table.get(digest).state == "running"
    assert pid_of(bank, digest) == pid  # the same one: none was started besides
    assert second.processes.start(digest) is False
    # a number that the system has given to another process since then is nobody's: the lock decides
    os.kill(pid, signal.SIGKILL)
    first.processes._own[digest].wait()
    (bank.folder / "processes" / f"{digest}.lock").write_text(str(os.getpid()))
    assert not second.processes.lives(digest)
    second.processes.stop(digest)  # this process lives on
    monkeypatch.setattr(service, "pause", lambda tries: 0.0)
    until(second, lambda: second.table.get(digest).tries == 1 and second.processes.lives(digest))
    assert second.table.get(digest).code == "killed"


def test_what_resumes_is_started_again_and_what_does_not_has_failed(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "pause", lambda tries: 0.0)
    node = bank.service()
    digest = put(bank, node)
    node.table.approve(digest, "jane", "command")
    bank.end(4, again=True, error="peer-absent")
    until(node, lambda: node.table.get(digest).tries >= 2)
    assert node.table.get(digest).code == "peer-absent"
    bank.end(3, error="data")
    until(node, lambda: node.table.get(digest).state == "failed")
    assert node.table.get(digest).code == "data"
    node.round()
    assert node.table.get(digest).state == "failed"
    node.table.approve(digest, "jane", "command")  # repaired, and given again
    bank.end(0)
    until(node, lambda: node.table.get(digest).state == "done")


def test_a_job_that_is_done_has_no_error_of_an_earlier_try(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "pause", lambda tries: 0.0)
    node = bank.service()
    digest = put(bank, node)
    node.table.approve(digest, "jane", "command")
    bank.end(4, again=True, error="peer-absent")
    until(node, lambda: node.table.get(digest).code == "peer-absent")
    bank.end(0)
    until(node, lambda: node.table.get(digest).state == "done")
    assert (node.table.get(digest).code, node.table.get(digest).message) == (None, None)


def test_a_job_that_does_not_resume_is_not_started_again(bank: Bank) -> None:
    """Such as an averaging of members: each run of it uses up a budget of sums."""
    node = bank.service()
    digest = put(bank, node)
    node.table.approve(digest, "jane", "command")
    node.table.move(digest, "approved", "approved", resumes=False)
    until(node, lambda: node.processes.lives(digest))
    os.kill(pid_of(bank, digest), signal.SIGKILL)
    until(node, lambda: node.table.get(digest).state == "failed")
    assert node.table.get(digest).code == "killed"


def test_patience_ends(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "pause", lambda tries: 0.0)
    node = bank.service()
    digest = put(bank, node)
    node.table.approve(digest, "jane", "command")
    node.table.move(digest, "approved", "approved", approved_time=time.time() - 169 * 3600)
    bank.end(4, again=True, error="peer-absent")
    until(node, lambda: node.table.get(digest).state == "failed")
    assert [pause(tries) for tries in (0, 3, 9, 1000)] == [1, 8, 512, 600]


def test_a_job_that_is_cancelled_is_stopped_and_stays_so(bank: Bank) -> None:
    node = bank.service()
    digest = put(bank, node)
    node.table.approve(digest, "jane", "command")
    until(node, lambda: node.processes.lives(digest))
    pid_of(bank, digest)
    assert node.table.cancel(digest, "joe", "http").state == "cancelling"
    until(node, lambda: node.table.get(digest).state == "cancelled")
    node.round()
    assert not node.processes.lives(digest)
    assert [d[1] for d in node.table.decisions(digest)] == ["approved", "cancelled"]


def test_no_more_jobs_run_at_once_than_agreed(bank: Bank) -> None:
    bank.file.write_text(bank.file.read_text() + "jobs_at_once = 1\n")
    node = bank.service()
    first = put(bank, node)
    bank.job.write_text(bank.job.read_text().replace('name = "credit-risk', 'name = "second-risk'))
    second = put(bank, node)
    assert first != second
    for digest in (first, second):
        node.table.approve(digest, "jane", "command")
    node.round()
    node.round()
    assert sorted(entry.state for entry in node.table.entries()) == ["approved", "running"]


def test_an_allow_list_of_the_party_file_approves(bank: Bank) -> None:
    bank.file.write_text(bank.file.read_text() + f'approved = ["{digest_of(bank)}"]\n')
    node = bank.service()
    entry = node.table.get(put(bank, node))
    assert (entry.approved_how, entry.state) == ("party file", "running")


def test_what_is_no_job_of_this_party_stays_in_the_inbox_with_a_reason(bank: Bank) -> None:
    node, inbox = bank.service(), bank.folder / "inbox"
    (inbox / "half.toml").write_text('name = "half')
    (inbox / "other.toml").write_text(bank.job.read_text().replace('guest = "bank"', 'guest = "other"'))
    (inbox / "link.toml").symlink_to(bank.file)
    node.round()
    assert node.inbox.refused == {}  # it may still be written
    node.round()
    assert set(node.inbox.refused) == {"half.toml", "other.toml", "link.toml"}
    assert node.table.entries() == []
    (inbox / "half.toml").write_bytes(bank.job.read_bytes())
    node.round()
    node.round()
    assert [entry.state for entry in node.table.entries()] == ["waiting"]


def test_a_process_refuses_what_nobody_approved_or_what_was_changed_since(bank: Bank) -> None:
    """Planted faults: a node that starts a job too early, and a file that somebody exchanges after the approval."""
    table, party = JobTable(bank.folder), load_party(bank.file)
    digest = submit(table, party, bank.job).digest
    with pytest.raises(DisclosureRefused, match="is not approved"):
        process.approved_job(table, digest)
    table.approve(digest, "jane", "command")
    assert process.approved_job(table, digest)[1].by == "jane"  # the positive control
    file: Path = table.job_file(digest)
    file.write_text(file.read_text().replace("max_iter = 5", "max_iter = 6"))
    with pytest.raises(DisclosureRefused, match="has changed since it was approved"):
        process.approved_job(table, digest)
    table.cancel(digest, "jane", "command")
    with pytest.raises(DisclosureRefused, match="is not approved"):
        process.approved_job(table, digest)


def test_who_calls_in_vain_for_a_job_that_waits_is_noted_and_costs_little(bank: Bank) -> None:
    node = bank.service()
    digest = put(bank, node)
    node.calls.heard(hello.knock("telecom", b"x" * 32))
    node.round()
    assert node.table.get(digest).called is None
    knock = hello.knock("telecom", session_digest(load_agreement(bank.job), "run"))
    for _ in range(calls.MOST_CHECKS):
        node.calls.heard(hello.knock("telecom", b"x" * 32))
    node.calls.heard(knock)  # is left out
    node.round()
    assert node.table.get(digest).called is None
    node.calls.heard(knock)
    node.round()
    assert node.table.get(digest).called is not None


def test_a_partner_with_another_file_of_a_job_that_waits_is_named(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    node, now = bank.service(), 1000.0
    monkeypatch.setattr(calls, "time", SimpleNamespace(monotonic=lambda: now))
    digest, job = put(bank, node), load_agreement(bank.job)
    own, theirs = (
        der_of((bank.parties.folder / name / "identity" / "cert.pem").read_bytes()) for name in ("bank", "telecom")
    )

    def heard(session: bytes, name: str = "telecom", named: str = f"run {job.name}") -> str | None:
        """What the node says after both knocks of an attempt."""
        node.calls.heard(hello.knock(name, session))
        node.calls.heard(hello.knock(name, hello.name_key(theirs, own, named)))
        node.round()
        return node.table.get(digest).message

    right = session_digest(job, "run")
    assert heard(right) is None
    now += 60
    assert heard(b"x" * 32, named="run another") is None
    assert heard(b"x" * 32, name="trustco") is None  # telecom's certificate, under another name
    said = heard(b"x" * 32)
    assert said is not None
    assert said.startswith("telecom, or someone who has its certificate")
    assert node.table.get(digest).called is not None  # of the first attempt
    now += 60
    assert heard(right) is None  # it has the right file now
    now += 60
    for _ in range(calls.MOST_CHECKS - 1):
        node.calls.heard(hello.knock("telecom", b"y" * 32))
    for knock in (right, right):  # the second one is left out, so the knock by the name that follows proves nothing
        node.calls.heard(hello.knock("telecom", knock))
    node.round()
    node.calls.heard(hello.knock("telecom", hello.name_key(theirs, own, f"run {job.name}")))
    node.round()
    assert node.table.get(digest).message is None
    assert heard(b"x" * 32) is None  # likewise, for some seconds
    now += 60
    assert heard(b"x" * 32) == said
    assert node.table.approve(digest, "jane", "command").message is None


def test_a_lock_is_of_one_process_alone(tmp_path: Path) -> None:
    held = locked(tmp_path / "lock")
    assert held is not None
    assert locked(tmp_path / "lock") is None
    os.close(held)


BREAKS = {  # what is wrong with this party's files, and what vfl node submit says
    "a value is missing": (lambda text: re.sub(r",[0-9.]+$", ",", text, count=1, flags=re.MULTILINE), None, "missing"),
    "too few rows": (lambda text: "".join(text.splitlines(keepends=True)[:5]), None, "rows of this party's table"),
    "a budget is used up": (
        None,
        ("[policy]", "[policy]\nruns_per_partner_per_month = 0"),
        "runs_per_partner_per_month",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_job_that_the_own_table_or_budget_breaks_does_not_enter(bank: Bank, name: str) -> None:
    table, policy, says = BREAKS[name]
    submit_command = ("node", "submit", bank.job, bank.file)
    if table is not None:
        file = Path(load_party(bank.file).data.source)  # type: ignore[union-attr]
        file.write_text(table(file.read_text()))
    if policy is not None:
        bank.file.write_text(bank.file.read_text().replace(*policy, 1))
    ended = bank.parties.here(*submit_command)
    assert ended.code in (2, 3, 6), ended.err
    assert says in ended.err
    assert JobTable(bank.folder).entries() == []
    assert not list((bank.folder / "jobs").iterdir())


def test_a_job_that_fits_enters(bank: Bank) -> None:
    assert bank.parties.here("node", "submit", bank.job, bank.file).code == 0
    assert [entry.state for entry in JobTable(bank.folder).entries()] == ["waiting"]
