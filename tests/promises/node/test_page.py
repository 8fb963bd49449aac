"""Every command of docs/node.md is executed as printed, and the unit file starts the command that is tested."""

from __future__ import annotations

import configparser
import re
import shlex

import pytest

from tests.places import ROOT
from tests.promises.node.conftest import Nodes
from tests.promises.node.test_approval import ALIGNS
from tests.promises.processes.test_pages import fences

PAGE = "docs/node.md"
KINDS = {"sh with systemd", "sh service", "sh at bank", "sh at telecom", "sh at bank, when done"}


def test_the_unit_file_starts_the_node_and_leaves_its_jobs_alone() -> None:
    (text,) = re.findall(r"^```ini\n(.*?)^```", (ROOT / PAGE).read_text(), re.MULTILINE | re.DOTALL)
    unit = configparser.ConfigParser(strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    program, *words = shlex.split(unit["Service"]["ExecStart"])
    started = next(fence for fence in fences(PAGE) if fence.how == "sh service").commands
    assert shlex.join([program.rpartition("/")[2], *words]) in started
    assert unit["Service"]["KillMode"] == "process"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_page_from_the_start_to_the_first_job(nodes: Nodes) -> None:
    nodes.lay_out()
    nodes.job.write_text(ALIGNS)
    said = dict[str, str]()
    for fence in fences(PAGE):
        assert fence.how in KINDS
        if fence.how == "sh with systemd":
            continue  # it changes a real machine
        if fence.how.endswith("when done"):
            nodes.until(lambda: {job["state"] for job in nodes.jobs("bank").values()} == {"done"})
        for command in fence.commands:
            said[command] = said.get(command, "") + one(nodes, command)
    assert re.search("telecom +waiting.*telecom +done", said["vfl node status bank/party.toml"], re.DOTALL)
    assert "job approved" in said["vfl ledger show bank/runs/latest"]


def one(nodes: Nodes, command: str) -> str:
    """Runs one command in the folder of all parties; a node begins."""
    inner = re.search(r'"\$\((vfl [^)]*)\)"', command)
    if inner is not None:
        command = command.replace(inner[0], one(nodes, inner[1]).strip())
    words = shlex.split(command)[1:]
    here = [str(nodes.folder / word) if re.search(r"\.toml$|/runs/", word) else word for word in words]
    if words[:2] == ["node", "start"]:
        nodes.run(["-m", "vfl", *here])
        return ""
    ended = nodes.here(*here)
    assert ended.code == 0, (command, ended.err)
    return ended.out
