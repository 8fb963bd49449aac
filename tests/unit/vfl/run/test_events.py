"""The events of a run: a line each in its folder, in order of time, by the committed schema, and readable as a log."""

from __future__ import annotations

import io
import json
import os
import re
import time
from pathlib import Path

import jsonschema
import msgspec
import pytest

from protocols.errors import ConfigError
from protocols.glm.training import Columns
from tests.places import ROOT
from tools.event_schema import SCHEMA, event_schema
from vfl.run.events import EVENTS, Events
from vfl.screen.console import Console
from vfl.screen.events import Event, Watch
from vfl.screen.progress import LineWatch, LogWatch, duration, watching, worded
from vfl.taps.counting import CountingTap


class Kept(Watch):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events = list[Event]()

    def event(self, event: Event) -> None:
        self.events.append(event)


def run(folder: Path, watch: Watch) -> list[Event]:
    """A small run, and what its file holds."""
    counting = CountingTap()
    events = Events("credit-risk", "bank", "predict", counting, watch)
    events.meets(["telecom", "trustco"])
    events.phase_begins("connect")
    events.met("telecom")
    events.met("trustco")
    events.begun(folder)
    events.phase_ends("connect")
    events.phase_begins("train")
    for done in range(51):
        events.step("train", done, 50)
        counting.sent("telecom", Columns, b"12345")
    events.waits("telecom", "peer-closed")
    events.meets(["telecom", "trustco"])
    events.met("telecom")
    events.met("trustco")
    events.over("done", report=folder / "report.json")
    return [msgspec.json.decode(line, type=Event) for line in (folder / EVENTS).read_bytes().splitlines()]


def test_a_run_writes_what_it_tells(tmp_path: Path) -> None:
    kept = Kept()
    written = run(tmp_path, kept)
    assert written == kept.events
    assert [e.time for e in written] == sorted(e.time for e in written)
    assert [(e.event, e.phase) for e in written if e.event != "step"] == [
        ("begins", "connect"),
        ("met", "connect"),
        ("met", "connect"),
        ("ends", "connect"),
        ("begins", "train"),
        ("waits", None),
        ("met", None),
        ("met", None),
        ("done", None),
    ]
    steps = [e for e in written if e.event == "step"]
    assert (steps[0].step, steps[-1].step, steps[-1].of) == (0, 50, 50)
    assert len(steps) == 2  # at most one a second, and the last one
    assert [e.missing for e in written[:3]] == [["telecom", "trustco"], ["trustco"], []]
    assert {e.command for e in written} == {"predict"}
    assert written[0].run is None  # there was no folder yet
    assert written[-1].run == tmp_path.name
    assert written[-1].bytes_sent == 51 * 5
    assert [e.attempt for e in written][-4:] == [1, 2, 2, 2]
    assert os.stat(tmp_path / EVENTS).st_mode & 0o777 == 0o600


def test_the_schema_is_not_stale_and_refuses_what_is_no_event(tmp_path: Path) -> None:
    assert SCHEMA.read_text() == event_schema()
    events = [msgspec.json.encode(event) for event in run(tmp_path, Kept())]
    schema = jsonschema.Draft202012Validator(json.loads(event_schema()))
    assert [e.message for event in events for e in schema.iter_errors(json.loads(event))] == []
    line = events[0]
    for wrong in ({"time": 3}, {"event": "vanishes"}, {"id": "CANARY"}, {"bytes_sent": -1}):
        assert not schema.is_valid(json.loads(line) | wrong)
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(msgspec.json.encode(json.loads(line) | wrong), type=Event)
    page = (ROOT / "docs" / "file-formats.md").read_text()
    table = page.partition("### events.jsonl")[2].partition("###")[0]
    assert set(re.findall(r"`(\w+)`", re.sub(r"\| [^|]*\|$", "", table, flags=re.M))) >= set(Event.__struct_fields__)


def test_a_disk_that_is_full_ends_no_run(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    events = Events("job", "bank", "run", CountingTap(), Kept())
    events.begun(folder)
    events.phase_begins("train")
    assert not folder.exists()


def test_a_log_has_a_line_at_least_every_so_often(tmp_path: Path) -> None:
    out = io.StringIO()
    with LogWatch(out, every=0.2) as watch:
        events = Events("credit-risk", "bank", "predict", CountingTap(), watch)
        events.meets(["telecom"])
        events.phase_begins("connect")
        events.met("telecom")
        events.phase_ends("connect")
        events.phase_begins("train")
        events.step("train", 3, 20)
        before = len(out.getvalue().splitlines())
        time.sleep(1.0)  # one long step
        lines = out.getvalue().splitlines()
        assert len(lines) - before >= 3
    assert lines == sorted(lines, key=lambda line: line[:24])
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4} credit-risk at bank: ", line) for line in lines)
    assert "waiting for telecom" in lines[0]
    assert lines[-1].endswith("training: 3 of 20")
    assert len(out.getvalue().splitlines()) == len(lines)  # nothing after the end


def test_a_phase_in_several_parts_is_said_once() -> None:
    out = io.StringIO()
    with LogWatch(out) as watch:
        events = Events("credit-risk", "bank", "run", CountingTap(), watch)
        events.meets(["telecom"])
        for phase in ("connect", "connect", "align", "align", "train"):
            events.phase_begins(phase)
            events.phase_ends(phase)
    said = [line.partition("bank: ")[2].partition(";")[0] for line in out.getvalue().splitlines()]
    parts = ("connecting", "aligning ids", "training")
    assert said == [words for part in parts for words in (part, f"{part}: done")]


def test_words_of_events(tmp_path: Path) -> None:
    written = run(tmp_path, Kept())
    assert worded(written[-1]) == "credit-risk at bank: done"
    assert worded(written[-4]) == "credit-risk at bank: waits (peer-closed); waiting for telecom"
    assert [duration(s) for s in (3.2, 100, 20_000)] == ["3 s", "2 min", "5.6 h"]


def test_what_is_shown_where() -> None:
    with watching("auto", Console(file=io.StringIO(), stderr=True)) as watch:
        assert isinstance(watch, LogWatch)
    with watching("lines", Console()) as watch:
        assert isinstance(watch, LineWatch)
    with pytest.raises(ConfigError, match="--progress bars is not known"), watching("bars", Console()):
        pass
