"""What is measured and in which time, what of it is shown, and what a comparison says; other libraries."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from benchmarks import document
from protocols.errors import ConfigError, LocalProtocolError
from vfl.bench import external as others
from vfl.bench import page, peers, plan, suite, terminal
from vfl.bench.eta import Left
from vfl.bench.suite import FORMAT
from vfl.bench.worker import measure
from vfl.cost import network
from vfl.cost.machine import Machine
from vfl.models.workload import Workload

SMALL = Workload("logistic", 60, guest_columns=2, host_columns=4, passes=5)


@cache
def result() -> dict[str, Any]:
    asked = {"threads": 1, "judge": True}
    modes: list[dict[str, Any]] = [
        {
            "mode": "joined",
            "label": "centralised",
            "key_bits": 0,
            "threads": 1,
            "work": SMALL.as_dict(),
            "skipped": "<none> is not installed",
        }
    ]
    for mode, bits in (("clear", 2048), ("paillier", 512)):
        modes.append(
            asked
            | {"mode": mode, "label": mode, "key_bits": bits, "work": SMALL.as_dict()}
            | measure(mode, SMALL, bits, judge=True)
        )
    ids = Workload("alignment", 50)
    modes.append(
        asked
        | {"mode": "psi", "label": "set intersection", "key_bits": 0, "work": ids.as_dict()}
        | measure("psi", ids, 0, judge=True)
    )
    fewer = replace(SMALL, rows=30)
    sweep = [
        modes[2] | {"axis": "rows", "value": 30, "cpu_s": 0.1, "work": fewer.as_dict()},
        modes[2] | {"axis": "base", "value": 0},
        {
            "axis": "rows",
            "value": 10**6,
            "mode": "paillier",
            "key_bits": 2048,
            "threads": 1,
            "work": replace(SMALL, rows=10**6).as_dict(),
        }
        | {"skipped": "it would take about 9 min 00 s, more than its share of 2 min 30 s"},
    ]
    told = {
        "work": SMALL.as_dict(),
        "key_bits": 512,
        "threads": 1,
        "cpu_s": 1.0,
        "predicted_s": 1.2,
        "error": 0.2,
        "lan_error": -0.1,
    }
    return {
        "format": FORMAT,
        "full": False,
        "environment": {
            "cpu": "a processor",
            "cores": 2,
            "backend": "serial",
            "load_average": [0.1],
            "system": "x",
            "versions": {"vfl": "1"},
        }
        | {"commit": None, "measured": "2026-01-01"},
        "modes": modes,
        "sweeps": sweep,
        "kinds": [modes[2] | {"work": replace(SMALL, kind="poisson").as_dict()}],
        "model": [told, told | {"error": -0.1}],
        "networks": [{"name": n.name} for n in network.NETWORKS],
        "peers": [
            {"library": "vfl", "key": "k", "randomness": "fresh", "microseconds": {"add": 1.0}},
            {"library": "other", "key": "k", "randomness": "fresh", "skipped": "not installed"},
        ],
        "seconds": 65.0,
    }


def test_the_page_holds_what_was_measured_and_nothing_from_outside() -> None:
    text = page.render(result())
    assert "&lt;none&gt; is not installed" in text
    assert f"{result()['modes'][2]['products']:,}" in text
    assert "it would take about 9 min 00 s" in text
    assert "Poisson regression, 5 iterations" in text
    for phase in (p for one in result()["modes"] for p in one.get("phases", [])):
        assert f'<th scope="row">{phase["party"]}</th><td>{phase["phase"]}</td>' in text
    for message in (m for one in result()["modes"] for m in one.get("messages", [])):
        assert message["kind"] in text
    assert f'<td class="n">{page.ratio(*(result()["modes"][i]["cpu_s"] for i in (2, 1)))}</td>' in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_the_terminal_shows_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    terminal.print_result(result(), Console(width=160))
    shown = capsys.readouterr().out
    assert f"{result()['modes'][2]['products']:,}" in shown
    assert "within 30% on 2 of 2 jobs that it was not fitted on; half within 15%, all within 20%" in shown


def test_a_comparison_names_what_costs_more_and_nothing_else() -> None:
    old = result()
    assert terminal.grown(old, old) == []
    new = copy.deepcopy(old)
    new["modes"][2]["products"] *= 1.01
    new["modes"][2]["bytes"] += 1  # a number that takes a byte more
    new["modes"][1]["cpu_s"] *= 1.05  # chance
    new["peers"][0]["microseconds"]["add"] = 2.0
    new["kinds"][0]["bytes"] *= 1.01
    job = "rows = 60, guest_columns = 2, host_columns = 4, passes = 5: paillier, key_bits = 512, threads = 1"
    assert [name for name, _, _ in terminal.grown(old, new)] == [
        f"logistic, {job}: products",
        f"poisson, {job}: bytes",
        "vfl: add",
    ]


def test_no_two_runs_of_a_measurement_have_one_name_in_a_comparison() -> None:
    """A comparison looks runs up by their names."""
    for size in (plan.QUICK, plan.FULL):
        names = [terminal.named(point.head) for point in plan.points(size)]
        twice = {name for name in names if names.count(name) > 1}
        assert not twice


# -- what is measured, and in which time


def test_a_run_that_would_take_more_than_its_share_is_left_out_with_its_estimate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "measured", lambda: Machine(3e-7, 0.05))
    large = plan.Point(
        "sweeps", "paillier", Workload("logistic", 10**6, passes=10), 2048, 2, axis="rows", value=10**6, limit_s=100.0
    )
    assert "more than its share of 1 min 40 s" in large.skipped
    assert suite.measured(large, plan.FULL) == large.head | {"skipped": large.skipped}
    assert plan.Point("sweeps", "paillier", SMALL, 2048, 2, limit_s=100.0).skipped == ""


def test_a_run_that_fails_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*given: Any, **options: Any) -> dict[str, Any]:
        raise LocalProtocolError("a measured run (paillier, logistic) failed: no message", remedy="Look")

    monkeypatch.setattr(plan, "measured", lambda: Machine(3e-7, 0.05))
    monkeypatch.setattr(suite.child, "start", killed)
    found = suite.measured(plan.Point("sweeps", "paillier", SMALL, 2048, 2, axis="rows", value=60), plan.QUICK)
    assert "failed: no message" in found["skipped"]
    assert suite.predicted([found]) == []


@pytest.mark.parametrize("failed", ["paillier", "phe"])
def test_a_small_run_that_was_left_out_is_said_on_the_page(failed: str) -> None:
    found = copy.deepcopy(result())
    for mode in ("paillier", "phe"):
        run = found["modes"][2] | {"mode": mode, "label": mode, "small": True}
        kept = {"mode", "label", "small", "key_bits", "threads", "work"}
        found["modes"].append({key: run[key] for key in kept} | {"skipped": "it failed"} if mode == failed else run)
    assert page.render(found).count("skipped: it failed") == 1
    assert sum("skipped: it failed" in line for line in document.small(found)) == 1


def test_a_library_that_crashes_costs_the_other_measurements_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    own = json.dumps(
        [{"library": "vfl", "version": "", "key": "Paillier 2048", "randomness": "fresh", "microseconds": {"add": 1.0}}]
    )

    def run(asked: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return (
            subprocess.CompletedProcess(asked, 0, own, "")
            if "vfl.bench.peers" in asked
            else subprocess.CompletedProcess(asked, -11, "", "")
        )

    monkeypatch.setattr(peers.subprocess, "run", run)
    assert [row.get("skipped", "") for row in peers.measure(False, None)] == [
        "",
        "the process that measures ended with status -11",
    ]


def test_a_quiet_machine_of_two_cores_is_done_in_the_time_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "measured", lambda: Machine(2.8e-7, 0.05))  # seconds of a product there
    monkeypatch.setattr(plan, "cores", lambda: 2)
    for size, most in ((plan.QUICK, 180.0), (plan.FULL, 1800.0)):  # README: two to three minutes
        expected = [p.expected_s() * p.times(size) for p in plan.points(size) if not p.skipped]
        assert sum(expected) < most
    axes = {(p.work.kind, p.axis, p.value) for p in plan.points(plan.FULL) if not p.skipped}
    assert {
        ("trees", "rows", 10**6),
        ("alignment", "rows", 10**6),
        ("logistic", "rows", 10**5),
        ("trees", "host_columns", 50),
    } <= axes
    assert {(kind, "hosts", 4) for kind in ("alignment", "logistic", "trees")} <= axes


def test_the_time_that_is_left_follows_the_pace() -> None:
    now = [0.0]
    left = Left([20.0, 40.0, 60.0], lambda: now[0])
    assert left.words() == "about 2 min 00 s left"
    now[0] = 40.0  # half as fast as expected
    left.done()
    assert left.words() == "about 3 min 20 s left"


def test_other_libraries_are_measured_by_a_python_that_has_them(tmp_path: Path) -> None:
    (tmp_path / "phe.py").write_text("raise RuntimeError('broken')")
    command = peers.command(Path(sys.executable), everything=False)
    assert command[:2] == [sys.executable, "-I"]
    done = subprocess.run(
        [*command[:2], "-c", f"import runpy; print(runpy.run_path({command[2]!r})['BITS'])"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "2048\n", done.stderr  # it stands alone
    with pytest.raises(ConfigError, match="no Python that runs"):
        peers.check_python(tmp_path / "phe.py")
    peers.check_python(Path(sys.executable))


def test_a_library_with_wrong_results_or_repeated_randomness_gets_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong() -> others.Timings:
        others.must([2], [3])
        return {"add": 1.0}

    def repeats() -> others.Timings:
        others.differ("a", "a")
        return {"add": 1.0}

    for planted in (wrong, repeats):
        monkeypatch.setattr(others, "OTHERS", {"planted": ("json", "pytest", "k", "fresh", planted)})
        assert others.measure(everything=True) == [
            {
                "library": "planted",
                "key": "k",
                "randomness": "fresh",
                "version": metadata.version("pytest"),
                "skipped": "its results are not what they must be",
            }
        ]


def test_the_page_of_the_docs_is_what_the_results_say() -> None:
    """docs/benchmarks.md is not edited by hand between its marks."""
    text = document.PAGE.read_text(encoding="utf-8")
    assert text.count(document.BEGIN) == text.count(document.END) == 1
    between = text.partition(document.BEGIN)[2].partition(document.END)[0].strip("\n").splitlines()
    assert between == "\n".join(document.section(terminal.read(document.RESULT))).strip("\n").splitlines()
