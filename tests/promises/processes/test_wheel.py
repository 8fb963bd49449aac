"""The wheel, as somebody gets it who has no Rust: what is in it; built, installed into an empty environment, imported,
and the demo run from it."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.promises.processes.institutions import ROOT

BARE = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "COLUMNS": "80"}
DEMO = ("demo", "--key-bits", "2048", "--passes", "5", "--data", "credit-sim", "--rows", "400")


def run(*command: object, cwd: Path, **options: str) -> str:
    """Runs a command with nothing of this machine's environment but `options`; returns its output."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=options, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def cpu_seconds(command: tuple[object, ...], cwd: Path) -> float:
    """The median of five processes' user and system time."""
    found = []
    for _ in range(6):
        before = os.times()
        run(*command, cwd=cwd, **BARE)
        after = os.times()
        found.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return statistics.median(found[1:])  # the first one compiles


def megabytes(folder: Path) -> float:
    """What the folder takes on the disk, as `du -sm` has it."""
    return float(subprocess.run(["du", "-sm", folder], capture_output=True, text=True, check=True).stdout.split()[0])


def surplus(names: list[str]) -> list[str]:
    """What a wheel must not contain: tests, benchmarks, sources of the core, tools of developers, fault injection."""
    outside = [n for n in names if not n.startswith(("vfl/", "protocols/", "vfl-0.1.0.dist-info/"))]
    return [*outside, *(n for n in names if n.startswith("vfl/testing") or "/tests/" in n)]


# Imports every module of the wheel, and of it only.
EVERY_MODULE = """
import importlib, pkgutil, sys, protocols, vfl
for package in (protocols, vfl):
    assert package.__file__.startswith(sys.argv[1])
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name != "vfl.__main__":
            importlib.import_module(module.name)
"""


@pytest.mark.long
def test_the_wheel_works_without_fault_injection(tmp_path: Path) -> None:
    build = (
        "build",
        "--release",
        "--locked",
        "--quiet",
        "--compatibility",
        "linux",
    )  # of what `make setup` has compiled
    run(
        Path(sys.prefix) / "bin" / "maturin",
        *build,
        "--out",
        tmp_path,
        cwd=ROOT,
        **os.environ | {"VIRTUAL_ENV": sys.prefix},
    )
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        assert not surplus(wheel.namelist())
        wheel.extractall(tmp_path / "site")
    environment = BARE | {"PYTHONPATH": str(tmp_path / "site")}
    run(sys.executable, "-c", EVERY_MODULE, tmp_path, cwd=tmp_path, **environment)
    asked = [sys.executable, "-m", "vfl", "chaos", "net"]
    refused = subprocess.run(
        asked, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode == 2
    assert "No such command 'chaos'" in refused.stderr


def test_a_wheel_with_more_in_it_would_be_seen() -> None:
    planted = [
        "tests/conftest.py",
        "tools/leakage_page.py",
        "vfl/testing/chaos/kill.py",
        "vfl/report/tests/__init__.py",
    ]
    assert surplus(["vfl/__init__.py", *planted, "protocols/_native.abi3.so"]) == planted


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_wheel_installs_and_works_without_rust(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("make", "wheel", cwd=ROOT, **os.environ)
    (wheel,) = (ROOT / "dist").glob("*.whl")
    assert wheel.name.startswith("vfl-0.1.0-cp311-abi3-manylinux2014_x86_64")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"vfl/report/templates/report.html", "vfl/report/templates/style.css", "protocols/_native.abi3.so"} <= set(
        names
    )
    assert not surplus(names)

    run(sys._base_executable, "-m", "venv", "empty", cwd=tmp_path, **os.environ)  # type: ignore[attr-defined]
    python = tmp_path / "empty" / "bin" / "python"
    site = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path, **BARE).strip()
    )
    before = megabytes(site)
    run(
        python, "-m", "pip", "download", "--quiet", "--dest", "downloads", wheel, cwd=tmp_path, **os.environ
    )  # not timed
    started = time.monotonic()
    run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--find-links",
        "downloads",
        wheel,
        cwd=tmp_path,
        **BARE,
    )
    seconds, size = time.monotonic() - started, megabytes(site)

    imported, version = (
        cpu_seconds(c, cwd=tmp_path) for c in ((python, "-c", "import vfl"), (python.parent / "vfl", "--version"))
    )
    with capsys.disabled():
        print(f"\n{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        print(
            f"installed in {seconds:.0f} s, {size:.0f} MB ({before:.0f} MB of them pip); import vfl "
            f"{imported:.3f} s of CPU, vfl --version {version:.3f} s"
        )
    assert seconds < 60
    assert size <= 450  # docs/adr/0012-scikit-learn-again.md
    assert imported < 0.4
    assert version < 0.2

    said = run(python.parent / "vfl", *DEMO, cwd=tmp_path, **BARE)
    page = tmp_path / said.splitlines()[-1].removeprefix("report: ").replace("report.json", "report.html")
    assert "<svg" in page.read_text()
