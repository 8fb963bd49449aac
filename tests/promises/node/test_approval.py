"""A job that nobody approved sends nothing; an approved one runs with a partner that has no node."""

from __future__ import annotations

import signal

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
