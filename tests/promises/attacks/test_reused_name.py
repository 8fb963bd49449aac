"""A guest that gives every run the name of one that was counted, so as to align without end past
runs_per_partner_per_month."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from protocols.errors import DisclosureRefused, RemoteProtocolError, VFLError
from protocols.recovery import resume
from protocols.session import Observer
from tests.promises.attacks.hostile_guest import HOW
from tests.promises.processes.institutions import Institutions, institutions
from tests.promises.processes.test_align_run import alone
from vfl.job import load_agreement, load_party
from vfl.run import align as alignment_run

LIMIT = 2


def lay_out(parties: Institutions) -> None:
    """The host agrees to LIMIT runs a month; the guest, who attacks, to as many as it wants."""
    parties.lay_out()
    alone(parties)
    for name, limit in (("bank", 1000), ("telecom", LIMIT)):
        parties.change(name, "runs_per_partner_per_month = 20", f"runs_per_partner_per_month = {limit}")


def aligned(parties: Institutions, patience: float = 10) -> VFLError | None:
    """One alignment over TLS, each party a thread: how it ended at the host; patience: seconds for which a party waits
    for the other."""
    ended: dict[str, VFLError] = {}

    def live(name: str) -> None:
        try:
            ready = alignment_run.prepare(load_agreement(parties.job), load_party(parties.file(name)))
            alignment_run.align(ready, Observer(), connect_timeout=patience)
        except VFLError as error:
            ended[name] = error

    threads = [threading.Thread(target=live, args=(name,)) for name in ("telecom", "bank")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return ended.get("telecom")


def test_runs_under_one_reused_name_are_counted_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with institutions(tmp_path) as parties:
        lay_out(parties)
        with monkeypatch.context() as patch:
            patch.setattr(resume, *HOW["same-name"])
            error = aligned(parties)
            assert isinstance(error, RemoteProtocolError)
            assert error.party == "bank"
            patch.setattr(resume, *HOW["same-nonce"])
            assert [aligned(parties) for _ in range(LIMIT)] == [None] * LIMIT
            sent, error = parties.sent("telecom"), aligned(parties, 1)
            assert isinstance(error, DisclosureRefused)
            assert f"{LIMIT} runs with bank this month, and policy.runs_per_partner_per_month is {LIMIT}" in error.what
            assert parties.sent("telecom") == sent  # nothing was sent
        with monkeypatch.context() as patch:  # the control: as it was, more runs than the host agreed to
            clear(parties)
            for how in ("same-name", "any-name"):
                patch.setattr(resume, *HOW[how])
            assert [aligned(parties) for _ in range(LIMIT + 1)] == [None] * (LIMIT + 1)


def clear(parties: Institutions) -> None:
    (parties.folder / "telecom" / "runs" / "budget.sqlite").unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("guest", "host", "runs"), [("same-nonce", "", LIMIT), ("same-name", "", 0), ("same-name", "any-name", 5)]
)
def test_five_runs_of_real_processes_under_one_reused_name(tmp_path: Path, guest: str, host: str, runs: int) -> None:
    """The last case is the control: a host that lets the guest name its runs."""
    with institutions(tmp_path) as parties:
        lay_out(parties)
        codes = []
        for _ in range(5):
            files = str(parties.job), str(parties.file("telecom"))
            command = (
                ["-m", "tests.promises.attacks.hostile_guest", host]
                if host
                else ["-m", "vfl", "align", "--progress", "none"]
            )
            hosts = parties.run([*command, *files], "telecom")
            guests = parties.run(
                ["-m", "tests.promises.attacks.hostile_guest", guest, str(parties.job), str(parties.file("bank"))],
                "bank",
            )
            codes.append(hosts.wait(40).code)
            guests.end()
        assert codes == [0] * runs + [5 if guest == "same-name" else 6] * (5 - runs)
