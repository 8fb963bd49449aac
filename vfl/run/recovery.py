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

import datetime
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from protocols.channel import Count, Tap, Wire
from protocols.errors import (
    ConfigError,
    CryptoError,
    DataError,
    DisclosureRefused,
    ModelError,
    PeerAborted,
    PeerClosed,
    PeerTimeout,
    ProtocolError,
    TransportError,
    VFLError,
)
from protocols.message import Message
from protocols.randomness import Randomness, run_seed
from protocols.recovery import resume
from protocols.recovery.checkpoint import END, START, Position
from protocols.recovery.finish import confirm
from protocols.session import Observer, Session
from vfl.ledger import LedgerBroken, LedgerTap, LedgerWriter, Witness, continued, summarise
from vfl.ledger.continuing import read_unfinished
from vfl.run.announce import announced
from vfl.run.budget import Budget
from vfl.run.events import Events
from vfl.run.readiness import certificates
from vfl.run.session import (
    DRAFT,
    Meeting,
    Ready,
    connected,
    interruptible,
    new_folder,
    open_channels,
    publish,
    scheme_of,
    session_digest,
)
from vfl.screen.errors import Stopped
from vfl.storage.files import sync_tree, written
from vfl.storage.run_store import RunFacts, RunStore, folder_name, unfinished
from vfl.taps.counting import Counted, CountingTap
from vfl.taps.recorder import Recorder
from vfl.version import __version__

log = logging.getLogger("vfl.run.recovery")
LEDGER = "ledger.jsonl"
REPORTS = {"run": "report.json", "predict": "report.json", "align": "alignment.json"}  # by purpose
AFTERWARDS = 20.0  # seconds for which a party whose run is over waits for others that need it
GONE = (PeerClosed.code, PeerTimeout.code)
Json = dict[str, Any]


@dataclass(frozen=True)
class Taken:
    """A run that is over: its folder, and what `work` returned."""

    folder: Path
    result: Json
    counting: CountingTap
    resumed: bool  # this process resumed where another one was interrupted

    @property
    def told(self) -> Json:
        """What the report says of the run: its phases, of this process alone where it was resumed, and all that was
        disclosed."""
        told = {"phases": self.counting.phases(), "disclosure": summarise(self.folder / LEDGER)}
        return told | ({"resumed": True} if self.resumed else {})


def take_part(
    ready: Ready[Any],
    purpose: str,
    peers: Sequence[str],
    watch: Observer,
    work: Callable[[Meeting], Json],
    report: Callable[[Taken], object],
    *,
    connect_timeout: float,
    seed: bytes | None = None,
    fresh: bool = False,
    taps: Sequence[Tap] = (),
) -> Taken:
    """Takes part in a run until it is over.

    purpose: which command this is ("run", "align", "predict"): a run of one is never taken for a run of another, and
    the run budget counts it as such.
    work: the role function, which writes its results into the meeting's draft folder and returns what can be written as
    JSON; report: called at the very end, or once more if this process dies there.  fresh: gives an unfinished run of
    this job up.  taps: see every message too (tests, `vfl chaos`).
    Raises any VFLError, after telling the peers its code.
    """
    with announced(ready.job, ready.party, purpose):  # what keeps this party from beginning, such as a budget
        run = Run(ready, purpose, peers, seed, fresh)
    for sentence in certificates(ready, purpose):
        log.warning("%s", sentence)
    counting = CountingTap()
    events = Events(ready.job.name, ready.party.name, purpose, counting, watch)
    recorder, timeout = Recorder(counting, events), connect_timeout
    patience = Patience(ready.party.run.reconnect_seconds)
    if run.kept:
        publish(run.folder)
        timeout = min(timeout, AFTERWARDS)
    while True:
        try:
            result = attempt(run, recorder, events, work, timeout, taps)
            break
        except VFLError as error:
            if is_gone(error) and (timeout := patience.left(run.standing)) > 0:
                events.waits(error.party, error.code)
                log.warning("%s; waiting up to %.0f s for it. The same command resumes the run", error.what, timeout)
                continue
            if run.kept and isinstance(error, TransportError | PeerAborted):
                log.warning(
                    "this run is over and its results are here, but %s; ask there whether it has its results too",
                    error.what,
                )
                result = run.alone()
                break
            events.over("failed", code=error.code)
            run.failed(error)
            raise
        except BaseException as error:
            stopped = isinstance(error, Stopped | KeyboardInterrupt)
            events.over("failed", code=Stopped.code if stopped else "internal")
            run.leave()
            raise
    taken = Taken(run.folder, result, counting, run.resumed)
    report(taken)
    run.over()
    events.over("done", report=run.folder / REPORTS[purpose])
    return taken


def attempt(
    run: Run, recorder: Recorder, events: Events, work: Callable[[Meeting], Json], timeout: float, taps: Sequence[Tap]
) -> Json:
    """One meeting of all parties, to the end of the run or to the first error."""
    ready = run.ready
    events.meets(run.peers)
    if run.store is not None:
        events.begun(run.folder)
    meeting = connected(
        ready, run.peers, recorder, session_digest=run.session_digest, connect_timeout=timeout, met=events.met
    )
    with meeting as wires:
        with recorder.phase("connect"):
            goal, heard = run.agree(wires, recorder.counting, *taps)
        events.begun(run.folder)
        with run.ledger(goal) as writer, interruptible():
            for direction, peer, kind, data in heard:
                (writer.record if direction == "to" else writer.received)(peer, kind, data)
            session, draft = run.session(wires, goal, recorder, (LedgerTap(writer), *taps)), run.folder / DRAFT
            run.opened.before = writer.sync
            if goal == END:
                mark = run.opened.at(END)
                session.course.restore(mark)
                result: Json = json.loads(mark.arrays["result"].tobytes())
            else:
                with written(run.folder):
                    shutil.rmtree(draft, ignore_errors=True)
                    draft.mkdir(mode=0o700)
                result = work(Meeting(session, run.folder, draft, run.started, recorder.counting))
                with written(run.folder):
                    sync_tree(draft)
                session.course.finished({"result": np.frombuffer(json.dumps(result).encode(), np.uint8)})
            with recorder.phase("finish"):
                confirm(session, run.keep, run.witness())
    return result


class Run:
    """The run in which this party takes part, begun by an earlier process or by the first attempt that meets all
    peers."""

    def __init__(self, ready: Ready[Any], purpose: str, peers: Sequence[str], seed: bytes | None, fresh: bool) -> None:
        self.ready, self.purpose, self.peers, self._seed = ready, purpose, tuple(peers), seed
        self._budget = budget_of(ready, purpose)
        directory, job = ready.party.run.directory, ready.job
        self.store = unfinished(directory, purpose, job.name, job.digest)
        while self.store is not None and fresh:
            self.store.remove()
            self.store = unfinished(directory, purpose, job.name, job.digest)
        self.resumed = self.store is not None  # this process resumes where another one stopped
        if self.store is None:
            self._budget.check(peers)
            new_folder(directory, f".{ready.job.name}").rmdir()  # results can be written
        elif not self.store.kept:
            self._check(self.store)

    def _check(self, store: RunStore) -> None:
        """Raises DataError, ConfigError or LedgerBroken unless the store's run can resume here."""
        name, remedy = self.ready.party.name, f"let every party start again with vfl {self.purpose} --fresh"
        if store.facts.input != self.ready.input_digest():
            store.close()
            raise DataError(
                f"{name}: {self.ready.inputs} has changed since the run in {store.folder} began",
                remedy=f"Put the former one back and give the same command, or {remedy}",
                party=name,
            )
        if store.facts.version != __version__:
            store.close()
            raise ConfigError(
                f"{name}: the run in {store.folder} was begun by version {store.facts.version} of this "
                f"engine, which is {__version__} now",
                remedy=f"Use that version, or {remedy}",
                party=name,
            )

        if store.ledger:
            try:
                read_unfinished(store.folder / LEDGER, store.ledger)
            except VFLError:
                store.close()
                raise

    @property
    def session_digest(self) -> bytes:
        """What a connection is bound to: the job, and which command it is for."""
        return session_digest(self.ready.job, self.purpose)

    @property
    def opened(self) -> RunStore:
        """The store, once all parties have agreed on a run."""
        assert self.store is not None
        return self.store

    @property
    def folder(self) -> Path:
        return self.opened.folder

    @property
    def started(self) -> datetime.datetime:
        return datetime.datetime.fromisoformat(self.opened.facts.started)

    @property
    def kept(self) -> bool:
        """Whether every party has its results on its disk."""
        return self.store is not None and self.store.kept

    @property
    def standing(self) -> tuple[bytes, list[Position]]:
        """The run that this party has begun, if any, and where it can resume."""
        return (b"", []) if self.store is None else (self.store.facts.id, self.store.marks)

    def agree(
        self, wires: Mapping[str, Wire], *taps: Tap
    ) -> tuple[Position, list[tuple[str, str, type[Message], bytes]]]:
        """Agrees with all peers on the run and the checkpoint to resume from, and begins a new run if there is none;
        also returns the messages, for the ledger.

        The run is counted when every party has it on its disk: from then on, whichever party dies, this run is the one
        that resumes.
        """
        said = Said()
        channels, _ = open_channels(self.ready, wires, said, *taps)
        (own, marks), guest, nonce = self.standing, self.ready.roles.guest, run_seed()[: resume.NONCE]
        if self.ready.party.name == guest:
            found, goal = resume.decide([channels[p] for p in self.peers], own, marks, nonce)
        else:
            found, goal = resume.follow(channels[guest], own, marks, nonce)
        if found != own:
            self._begin(found)
        resume.compare(channels, dict.fromkeys(channels, Count()) if goal == START else self.opened.at(goal).counts)
        self._budget.charge(self.peers, found, self.started)
        return goal, said.messages

    def _begin(self, name: bytes) -> None:
        if self.store is not None:
            log.warning("the run in %s is given up: not every party has kept it", self.store.folder)
            self.store.remove()
            self.store, self.resumed = None, False
        ready, now = self.ready, datetime.datetime.now(datetime.UTC)
        self._budget.check(self.peers)
        begins = folder_name(self.purpose, ready.job.name)
        folder = new_folder(ready.party.run.directory, f"{begins}-{now:%Y%m%d-%H%M%S}")
        facts = RunFacts(
            __version__,
            self.purpose,
            ready.job.digest,
            ready.input_digest(),
            name,
            self._seed or run_seed(),
            now.isoformat(),
        )
        self.store = RunStore(folder, facts)

    def ledger(self, goal: Position) -> LedgerWriter:
        """The run's ledger, new or continued from `goal`."""
        path, job, party, store = self.folder / LEDGER, self.ready.job, self.ready.party, self.opened
        said: Json = {"job": job.name, "job_digest": job.digest, "party": party.name, "sign": self.ready.identity.sign}
        said["approved_by"] = party.policy.approved_by
        if not path.exists() and not store.ledger:
            writer = LedgerWriter(path, **said, run=store.facts.id)
        else:
            writer = continued(path, **said, repeats=store.repeats(goal), head=store.ledger)
        store.listed(writer.sync())
        return writer

    def witness(self) -> Witness:
        """Signs the channels of this run, and stores the partners' signatures with the ledger."""
        ready = self.ready
        certificates = {peer: ready.party.peers[peer].certificates() for peer in self.peers}
        return Witness(
            self.folder, ready.job.digest, self.opened.facts.id, ready.party.name, ready.identity.sign, certificates
        )

    def session(self, wires: Mapping[str, Wire], goal: Position, recorder: Recorder, taps: Sequence[Tap]) -> Session:
        """What the role function is given, at `goal`."""
        ready, keeper = self.ready, self.opened
        channels, keys = open_channels(ready, wires, recorder.counting, *taps)
        drawn = Randomness(ready.party.name, keeper.facts.seed, ready.input_digest())
        begin = START if goal == END else goal
        scheme = Counted(scheme_of(ready.job), recorder.counting.keys.append)
        allowance = self._budget.allowance(keeper.facts.id)
        return Session(ready.party.name, ready.roles, channels, drawn, keys, scheme, recorder, keeper, begin, allowance)

    def keep(self) -> None:
        """Every party has its results on its disk."""
        if not self.opened.kept:
            self.opened.keeps()
        publish(self.folder)

    def alone(self) -> Json:
        """Ends a run that every party has its results of without them."""
        with self.ledger(END):
            pass
        result: Json = json.loads(self.opened.at(END).arrays["result"].tobytes())
        return result

    def over(self) -> None:
        """Nothing more is to do: the store goes, and with it this run's secrets."""
        self.opened.remove()

    def leave(self) -> None:
        """This process ends; the same command resumes."""
        if self.store is not None:
            self.store.close()

    def failed(self, error: VFLError) -> None:
        """Gives the run up if its repetition would end in the same way."""
        if self.store is None:
            return
        if ends_for_good(error):
            self.store.remove()
            shutil.rmtree(self.folder / DRAFT, ignore_errors=True)
        else:
            error.remedy += (
                f". The run is kept in {self.folder}: when every party gives its command again, it resumes "
                f"where it stopped"
            )
            self.store.close()


def budget_of(ready: Ready[Any], purpose: str) -> Budget:
    """What this party still agrees to, for one command."""
    guest = ready.job.parties.guest
    return Budget(ready.party, purpose, ready.table, ready.job.models_told, ready.opened, guest, ready.own_rows)


class Said(Tap):
    """What the parties said before it was clear which ledger it belongs to."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, type[Message], bytes]] = []

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.messages.append(("to", peer, kind, data))

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.messages.append(("from", peer, kind, data))


class Patience:
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


def ends_for_good(error: VFLError) -> bool:
    """Whether the run would end like this again."""
    families = (DataError, CryptoError, DisclosureRefused, ModelError, ProtocolError)
    if isinstance(error, PeerAborted):
        return any(error.peer_code == kind.code for family in families for kind in (family, *family.__subclasses__()))
    return isinstance(error, families) and not isinstance(error, LedgerBroken)  # an unchanged ledger can be put back
