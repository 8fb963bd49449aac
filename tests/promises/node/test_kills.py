"""Three jobs with two partners at once, over one port per node; a process and a node are killed."""

from __future__ import annotations

import os
import signal

import pytest

from tests.promises.node.conftest import Nodes


def states(nodes: Nodes) -> set[str]:
    return {job["state"] for name in nodes.roles for job in nodes.jobs(name).values()}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_jobs_at_once_of_which_one_is_killed_together_with_its_node(nodes: Nodes) -> None:
    nodes.lay_out(max_iter=100, reconnect=240)
    jobs = [nodes.job, nodes.another("second"), nodes.another("third")]
    jobs[1].write_text(jobs[1].read_text().replace("max_iter = 100", "max_iter = 300"))  # it lasts longest
    running = {name: nodes.node(name) for name in nodes.roles}
    digests = [{nodes.submit(name, job) for name in nodes.roles}.pop() for job in jobs]
    nodes.until(lambda: "waiting" not in states(nodes) and "approved" not in states(nodes))
    runs = nodes.folder / "bank" / "runs"
    nodes.until(lambda: len(list(runs.glob("*/ledger.jsonl"))) == 3, 200)  # all have met
    assert nodes.jobs("bank")[digests[1]]["state"] == "running"
    victim = nodes.pid("bank", digests[1])
    running["bank"].kill(signal.SIGKILL)
    os.kill(victim, signal.SIGKILL)
    others = [digests[0], digests[2]]
    nodes.until(
        lambda: all(nodes.jobs(name)[d]["state"] == "done" for name in ("telecom", "trustco") for d in others), 300
    )
    running["bank"] = nodes.node("bank")
    nodes.until(lambda: states(nodes) == {"done"}, 300)
    assert nodes.pid("bank", digests[1]) != victim
    ledgers = nodes.ledgers("bank")
    assert len(ledgers) == 3
    assert sum(any(line["type"] == "resumed" for line in lines) for lines in ledgers.values()) == 1
    assert {lines[-1]["outcome"] for lines in ledgers.values()} == {"done"}
    assert len(list(runs.glob("*/model"))) == 3


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_commands_go_through_the_port_of_a_node_that_runs(nodes: Nodes) -> None:
    """`vfl run` at a party with a node does not collide with it, and needs no approval of the node's."""
    nodes.lay_out(max_iter=5)
    nodes.node("bank")
    nodes.until(lambda: nodes.tell("status", nodes.file("bank"))["runs"])
    nodes.done()
    assert nodes.jobs("bank") == {}
