"""docs/cluster.md: its commands work, on this machine, and leave no process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.places import ROOT
from tests.promises.processes.institutions import Institutions

PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")


def of_ray() -> set[str]:
    """Ids of Ray's processes on this machine."""
    told = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in told.splitlines() if re.search(r"gcs_server|raylet|ray::", line)}


def test_a_local_cluster_in_three_commands(tmp_path: Path) -> None:
    commands = re.findall(r"```sh local cluster\n(.*?)```", PAGE, re.DOTALL)[0]
    assert len(commands.splitlines()) == 3
    Institutions(tmp_path).lay_out()
    before, path = of_ray(), f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="vflray") as short:  # a path that Ray's sockets can have
        ended = subprocess.run(
            ["bash", "-ec", commands],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "RAY_TMPDIR": short},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    told = " ".join(ended.stdout.split())
    assert re.search(r"workers 2 on Ray \(2 on \S+\), about 1\d\d MiB of memory for each", told)
    assert "Ready. Nothing was sent." in told
    assert "not encrypted" not in ended.stdout + ended.stderr
    assert (tmp_path / "bank" / "compute.key").stat().st_mode & 0o077 == 0
    assert of_ray() == before
