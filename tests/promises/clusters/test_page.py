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

from tests.places import ROOT
from tests.promises.processes.institutions import Institutions

PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")


def of_ray(folder: str) -> set[int]:
    """Processes of Ray that were started with this folder for their files."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended
            if f"RAY_TMPDIR={folder}".encode() in file.read_bytes().split(b"\0"):
                found.add(int(file.parent.name))
    return found


def test_a_local_cluster_in_three_commands(tmp_path: Path) -> None:
    commands = re.findall(r"```sh local cluster\n(.*?)```", PAGE, re.DOTALL)[0]
    assert len(commands.splitlines()) == 3
    Institutions(tmp_path).lay_out()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="vflray") as short:  # a path that Ray's sockets can have
        environment = {**os.environ, "RAY_TMPDIR": short}
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
        with subprocess.Popen(["sleep", "60"], env=environment) as left:  # the positive control
            deadline = time.monotonic() + 10  # until it has its own environment
            while of_ray(short) != {left.pid} and time.monotonic() < deadline:
                time.sleep(0.05)
            assert of_ray(short) == {left.pid}
            left.kill()
    assert ended.returncode == 0, ended.stderr
    told = " ".join(ended.stdout.split())
    assert re.search(r"workers 2 on Ray \(2 on \S+\), about 1\d\d MiB of memory for each", told)
    assert "Ready. Nothing was sent." in told
    assert "not encrypted" not in ended.stdout + ended.stderr
    assert (tmp_path / "bank" / "compute.key").stat().st_mode & 0o077 == 0
