"""`vfl audit RUN`: the checks of a party's own transcript find what is planted in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

import vfl
from protocols.cipher import CipherVec
from protocols.errors import ConfigError, ModelError
from tests.promises.audit.scenes import scene
from vfl.attacks import own_checks, own_run
from vfl.attacks.attack import Estimate, Tried
from vfl.attacks.audit import Audit, about_of
from vfl.attacks.dictionary import Dictionary
from vfl.attacks.page import render
from vfl.attacks.received import kind_of
from vfl.ledger import LedgerWriter
from vfl.taps.transcript import Entry, Transcript

PERMITS = ("intersection-to-parties", "convergence-to-parties", "scores-to-guest")
JOB: Any = SimpleNamespace(disclosure=SimpleNamespace(allow=PERMITS))


def received(party: str = "guest") -> Transcript:
    return scene("regression").seen[party]


def changed(transcript: Transcript, message: str, change: Callable[[list[Any]], list[Any]]) -> Transcript:
    """With the first message of a kind changed."""
    entries, done = list(transcript.entries), False
    for k, entry in enumerate(entries):
        if entry.message == message and entry.data and not done:
            data = msgspec.msgpack.encode(change(msgspec.msgpack.decode(entry.data)))
            entries[k], done = msgspec.structs.replace(entry, data=data, size=len(data)), True
    assert done
    return Transcript(transcript.party, entries)


def test_an_honest_transcript_passes_and_messages_beyond_the_job_are_named() -> None:
    own = received("telecom")
    assert own_checks.declared(own, JOB)["holds"], own_checks.declared(own, JOB)
    assert own_checks.in_clear(own, JOB)["holds"]
    narrow: Any = SimpleNamespace(disclosure=SimpleNamespace(allow=("scores-to-guest",)))
    assert "HostRows" in own_checks.declared(own, narrow)["found"]
    assert not own_checks.in_clear(own, narrow)["holds"]
    gossip = Transcript(own.party, [*own.entries, Entry("from", "guest", 99, "Gossip", 0, 1, b"\x90")])
    assert own_checks.declared(gossip, JOB) | {"found": "Gossip", "holds": False} == own_checks.declared(gossip, JOB)


def test_planted_gradients_in_the_clear_are_named() -> None:
    own = received("telecom")
    weights = scene("regression").x("telecom").shape[1]
    data = msgspec.msgpack.encode(["HostRows", bytes(4 * weights)])
    planted = Transcript(own.party, [Entry("from", "guest", 99, "HostRows", 0, len(data), data)])
    none: Any = SimpleNamespace(disclosure=SimpleNamespace(allow=()))
    assert own_checks.in_clear(planted, none)["found"] == "HostRows (intersection-to-parties)"
    assert not own_checks.in_clear(planted, none)["holds"]
    assert own_checks.in_clear(Transcript(own.party, []), none)["found"] == "none"


def test_planted_ciphertexts_without_randomness_are_counted() -> None:
    own = received("telecom")
    assert own_checks.marked(own)["found"].startswith("0 of ")
    (message, at) = next(
        (e.message, k)
        for e in own.received()
        if (kind := kind_of(e)) is not None
        for k, (_, of) in enumerate(kind.schema(), 1)
        if of is CipherVec
    )

    def repeat(values: list[Any]) -> list[Any]:
        fingerprint, body, width = values[at][:32], values[at][32:], 128
        values[at] = fingerprint + body[:width] + body[:width] + body[2 * width :]
        return values

    found = own_checks.marked(changed(own, message, repeat))
    assert not found["holds"]
    assert found["found"].startswith("1 of ")


def test_a_transcript_that_is_not_the_ledgers_is_named(tmp_path: Path) -> None:
    own = received("telecom")
    with LedgerWriter(tmp_path / "ledger.jsonl", job="credit", job_digest=bytes(32), party="telecom") as writer:
        for entry in own.entries:
            kind = kind_of(entry)
            assert kind is not None
            if entry.way == "from":
                writer.received(entry.peer, kind, entry.data)
            else:
                writer.record(entry.peer, kind, bytes(entry.size))
    found = own_checks.listed(tmp_path, own)
    assert found["holds"], found
    assert not own_checks.listed(tmp_path, Transcript(own.party, own.entries[:-1]))["holds"]
    other = changed(own, "HostRows", lambda values: [values[0], values[1][::-1]])
    assert not own_checks.listed(tmp_path, other)["holds"]


def test_the_twin_has_the_columns_of_the_party_by_its_report_and_of_others_by_what_they_said() -> None:
    report = {"party": "bank", "columns": [{"column": name} for name in "abcdefg"]}
    assert own_run.own_columns(report) == {"bank": 7}
    assert own_run.own_columns({"party": "trustco"}) == {}  # an arbiter has none
    told = own_run.columns_told(received("guest"))
    assert told["telecom"] == scene("regression").x("telecom").shape[1]


@pytest.mark.parametrize(
    ("model", "classes"),
    [
        (vfl.BoostedTrees(), 2),
        (vfl.BoostedTrees(objective="multi:softprob").with_(num_class=3), 3),
        (vfl.LogisticRegression(), 2),
        (vfl.Scorecard(), 2),
    ],
)
def test_the_labels_of_a_twin_are_those_that_the_model_takes(model: Any, classes: int) -> None:
    found = own_run.labels(SimpleNamespace(model=model), np.linspace(-1, 1, 60), np.random.default_rng(0))  # type: ignore[arg-type]
    assert set(found) == set(range(classes))


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no finished run"):
        own_run.audit_run(tmp_path)
    (tmp_path / "alignment.json").write_text("{}")
    with pytest.raises(ModelError, match="is no report of an alignment"):
        own_run.audit_run(tmp_path)


def test_the_page_shows_a_failed_control_and_a_broken_bound() -> None:
    attack, good, bad = Dictionary(), Estimate.of([0.0]), Estimate.of([1.0])
    about = about_of(scene("regression"), 2, "this run")
    fine = Audit(about, [Tried(attack, good, bad, bad, 0.01)])
    assert fine.holds
    assert "No attack whose control succeeded found more than its bound allows" in render(fine.as_dict())
    broken = Audit(about, [Tried(attack, bad, bad, bad, 0.01)])
    assert not broken.holds
    assert "above the bound" in render(broken.as_dict())
    blind = Audit(about, [Tried(attack, good, good, bad, 0.01)])
    assert not blind.holds
    assert "control failed" in render(blind.as_dict())


def test_an_audit_shows_itself_in_a_few_lines() -> None:
    attack, good, bad = Dictionary(), Estimate.of([0.0]), Estimate.of([1.0])
    about = about_of(scene("regression"), 2, "this run")
    check = {"check": "every message is declared", "found": "none", "holds": True}
    found = Audit(about, [Tried(attack, good, bad, bad, 0.01)], {"13 one label": "no labels"}, [check])
    lines = repr(found).splitlines()
    assert lines[0] == f"Audit of this run: {about['kind']} on 400 rows, holds"
    assert lines[1] == "  every message is declared: holds"
    shown = f"holds; here 0.000, bound {attack.bound:.3f}, control 1.000, textbook 1.000"
    assert lines[2] == f"  {attack.number} {attack.name}: {shown}"
    assert lines[3:] == ["  1 attack not tried: untried says why"]
    page = found._repr_html_()
    assert "Audit of this run" in page
    assert attack.name in page
    broken = Audit(about, [Tried(attack, bad, bad, bad, 0.01)])
    assert "does not hold" in repr(broken)
    assert "FAILS" in broken._repr_html_()
    assert "nothing was tried" in repr(Audit(about, []))


def test_an_audit_that_cannot_be_saved_names_what_to_do(tmp_path: Path) -> None:
    found = Audit(about_of(scene("regression"), 2, "this run"), [])
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as refused:
        found.save(tmp_path / "file")
    assert "Name a folder in which this account may make files" in refused.value.remedy
    with pytest.raises(ConfigError, match="folder = 3 is not possible"):
        found.save(3)  # type: ignore[arg-type]


def test_an_audit_that_tried_nothing_does_not_hold() -> None:
    nothing = Audit(about_of(scene("regression"), 2, "this run"), [], {"13 one label": "no labels"})
    assert not nothing.holds
    assert "Nothing was tried" in render(nothing.as_dict())


def test_texts_of_a_page_are_escaped(tmp_path: Path) -> None:
    about = about_of(scene("regression"), 2, "this run") | {"kind": "<script>alert(1)</script>"}
    page = Audit(about, [], {"1 x": "<b>"}).save(tmp_path)
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;b&gt;" in text
    assert page.stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "audit.json").read_text())["about"]["rows"] == 400
