"""What announces more than it brings is refused before memory is taken for it: measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.places import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def bombed(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.promises.wire.bombs", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_bad_vectors_and_oversize_frames_take_no_memory() -> None:
    ended = bombed()
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) < 32 << 10  # KiB


def test_planted_fault_a_reader_that_believes_a_header_is_found() -> None:
    ended = bombed("--planted")
    assert ended.returncode != 0
    assert "MemoryError" in ended.stderr
