"""Three institutions train with prepared iterations, and one is killed within a chunk: all end, their ledgers
agree, and no store is left."""

from __future__ import annotations

import signal

import pytest

from tests.promises.processes.institutions import Institutions
from tests.promises.processes.test_resumed_runs import start, until_sent
from vfl.ledger import read_ledger, reconcile, verify_ledger
from vfl.storage.run_store import FILE


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "messages"), [("trustco", 40), ("bank", 40), ("telecom", 30)])
def test_a_party_that_is_killed_within_a_chunk_comes_back(parties: Institutions, victim: str, messages: int) -> None:
    parties.lay_out(reconnect=60, max_iter=20)
    started = {name: start(parties, name) for name in parties.roles}
    until_sent(parties, victim, messages)
    started[victim].kill(signal.SIGKILL)
    started[victim].wait(10)
    started[victim] = start(parties, victim)
    ended = {name: process.wait(100) for name, process in started.items()}
    assert all(one.code == 0 for one in ended.values()), [one.err for one in ended.values()]
    assert not list(parties.folder.rglob(FILE))
    ledgers = {name: one.folder / "ledger.jsonl" for name, one in ended.items()}
    for path in ledgers.values():
        assert verify_ledger(path).outcome == "done"
        assert any(line["type"] == "renewed" for line in read_ledger(path))
    for one, other in (("bank", "telecom"), ("bank", "trustco"), ("telecom", "trustco")):
        assert not any(reconcile(ledgers[one], ledgers[other]).underway.values())
