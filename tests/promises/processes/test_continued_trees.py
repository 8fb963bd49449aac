"""A model of boosted trees that a job file continues: every party finds its own part, and what comes out is what the
same parties make in one process."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import signal
import sqlite3
from dataclasses import replace
from typing import Any

import pytest

from protocols.boosting.sealed_parts import GuestTrees
from protocols.cipher import Identity, Paillier
from protocols.local import run_local
from tests.promises.processes.institutions import Ended, Institutions, tables
from tests.promises.processes.test_resumed_runs import start, until_sent
from tests.promises.processes.test_three_processes import by_seed, prepared, randomness
from tests.promises.processes.test_trees import OPEN, POLICY, SMALL, check_leaves, check_same, clear, part_of
from vfl.job import load_job, load_party
from vfl.models.part_files import load_part, save_part
from vfl.models.trees.part import TreesPart
from vfl.models.trees.summary import tree_count
from vfl.run.result_frame import result_frame
from vfl.run.train import program

SEALED = {"bank": "guest", "telecom": "host", "trustco": "arbiter"}


def go_on(parties: Institutions, name: str, **change: Any) -> None:
    """The job file names a model to continue; change: other parameters."""
    text = parties.job.read_text()
    for key, value in change.items():
        (old,) = [line for line in text.splitlines() if line.startswith(f"{key} ")]
        text = text.replace(old, f"{key} = {value!r}".replace("'", '"'))
    assert "[model]\n" in text
    parties.job.write_text(text.replace("[model]\n", f'[model]\ncontinue_from = "{name}"\n', 1))


def check_continued(parties: Institutions, results: dict[str, Ended], first: dict[str, TreesPart], rounds: int) -> None:
    """The parts are those of one process with the same seeds; they begin with the earlier ones, and each party counts
    two models."""
    ready = prepared(parties)
    local = run_local(
        ready["bank"].roles, {n: program(one) for n, one in ready.items()}, Paillier(2048), randomness=randomness(ready)
    )
    for name in ("bank", "telecom"):
        part = part_of(results[name])
        check_same(part, local[name].part)
        assert part.binner.cuts[0].tolist() == first[name].binner.cuts[0].tolist()
    before, after = first["bank"].trees, part_of(results["bank"]).trees
    assert tree_count(part_of(results["bank"])) == rounds > tree_count(first["bank"])
    assert [t.value.tolist() for t in clear(after).trees[: len(clear(before).trees)]] == [
        t.value.tolist() for t in clear(before).trees
    ]
    if isinstance(before, GuestTrees):
        assert isinstance(after, GuestTrees)
        assert after.shape.owner[: len(before.shape)].tolist() == before.shape.owner.tolist()
        check_leaves(results["trustco"], parties.folder / "trustco", local["trustco"])
    with contextlib.closing(sqlite3.connect(parties.folder / "bank" / "runs" / "budget.sqlite")) as store:
        assert store.execute(
            "SELECT used FROM budget WHERE kind = 'models_per_label' AND partner = 'telecom'"
        ).fetchall() == [(2,)]


@pytest.mark.slow
def test_open_trees_go_on_by_files(parties: Institutions) -> None:
    parties.lay_out(tables(), roles=OPEN, settings=POLICY, test=0.25, membership="open", **SMALL)
    results = by_seed(parties, list(OPEN), 0.1)
    first = {name: part_of(results[name]) for name in OPEN}
    shown = parties.here("model", "show", results["telecom"].folder / "model")
    assert first["telecom"].model_id.hex() in shown.out
    go_on(parties, first["bank"].model_id.hex(), n_estimators=3)
    for name in OPEN:
        checked = parties.here("check", parties.job, parties.file(name))
        assert (checked.code, first["bank"].model_id.hex() in "".join(checked.out.split())) == (0, True), checked
    check_continued(parties, by_seed(parties, list(OPEN), 0.1), first, 3)


@pytest.mark.slow
@pytest.mark.parametrize("victim", list(SEALED))
def test_sealed_trees_go_on_by_files_even_if_a_party_is_killed(parties: Institutions, victim: str) -> None:
    """Rounds of the guest alone at the beginning: all parties must number what is left alike."""
    parties.lay_out(tables(), roles=SEALED, settings=POLICY, reconnect=60, test=0.0, guest_only_trees=1, **SMALL)
    first = {name: part_of(ended) for name, ended in by_seed(parties, list(SEALED), 0.1).items() if name != "trustco"}
    sent = parties.sent(victim)
    go_on(parties, first["bank"].model_id.hex(), n_estimators=5)
    started = {name: start(parties, name) for name in SEALED}
    until_sent(parties, victim, sent + {"bank": 40, "telecom": 20, "trustco": 13}[victim])
    started[victim].kill(signal.SIGKILL)
    started[victim].wait(10)
    started[victim] = start(parties, victim)
    ended = {name: process.wait(100) for name, process in started.items()}
    assert [e.code for e in ended.values()] == [0, 0, 0], ended
    check_continued(parties, ended, first, 5)


@pytest.fixture
def trained(parties: Institutions) -> tuple[Institutions, str]:
    """Two parties with parts of a model in their run directories, and its name."""
    parties.lay_out(tables(), roles=OPEN, settings=POLICY, membership="open", test=0.0, **SMALL)
    ready = prepared(parties)
    fitted = run_local(ready["bank"].roles, {n: program(one) for n, one in ready.items()}, Identity())
    for name in OPEN:
        folder = parties.folder / name / "runs" / "earlier"
        folder.mkdir(parents=True)
        save_part(fitted[name].part, folder / "model", kind="boosted-trees", job_digest=ready[name].job.digest)
    return parties, fitted["bank"].part.model_id.hex()


@pytest.mark.parametrize(
    ("who", "change", "code", "words"),
    [
        ("bank", {"n_estimators": 2}, 2, "has all its rounds already"),
        ("bank", {"n_estimators": 4, "max_bin": 7}, 2, "continued with its own max_bin"),
        ("telecom", {"n_estimators": 4, "membership": "sealed"}, 2, "needs no arbiter|arbiter.*is missing"),
        ("telecom", {"n_estimators": 4, "name": None}, 7, "holds a part of the model"),
        ("bank", {"n_estimators": 4, "name": "none"}, 2, "Expected a model's name"),
    ],
    ids=["no round more", "other bins", "other membership", "unknown model", "no name"],
)
def test_what_cannot_go_on_is_refused_by_check(
    trained: tuple[Institutions, str], who: str, change: dict[str, Any], code: int, words: str
) -> None:
    parties, name = trained
    given = change.get("name", name)
    go_on(parties, "0" * 32 if given is None else given, **{k: v for k, v in change.items() if k != "name"})
    ended = parties.here("check", parties.job, parties.file(who))
    assert ended.code == code, ended
    assert re.search(words, " ".join((ended.out + ended.err).split())), ended


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ((0.2, 7), False),
        pytest.param((0.1, 7), False, marks=pytest.mark.slow),
        pytest.param((0.0, 8), False, marks=pytest.mark.slow),
        pytest.param((0.3, 7), True, marks=pytest.mark.slow),
        ((0.2, 8), True),
    ],
    ids=["the same", "fewer", "none", "more", "another draw"],
)
def test_measures_on_rows_that_the_earlier_rounds_were_trained_on_are_cautioned_about(
    trained: tuple[Institutions, str], now: tuple[float, int], said: bool
) -> None:
    parties, name = trained
    report = result_frame(
        load_job(parties.job), load_party(parties.file("bank")), datetime.datetime.now(datetime.UTC), "run"
    )
    report["job_file"]["split"] |= {"test": 0.2, "seed": 7}
    (parties.folder / "bank" / "runs" / "earlier" / "report.json").write_text(json.dumps(report))
    go_on(parties, name, n_estimators=4, test=now[0], seed=now[1])
    ended = parties.here("check", parties.job, parties.file("bank"))
    assert ended.code == 0, ended
    assert ("were trained on by the earlier rounds, unless they are new" in " ".join(ended.out.split())) is said
    (parties.folder / "bank" / "runs" / "earlier" / "report.json").write_text("damaged")
    again = parties.here("check", parties.job, parties.file("bank"))
    assert again.code == 0, again
    assert ("it is not known here which rows" in " ".join(again.out.split())) is (now[0] > 0)


def test_a_part_that_does_not_fit_this_party_is_refused_by_check(trained: tuple[Institutions, str]) -> None:
    """Other hosts, other columns, other classes, another party's part."""
    parties, name = trained
    go_on(parties, name, n_estimators=4)
    own = {who: parties.folder / who / "runs" / "earlier" / "model" for who in OPEN}
    part, head = load_part(own["bank"])
    assert isinstance(part, TreesPart)

    def refused(who: str, changed: TreesPart, code: int, *words: str) -> None:
        save_part(changed, own[who], kind=head.kind, job_digest=bytes.fromhex(head.job_digest))
        parties.here("check", parties.job, parties.file(who)).says(code, *words)

    refused("bank", replace(part, hosts=("utility",)), 2, "its own hosts", "utility")
    refused(
        "bank",
        replace(part, columns=("canarylimit", "canaryage")[: len(part.columns)]),
        3,
        "columns are not those of the model",
    )
    refused(
        "bank",
        replace(part, classes=(False, True)) if part.classes != (False, True) else part,
        3,
        "classes are not those",
    )
    refused("bank", replace(part, party="telecom"), 7, "is not one that this party can continue")
    host, _ = load_part(own["telecom"])
    assert isinstance(host, TreesPart)
    assert host.splits is not None
    host.splits.seat, host.splits.trees = [(tree, 0, 0) for tree in range(len(host.splits))], len(host.splits)
    host.splits.score_key = bytes(32)
    refused("telecom", replace(host, depth=2), 2, "own membership and max_depth")
