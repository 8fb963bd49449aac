"""What a process can still get: less where the machine, or a limit of the process itself, leaves less."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vfl.compute import memory

MIB = 1 << 20
LIMITED = """
import resource
from vfl.compute import memory
before, used = memory.memory_left(), memory._pages({column})
resource.setrlimit(resource.{limit}, (used + 100 * {mib}, resource.RLIM_INFINITY))
print(before, memory.memory_left())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("limit", "column"), [("RLIMIT_AS", 0), ("RLIMIT_DATA", 5)])
def test_a_limit_of_the_process(limit, column):
    code = LIMITED.format(limit=limit, column=column, mib=MIB)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    before, after = map(int, said.stdout.split())
    assert 90 * MIB < after <= 100 * MIB < before


def test_what_is_free_on_the_machine(monkeypatch):
    monkeypatch.setattr(memory, "_free", lambda: 5 * MIB)
    assert memory.memory_left() == 5 * MIB


def test_a_container(monkeypatch, tmp_path):
    """Pages of files that are in memory count against its limit, and can be dropped."""
    (tmp_path / "memory.max").write_text(f"{100 * MIB}\n")
    (tmp_path / "memory.current").write_text(f"{70 * MIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {20 * MIB}\n")
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    monkeypatch.setattr(memory, "_free", lambda: 1 << 40)
    assert memory.memory_left() == 50 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_this_process_has(monkeypatch):
    before = memory.resident()
    kept = bytearray(b"x") * (64 * MIB)
    assert 60 * MIB < memory.resident() - before < 80 * MIB
    assert len(kept) == 64 * MIB
