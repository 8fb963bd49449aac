"""A job that nobody approved sends nothing; an approved one runs with a partner that has no node."""

from __future__ import annotations

import signal
import time

import pytest

from tests.promises.node.conftest import Nodes
from tests.promises.processes.institutions import KEY
from vfl.ledger.account import account

ALIGNS = f"""
name = "align-1"
version = 1
[parties]
guest = "bank"
hosts = ["telecom"]
[align]
keys = [["{KEY}"]]
normalise = {{ {KEY} = "text" }}
min_intersection = 5
[disclosure]
allow = ["intersection-to-parties"]
"""


def test_an_unapproved_job_sends_nothing_and_an_approved_one_says_who_approved_it(nodes: Nodes) -> None:
    nodes.lay_out()
    job = nodes.folder / "align.toml"
    job.write_text(ALIGNS)
    node = nodes.node("bank")
    digest = nodes.submit("bank", job, approve=False)
    partner = nodes.start("telecom", job=job, command="align")
    nodes.until(lambda: nodes.jobs("bank")[digest]["called"] is not None)
    assert nodes.jobs("bank")[digest]["state"] == "waiting"
    assert nodes.sent("bank") == nodes.sent("telecom") == 0
    assert not list((nodes.folder / "bank").glob("runs/*"))
    assert nodes.tell("approve", digest, nodes.file("bank"))["job"]["decisions"][0]["who"] == account()
    assert partner.wait(60).code == 0
    nodes.until(lambda: nodes.jobs("bank")[digest]["state"] == "done")
    assert nodes.sent("bank") > 0  # the positive control
    ((lines,),) = [nodes.ledgers("bank").values()]
    assert lines[0]["approval"]["by"] == account()
    assert lines[0]["approval"]["how"] == "command"
    assert nodes.ledgers("telecom").popitem()[1][0].get("approval") is None
    shown = nodes.here("ledger", "show", next((nodes.folder / "bank" / "runs").glob("align-*")))
    assert f"job approved {account()}, 2" in " ".join(shown.out.split())
    node.kill(signal.SIGTERM)
    assert node.wait(15).code == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_files_of_one_job_are_named_within_seconds_and_the_right_one_then_runs(nodes: Nodes) -> None:
    nodes.lay_out()
    right, wrong = nodes.folder / "align.toml", nodes.folder / "other.toml"
    right.write_text(ALIGNS)
    wrong.write_text(ALIGNS.replace("min_intersection = 5", "min_intersection = 6"))
    for name in ("bank", "telecom"):
        nodes.node(name)
    at_bank, at_telecom = nodes.submit("bank", right), nodes.submit("telecom", wrong)
    began = time.monotonic()
    mine = {"bank": at_bank, "telecom": at_telecom}
    nodes.until(lambda: all("the job differs" in (nodes.jobs(n)[d]["message"] or "") for n, d in mine.items()), 60)
    assert time.monotonic() - began < 60  # the connect timeout of a node's process is 600 seconds
    assert nodes.sent("bank") == nodes.sent("telecom") == 0
    nodes.tell("cancel", at_telecom, nodes.file("telecom"))
    nodes.submit("telecom", right)
    nodes.until(lambda: nodes.jobs("bank")[at_bank]["state"] == nodes.jobs("telecom")[at_bank]["state"] == "done", 120)
