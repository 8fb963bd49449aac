"""Three institutions train on shares of Gram matrices: after a command that finds nothing to prepare, and with one of
them killed in the middle."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest

from tests.promises.processes.institutions import Institutions, tables
from tests.promises.processes.test_prepared_ahead import WITHIN, files, kinds, weights
from tests.promises.processes.test_resumed_runs import start, until_sent
from vfl.ledger import reconcile, verify_ledger
from vfl.storage.run_store import FILE

ROWS = 4_000  # of which about 2,500 are common and trained on: the rule says yes
PAIRS = (("bank", "telecom"), ("bank", "trustco"), ("telecom", "trustco"))


def agree(parties: Institutions, ended: dict[str, object]) -> None:
    """Every ledger is whole, and says of each message what its receiver's says."""
    ledgers = {name: one.folder / "ledger.jsonl" for name, one in ended.items()}  # type: ignore[attr-defined]
    assert all(verify_ledger(path).outcome == "done" for path in ledgers.values())
    for one, other in PAIRS:
        assert not any(reconcile(ledgers[one], ledgers[other]).underway.values())
    assert not list(parties.folder.rglob(FILE))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_vfl_prepare_finds_nothing_to_prepare_and_vfl_run_resumes_from_there(parties: Institutions) -> None:
    parties.lay_out(tables(ROWS), max_iter=40, preparation="gram")
    expected = weights(parties, parties.done())
    assert {"GramColumns", "GramProducts"} <= set(kinds(parties, "bank"))
    assert "GramProducts" not in kinds(parties, "trustco")
    for path in parties.folder.glob("*/runs"):
        path.rename(path.with_name("before"))
    said = parties.done(command="prepare")
    assert all("nothing is to be prepared" in one.out + one.err for one in said.values())
    assert not any(files(parties, name) for name in parties.roles)
    (run,) = json.loads(parties.here("runs", parties.file("bank"), "--json").out)["runs"]
    assert (run["outcome"], run["prepared_until"]) == ("prepared", None)
    ended = parties.done()
    assert np.abs(weights(parties, ended) - expected).max() <= WITHIN * np.abs(expected).max()
    agree(parties, ended)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("victim", "messages"), [("bank", 22), ("telecom", 22), ("trustco", 14)])
def test_a_party_that_is_killed_comes_back(parties: Institutions, victim: str, messages: int) -> None:
    parties.lay_out(tables(ROWS), reconnect=60, max_iter=40, preparation="gram")
    started = {name: start(parties, name) for name in parties.roles}
    until_sent(parties, victim, messages)
    started[victim].kill(signal.SIGKILL)
    started[victim].wait(10)
    started[victim] = start(parties, victim)
    ended = {name: process.wait(100) for name, process in started.items()}
    assert all(one.code == 0 for one in ended.values()), [one.err for one in ended.values()]
    assert "GramProducts" in kinds(parties, "bank")
    agree(parties, ended)
