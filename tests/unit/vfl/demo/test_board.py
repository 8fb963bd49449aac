"""What the demo with boards leaves behind: no process, also where a node has died before its end."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from vfl.demo import board
from vfl.demo.board import Node
from vfl.node.processes import Processes

WORKS = """
import os, sys, time
os.pwrite(int(sys.argv[2]), str(os.getpid()).encode(), 0)
time.sleep(60)
"""


@pytest.mark.parametrize("sort", ["of a job", "of a model"])
def test_a_process_of_a_node_that_has_died_is_ended(sort: str, tmp_path: Path) -> None:
    folder = tmp_path / "node" / ("online" if sort == "of a model" else "")
    (folder / "processes").mkdir(parents=True)
    processes = Processes(folder, [sys.executable, "-c", WORKS])
    assert processes.start("digest")
    lock = folder / "processes" / "digest.lock"
    while not lock.read_text():
        time.sleep(0.01)
    node = Node("bank", tmp_path, "127.0.0.1:1", "token", subprocess.Popen([sys.executable, "-c", ""]))
    node.process.wait()
    assert node.lives() == [lock]
    board._stop([node])
    assert node.lives() == []
    while processes._own:
        processes.reap()
