"""Predictions through nodes: nothing leaves before the approval, and the scores are those of `vfl predict`."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.harness import KNOWN
from tests.promises.node.conftest import Nodes
from tests.promises.node.test_online import agreed
from tests.promises.node.test_page import PAGE, paths
from tests.promises.processes.institutions import KEY
from tests.promises.processes.test_pages import fences
from vfl.job import load_job
from vfl.ledger.account import account
from vfl.storage.run_store import RunFacts, RunStore
from vfl.version import __version__

BATCH = "sh predict at "


def trained(nodes: Nodes, **job: Any) -> None:
    """By `vfl run`, without nodes."""
    nodes.lay_out(**job)
    nodes.done()


def model(nodes: Nodes, name: str) -> Path | None:
    """What a party keeps of the model."""
    return next((nodes.folder / name / "runs").glob("credit*/model"), None)


def batch(nodes: Nodes, name: str, *options: object) -> str:
    """Gives a prediction to a party's node; returns its digest."""
    folder = model(nodes, name)
    words = [nodes.job, nodes.file(name), *(["--model", folder] if folder else []), *options]
    return str(nodes.tell("predict", *words)["job"]["digest"])


def by_digest(nodes: Nodes, name: str) -> dict[str, dict[str, Any]]:
    return {job["digest"]: job for job in nodes.tell("status", nodes.file(name))["jobs"]}


def abandoned(nodes: Nodes) -> None:
    """A prediction of another table that the bank has begun and not ended."""
    folder = nodes.folder / "bank" / "runs" / "predict-credit-risk-20260101-000000"
    folder.mkdir(mode=0o700)
    began = "2026-01-01T00:00:00+00:00"
    facts = RunFacts(__version__, "predict", load_job(nodes.job).digest, b"t" * 32, b"n" * 16, b"s", began)
    RunStore(folder, facts).close()


def states(nodes: Nodes, given: dict[str, str]) -> set[str]:
    return {by_digest(nodes, name)[digest]["state"] for name, digest in given.items()}


def scores(path: Path) -> pd.Series:
    return pd.read_csv(path, dtype=str).set_index(KEY)["score"]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "who"), [("glm", 2), ("trees", 3)])
def test_a_prediction_at_nodes_scores_as_vfl_predict(nodes: Nodes, kind: str, who: int) -> None:
    """Sealed trees too, of which the arbiter holds the leaf values."""
    trees: dict[str, Any] = {"kind": "boosted-trees", "n_estimators": 2, "max_depth": 2, "max_bin": 8}
    trained(nodes, settings=agreed(), **({"reveal": KNOWN} if kind == "glm" else trees))
    parties = [name for name in nodes.roles if who == 3 or name != "trustco"]
    plain = nodes.folder / "plain.csv"
    started = []
    for name in parties:
        options = ["--model", str(model(nodes, name)), *(["--out", str(plain)] * (name == "bank"))]
        started.append(nodes.start(name, *options, command="predict"))
    for process in started:
        assert process.wait(60).code == 0, process.err.read_text()
    before = {name: nodes.sent(name) for name in parties}
    for name in parties:
        nodes.node(name)
    own = {name: batch(nodes, name, *(["--out", nodes.folder / "out.csv"] * (name == "bank"))) for name in parties}
    partners = [name for name in parties if name != "bank"]
    for name in partners:
        nodes.tell("approve", own[name], nodes.file(name))
    nodes.until(lambda: by_digest(nodes, "bank")[own["bank"]]["called"] is not None)
    assert by_digest(nodes, "bank")[own["bank"]]["state"] == "waiting"
    assert {name: nodes.sent(name) for name in parties} == before  # nobody approved it at the bank
    nodes.tell("approve", own["bank"], nodes.file("bank"))
    nodes.until(lambda: states(nodes, own) == {"done"})
    assert scores(nodes.folder / "out.csv").equals(scores(plain))
    assert scores(plain).notna().sum() > 40
    assert all(nodes.sent(name) > before[name] for name in parties)
    for name in parties:
        lines = [lines for folder, lines in nodes.ledgers(name).items() if folder.startswith("predict")][-1]
        assert (lines[0]["approval"]["by"], lines[-1]["outcome"]) == (account(), "done")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_prediction_is_started_again_and_one_of_another_table_gives_way(nodes: Nodes) -> None:
    trained(nodes, settings=agreed(), reveal=KNOWN)
    for name in ("bank", "telecom"):
        nodes.node(name)
    given = {name: batch(nodes, name) for name in ("bank", "telecom")}
    first, partner = given.values()
    nodes.tell("approve", first, nodes.file("bank"))
    lock = nodes.folder / "bank" / "node" / "processes" / f"{first}.lock"
    nodes.until(lambda: lock.exists() and bool(lock.read_text()))
    victim = nodes.pid("bank", first)
    os.kill(victim, signal.SIGKILL)
    nodes.until(lambda: by_digest(nodes, "bank")[first]["code"] == "killed")
    nodes.tell("approve", partner, nodes.file("telecom"))
    nodes.until(lambda: states(nodes, given) == {"done"})
    assert nodes.pid("bank", first) != victim
    # the next batch, in the same place: each party approves again.  Planted: an unfinished run of another table
    table = nodes.folder / "bank" / "customers.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:60]))
    abandoned(nodes)
    assert {name: batch(nodes, name) for name in given} == given
    assert states(nodes, given) == {"waiting"}
    for name, digest in given.items():
        nodes.tell("approve", digest, nodes.file(name))
    nodes.until(lambda: states(nodes, given) == {"done"})
    found = sorted((nodes.folder / "bank" / "runs").glob("predict-*/scores.csv"))
    assert [len(scores(path)) for path in found] == [80, 59]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_commands_of_the_page(nodes: Nodes) -> None:
    trained(nodes, settings=agreed(), reveal=KNOWN)
    new = nodes.folder / "new.csv"
    new.write_text((nodes.folder / "bank" / "customers.csv").read_text())
    for name in ("bank", "telecom"):
        nodes.node(name)
    given = [command for fence in fences(PAGE) if fence.how.startswith(BATCH) for command in fence.commands]
    assert len(given) == 4
    digests = dict[str, str]()
    for command in given:
        name = "bank" if "bank/" in command else "telecom"
        words = [digests[name] if word == "DIGEST" else word for word in shlex.split(command)]
        words = [str(nodes.folder / word) if word in ("new.csv", "scores.csv") else word for word in words]
        ended = nodes.here(*paths(nodes, shlex.join(words)), *(["--json"] if "predict" in words else []))
        assert ended.code == 0, ended.err
        if "predict" in words:
            digests[name] = next(d for d, job in by_digest(nodes, name).items() if job["command"] == "predict")
    nodes.until(lambda: states(nodes, digests) == {"done"})
    assert scores(nodes.folder / "scores.csv").notna().any()
