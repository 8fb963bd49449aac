"""Secret exponents take constant time: the Rust core's dudect-style test, which brings its own control."""

from tests.places import ROOT
import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = ROOT / "native"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not installed")
def test_decryption_takes_the_same_time_for_every_key() -> None:
    command = [
        "cargo",
        "test",
        "--release",
        "--locked",
        "--package",
        "vfl-core",
        "--lib",
        "--",
        "--ignored",
        "time_does_not_depend_on_the_exponent",
    ]
    run = subprocess.run(command, cwd=NATIVE, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "1 passed" in run.stdout
