"""docs/cluster.md: its commands work, on this machine, and leave no process."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.places import ROOT
from tests.promises.clusters.clusters import name
from tests.promises.processes.institutions import Institutions

PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")


def of_ray(folder: str) -> set[int]:
    """Processes that have files in this folder open: some of Ray's hide the environment that they were given."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if any(os.readlink(one).startswith(folder) for one in (process / "fd").iterdir()):
                found.add(int(process.name))
    return found


def users() -> dict[str, str]:
    """The environment of somebody who knows nothing of Ray's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


GONE_SECONDS, WORKERS_GONE_SECONDS = 120, 45  # on a machine with other work too; agents stay for a minute
STARTS = """
import os, sys
from vfl.compute.ray import RayEngine
engine = RayEngine("local", 1, "no file")
engine.greet(b"")
print("there", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_command_that_is_killed_leaves_nothing_for_long() -> None:
    """Of its own Ray cluster: workers end at once, and Ray's agents after the minute for which they look for it."""
    with tempfile.TemporaryDirectory(prefix="vflray") as short:
        with subprocess.Popen(
            [sys.executable, "-c", STARTS],
            env=users() | {"RAY_TMPDIR": short, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as command:
            assert command.stdout is not None
            assert command.stdout.readline() == "there\n"
            assert len(of_ray(short)) > 3
            command.kill()
        left, began = of_ray(short), time.monotonic()
        while left and time.monotonic() < began + GONE_SECONDS:
            time.sleep(0.5)
            left = of_ray(short)
            early = time.monotonic() < began + WORKERS_GONE_SECONDS
            assert early or not [pid for pid in left if name(pid).startswith("ray::Cell")]
        assert left == set()


def test_a_local_cluster_in_three_commands(tmp_path: Path) -> None:
    commands = re.findall(r"```sh local cluster\n(.*?)```", PAGE, re.DOTALL)[0]
    assert len(commands.splitlines()) == 3
    Institutions(tmp_path).lay_out()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="vflray") as short:  # a path that Ray's sockets can have
        environment = users() | {"RAY_TMPDIR": short}
        ended = subprocess.run(
            ["bash", "-ec", commands],
            cwd=tmp_path,
            env={**environment, "PATH": path, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert of_ray(short) == set()
        with (Path(short) / "left").open("w") as file, subprocess.Popen(["sleep", "60"], stdout=file) as left:
            assert of_ray(short) == {left.pid, os.getpid()}  # the positive control
            left.kill()
    assert ended.returncode == 0, ended.stderr
    told = " ".join(ended.stdout.split())
    assert re.search(r"workers 2 on Ray \(2 on \S+\), about \d\d\d MiB of memory for each", told)
    assert "Ready. Nothing was sent." in told
    assert "not encrypted" not in ended.stdout + ended.stderr
    assert (tmp_path / "bank" / "compute.key").stat().st_mode & 0o077 == 0
