"""Every command of docs/node.md is executed as printed, and the unit file starts the command that is tested."""

from __future__ import annotations

import configparser
import re
import shlex
import signal
import socket

import pytest

from tests.places import ROOT
from tests.promises.node.conftest import Nodes
from tests.promises.node.test_approval import ALIGNS
from tests.promises.processes.institutions import Process
from tests.promises.processes.test_pages import fences, shell
from vfl.demo.run import free_ports

PAGE = "docs/node.md"
KINDS = {
    "sh with systemd", "sh service", "sh service, again", "sh at bank", "sh at telecom", "sh at bank, when done",
    "sh at bank, when up",
}  # fmt: skip
ONLINE = {"sh online at bank", "sh online at telecom", "sh online at trustco", "sh online, when up"}
BATCHES = {"sh predict at bank", "sh predict at telecom"}


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
    said, running, (port,) = dict[str, str](), dict[str, Process](), free_ports(1)
    for fence in fences(PAGE):
        assert fence.how in KINDS | ONLINE | BATCHES
        if fence.how in ONLINE | BATCHES:
            continue  # test_online.py, test_predict.py
        if fence.how == "sh with systemd":
            continue  # it changes a real machine
        if fence.how == "sh service, again":
            add_http(nodes, port)
            running["vfl node start bank/party.toml"].kill(signal.SIGTERM)
            assert running["vfl node start bank/party.toml"].wait(20).code == 0
        if fence.how.endswith("when done"):
            nodes.until(lambda: {job["state"] for job in nodes.jobs("bank").values()} == {"done"})
        if fence.how.endswith("when up"):
            nodes.until(lambda: answers(port))
        for command in fence.commands:
            if fence.how.startswith("sh service"):
                running[command] = nodes.run(["-m", "vfl", *paths(nodes, command)])
            elif command.startswith("vfl"):
                said[command] = said.get(command, "") + one(nodes, command)
            else:
                texts = [command.replace("127.0.0.1:7480", f"127.0.0.1:{port}")]
                said[command] = shell(texts, nodes.folder, {})[0]
    assert re.search("telecom +waiting.*telecom +done", said["vfl node status bank/party.toml"], re.DOTALL)
    assert "job approved" in said["vfl ledger show bank/runs/latest"]
    assert '"state":"done"' in next(text for command, text in said.items() if command.endswith("/v1/jobs"))
    assert 'vfl_node_jobs{state="done"} 1.0' in next(t for command, t in said.items() if command.endswith("/metrics"))


def add_http(nodes: Nodes, port: int) -> None:
    """Adds what the page says to the bank's party file, with a free port."""
    found = re.findall(r"^```toml\n(\[node.http\]\n.*?)^```", (ROOT / PAGE).read_text(), re.MULTILINE | re.DOTALL)
    file = nodes.file("bank")
    file.write_text(file.read_text() + found[0].replace(":7480", f":{port}"))


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def paths(nodes: Nodes, command: str) -> list[str]:
    """The words after `vfl`, with files and folders in the folder of all parties."""
    return [str(nodes.folder / w) if re.search(r"\.toml$|/runs/", w) else w for w in shlex.split(command)[1:]]


def one(nodes: Nodes, command: str) -> str:
    """Runs one command of ours."""
    inner = re.search(r'"\$\((vfl [^)]*)\)"', command)
    if inner is not None:
        command = command.replace(inner[0], one(nodes, inner[1]).strip())
    ended = nodes.here(*paths(nodes, command))
    assert ended.code == 0, (command, ended.err)
    return ended.out
