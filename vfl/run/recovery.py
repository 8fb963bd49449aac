"""A run that survives the death of any of its parties: `vfl run`, `vfl align` and `vfl predict` are loops of attempts,
and a restarted process is one more.

each attempt:  connect -> agree on run and checkpoint (protocols/recovery/resume.py) -> run counted -> ledger continued -> role function from there -> results on disk
               -> all parties say so -> results kept -> all parties say so -> store removed

When a peer is gone, this party says which, and waits for it as long as its party file allows; if it stops itself, the
same command resumes from the last checkpoint.
What ends a run for good (a table that is refused, a wrong message, a forbidden one) gives it up: the next command
begins a new run.
"""  # noqa: E501

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from protocols.channel import Tap
from protocols.errors import (
    PeerAborted,
    PeerClosed,
    PeerTimeout,
    TransportError,
    VFLError,
)
from protocols.recovery.checkpoint import END
from protocols.recovery.finish import confirm
from protocols.recovery.pad_store import Paused
from protocols.session import Observer
from vfl.compute.opening import opened
from vfl.ledger import LedgerTap, LedgerWriter, run_of, summarise
from vfl.run.announce import announced
from vfl.run.events import Events
from vfl.run.own_memory import enough_memory
from vfl.run.readiness import certificates, memory_of
from vfl.run.session import (
    DRAFT,
    Ready,
    RunSession,
    connected,
    interruptible,
    publish,
)
from vfl.run.stored_run import LEDGER, Json, Run
from vfl.screen.errors import Stopped
from vfl.storage.files import sync_tree, written
from vfl.taps.counting import CountingTap, peak_memory
from vfl.taps.recorder import Recorder
from vfl.taps.transcript import TranscriptFile, recording
from vfl.transport.hello import Command

log = logging.getLogger("vfl.run.recovery")
PREPARED = "prepared"  # how a ledger ends after vfl prepare
REPORTS = {"run": "report.json", "predict": "report.json", "align": "alignment.json"}  # by purpose
AFTERWARDS = 20.0  # seconds for which a party whose run is over waits for others that need it
GONE = (PeerClosed.code, PeerTimeout.code)


@dataclass(frozen=True)
class RunResult:
    """A run that is over: its folder, and what `work` returned."""

    folder: Path
    result: Json
    counting: CountingTap
    resumed: bool  # this process resumed where another one was interrupted

    @property
    def summary(self) -> Json:
        """What the report says of the run: its name and memory, of this process alone where it was resumed, and all
        that was disclosed; but for its phases, of which the report is the last."""
        told = {
            "peak_memory": peak_memory(),
            "disclosure": summarise(self.folder / LEDGER),
            **run_of(self.folder / LEDGER),
        }
        return told | ({"resumed": True} if self.resumed else {})


def take_part(
    ready: Ready[Any],
    purpose: Command,
    peers: Sequence[str],
    watch: Observer,
    work: Callable[[RunSession], Json],
    report: Callable[[RunResult], object],
    *,
    connect_timeout: float,
    seed: bytes | None = None,
    fresh: bool = False,
    taps: Sequence[Tap] = (),
) -> RunResult:
    """Takes part in a run until it is over.

    purpose: which command this is ("run", "align", "predict"): a run of one is never taken for a run of another, and
    the run budget counts it as such.
    work: the role function, which writes its results into the meeting's draft folder and returns what can be written as
    JSON; report: called at the very end, or once more if this process dies there.  fresh: gives an unfinished run of
    this job up.  taps: see every message too (tests, `vfl chaos`).
    Raises any VFLError, after telling the peers its code.
    """
    with begun(ready, purpose, peers, watch, seed=seed, fresh=fresh) as party:
        return _to_its_end(party, work, report, connect_timeout=connect_timeout, taps=taps)


def _to_its_end(
    party: Begun,
    work: Callable[[RunSession], Json],
    report: Callable[[RunResult], object],
    *,
    connect_timeout: float,
    taps: Sequence[Tap],
) -> RunResult:
    """Attempt after attempt."""
    run, events, timeout = party.run, party.events, connect_timeout
    if run.kept:
        publish(run.folder)
        timeout = min(timeout, AFTERWARDS)
    result = until_over(party, work, timeout, taps)
    assert not isinstance(result, Paused)  # this run trains
    taken = RunResult(run.folder, result, party.counting, run.resumed)
    with party.recorder.phase("write"):
        report(taken)
    run.over()
    events.over("done", report=run.folder / REPORTS[run.purpose])
    return taken


@dataclass(frozen=True)
class Begun:
    """This party's run, its counters and its events."""

    run: Run
    counting: CountingTap
    events: Events

    @property
    def recorder(self) -> Recorder:
        return Recorder(self.counting, self.events)


@contextlib.contextmanager
def begun(
    ready: Ready[Any],
    purpose: Command,
    peers: Sequence[str],
    watch: Observer,
    *,
    seed: bytes | None = None,
    fresh: bool = False,
    ahead: int | None = None,
) -> Iterator[Begun]:
    """The run in which this party takes part, and its workers until it leaves; ahead: as of `Run`."""
    command: Command = purpose if ahead is None else "prepare"
    with contextlib.ExitStack() as stack:
        with announced(ready.job, ready.party, command):  # what keeps this party from beginning, such as a budget
            enough_memory(ready, purpose)
            pool = ready.pool or stack.enter_context(opened(ready.party.compute, memory_of(ready)))
            run = Run(ready, purpose, peers, seed, fresh, pool, ahead)
        for sentence in certificates(ready, purpose):
            log.warning("%s", sentence)
        counting = CountingTap()
        yield Begun(run, counting, Events(ready.job.name, ready.party.name, command, counting, watch))


def until_over(party: Begun, work: Callable[[RunSession], Json], timeout: float, taps: Sequence[Tap]) -> Json | Paused:
    """Attempts until the run is over, or what it prepares is there; raises what ends it."""
    run, events, recorder = party.run, party.events, party.recorder
    deadline = Deadline(run.ready.party.run.reconnect_seconds)
    while True:
        try:
            return attempt(run, recorder, events, work, timeout, taps)
        except VFLError as error:
            if is_gone(error) and (timeout := deadline.left(run.standing)) > 0:
                events.waits(error.party, error.code)
                log.warning("%s; waiting up to %.0f s for it. The same command resumes the run", error.what, timeout)
                continue
            if run.kept and isinstance(error, TransportError | PeerAborted):
                log.warning(
                    "this run is over and its results are here, but %s; ask there whether it has its results too",
                    error.what,
                )
                return run.alone()
            events.over("failed", code=error.code)
            run.failed(error)
            raise
        except BaseException as error:
            stopped = isinstance(error, Stopped | KeyboardInterrupt)
            events.over("failed", code=Stopped.code if stopped else "internal")
            run.leave()
            if isinstance(error, KeyboardInterrupt):
                error = Stopped(error)
            if isinstance(error, Stopped):
                error.resumes = run.store is not None
            raise error


def attempt(
    run: Run,
    recorder: Recorder,
    events: Events,
    work: Callable[[RunSession], Json],
    timeout: float,
    taps: Sequence[Tap],
) -> Json | Paused:
    """One meeting of all parties, to the end of the run, to that of what it prepares, or to the first error."""
    ready = run.ready
    events.meets(run.peers)
    if run.store is not None:
        events.begun(run.folder)
    meeting = connected(ready, run.peers, recorder, command=run.command, connect_timeout=timeout, met=events.met)
    with meeting as wires:
        with recorder.phase("connect"):
            goal, heard = run.agree(wires, recorder.counting, *taps)
        events.begun(run.folder)
        recorded = recording(run.folder, ready.party.run.transcript)
        with run.ledger(goal) as writer, recorded as transcript, interruptible():
            for direction, peer, kind, data in heard:
                (writer.record if direction == "to" else writer.received)(peer, kind, data)
                if transcript is not None:
                    transcript.tap.before(direction, peer, kind, data)
            heard_by = (LedgerTap(writer), *([] if transcript is None else [transcript.tap]), *taps)
            session, draft = run.session(wires, goal, recorder, heard_by), run.folder / DRAFT
            run.opened.before = partial(synced, writer, transcript)
            if goal == END:
                mark = run.opened.at(END)
                session.course.restore(mark)
                result: Json = json.loads(mark.arrays["result"].tobytes())
            else:
                with written(run.folder):
                    shutil.rmtree(draft, ignore_errors=True)
                    draft.mkdir(mode=0o700)
                try:
                    result = work(RunSession(session, run.folder, draft, run.started, recorder.counting))
                except Paused as paused:
                    writer.close(PREPARED)
                    return paused
                with recorder.phase("write"), written(run.folder):
                    sync_tree(draft)
                session.course.finished({"result": np.frombuffer(json.dumps(result).encode(), np.uint8)})
            with recorder.phase("finish"):
                confirm(session, run.keep, run.witness())
    return result


def synced(writer: LedgerWriter, transcript: TranscriptFile | None) -> str:
    """Returns when ledger and transcript are on the disk: the hash of the ledger's last line."""
    if transcript is not None:
        transcript.sync()
    return writer.sync()


class Deadline:
    """How long this party still waits for one that is gone: `seconds` from the first time since the run last made
    progress."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._standing, self._until = seconds, object(), 0.0

    def left(self, standing: object) -> float:
        if standing != self._standing:
            self._standing, self._until = standing, time.monotonic() + self._seconds
        return max(0.0, self._until - time.monotonic())


def is_gone(error: VFLError) -> bool:
    """Whether a peer that was here is gone and may come back."""
    return isinstance(error, PeerClosed | PeerTimeout) or (isinstance(error, PeerAborted) and error.peer_code in GONE)
