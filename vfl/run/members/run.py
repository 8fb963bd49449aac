"""Runs one party of an averaging in this process: `vfl run` of a job with members.

files -> checks (nothing of a run sent) -> mutual TLS, members to the aggregator -> a name for the run -> setup -> sums -> model, ledger, report in the run's folder

A member that leaves is left out, and the others continue.  A run is never resumed: keys and masks serve one run.  Where
the aggregator is gone, or a member before the first sum, every party waits as long as its party file says, and begins
another run from the start.  A party keeps which sums were opened, over all its runs (sums.py).
"""  # noqa: E501

from __future__ import annotations

import datetime
import hashlib
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocols.averaging.secure_sum import ANSWERED
from protocols.averaging.secure_sum_aggregator import TRIES
from protocols.channel import Channel, Tap, Wire
from protocols.cipher import Identity as NoCipher
from protocols.cipher import Keyring
from protocols.errors import PeerAborted, TooFewMembers, TransportError, VFLError
from protocols.randomness import Randomness, run_seed
from protocols.recovery import resume
from protocols.recovery.finish import confirm, confirm_rest
from protocols.session import Observer, Session
from vfl.api.departures import too_few
from vfl.ledger import LedgerTap, LedgerWriter, Witness, run_of, summarise
from vfl.models.averaging import files, program
from vfl.models.averaging.course import Course
from vfl.models.averaging.joint import AveragedModel
from vfl.models.baseline import Baseline
from vfl.report.page import write_report
from vfl.run.announce import announced
from vfl.run.events import Events
from vfl.run.members.ready import MemberReady
from vfl.run.members.report import MODEL, Ended, own_measures, report_of
from vfl.run.members.signing import Pinned, Signing
from vfl.run.members.sums import MemberBudget
from vfl.run.readiness import certificates
from vfl.run.recovery import REPORTS, Deadline, is_gone
from vfl.run.session import DRAFT, connected, interruptible, new_folder, open_channels, publish
from vfl.run.stored_run import LEDGER, MessageLog
from vfl.screen.errors import Stopped
from vfl.storage.files import sync_tree, written
from vfl.taps.counting import CountingTap, peak_memory
from vfl.taps.recorder import Recorder
from vfl.taps.transcript import recording

log = logging.getLogger("vfl.run.members")
STEPS = TRIES * (len(ANSWERED) + 1)  # of other parties, for which a member may wait


def run(
    ready: MemberReady,
    watch: Observer,
    *,
    connect_timeout: float = 120.0,
    taps: Sequence[Tap] = (),
) -> Path:
    """Takes part in the job; returns the run's folder.  taps: see every message (tests).  Raises any VFLError, after
    telling the peers its code."""
    with announced(ready.job, ready.party, "run"):
        MemberBudget(ready.job, ready.party, ready.own).check()
        new_folder(ready.party.run.directory, f".{ready.job.name}").rmdir()
    for sentence in certificates(ready, "run"):
        log.warning("%s", sentence)
    counting = CountingTap()
    events = Events(ready.job.name, ready.party.name, "run", counting, watch)
    deadline, timeout = Deadline(ready.party.run.reconnect_seconds), connect_timeout
    last: VFLError | None = None
    while True:
        attempt = Attempt(ready, Recorder(counting, events), events, tuple(taps))
        try:
            return attempt.through(timeout)
        except VFLError as error:
            if is_gone(error) and (timeout := deadline.left(ready.job.digest)) > 0:
                events.waits(error.party, error.code)
                log.warning(
                    "%s; waiting up to %.0f s for it, then another run begins from the start", error.what, timeout
                )
                last = last or error
                continue
            events.over("failed", code=error.code)
            raise _of_one_left(ready, error, last) from None
        except BaseException as error:
            stopped = isinstance(error, Stopped | KeyboardInterrupt)
            events.over("failed", code=Stopped.code if stopped else "internal")
            if isinstance(error, KeyboardInterrupt):
                raise Stopped(error) from None
            raise


def _of_one_left(ready: MemberReady, error: VFLError, last: VFLError | None) -> VFLError:
    """What is raised at last; last: why a run of this process was broken off, if one was."""
    if ready.party.role != "member" or not isinstance(error, TransportError) or not (last or is_gone(error)):
        return error
    error.remedy = (
        f"{(last or error).what}: the others may have ended their run without {ready.party.name}. If so, the model is "
        "the same at all members: ask one for its RUN/model/model.json. Otherwise let all parties give the command "
        "again"
    )
    return error


@dataclass
class Attempt:
    """One meeting of all parties, and a run from its start."""

    ready: MemberReady
    recorder: Recorder
    events: Events
    taps: tuple[Tap, ...]
    left: dict[str, VFLError] = field(default_factory=dict)  # at the aggregator, who is gone, and why

    def through(self, timeout: float) -> Path:
        """To the end of the run; returns its folder."""
        ready, events = self.ready, self.events
        peers = ready.job.parties.peers_of(ready.party.name)
        events.meets(peers)
        ended: Ended | None = None
        try:
            with connected(
                ready, peers, self.recorder, command="run", connect_timeout=timeout, met=events.met
            ) as wires:
                with self.recorder.phase("connect"):
                    name, said = self._named(wires)
                ended = self._begun(name)
                self._take_part(ended, wires, said)
        except (TransportError, PeerAborted) as error:
            if ended is None or not ended.kept:
                raise
            log.warning("this run is over and its results are here, but %s", error.what)
        return self._over(ended)

    def _named(self, wires: Mapping[str, Wire]) -> tuple[bytes, MessageLog]:
        """A new name for the run, by a nonce of each party; and what was said."""
        said, aggregator = MessageLog(), self.ready.job.parties.arbiter
        channels, _ = open_channels(self.ready, wires, said, self.recorder.counting, *self.taps)
        nonce = run_seed()[: resume.NONCE]
        parties = self.ready.job.parties
        if aggregator in channels:
            everyone = (aggregator, *parties.members)
            name = resume.follow(channels[aggregator], b"", [], nonce, everyone).run
        else:
            name = resume.decide([channels[p] for p in parties.members], b"", [], nonce).run
        return name, said

    def _begun(self, name: bytes) -> Ended:
        job, party, now = self.ready.job, self.ready.party, datetime.datetime.now(datetime.UTC)
        MemberBudget(job, party, self.ready.own).charge(name, now)
        folder = new_folder(party.run.directory, f"{job.name}-{now:%Y%m%d-%H%M%S}")
        self.events.begun(folder)
        return Ended(name, folder, now)

    def _take_part(self, ended: Ended, wires: Mapping[str, Wire], said: MessageLog) -> None:
        ready, party, job = self.ready, self.ready.party, self.ready.job
        signing = ready.identity.sign
        about: dict[str, Any] = {"job": job.name, "job_digest": job.digest, "party": party.name, "run": ended.name}
        about |= {"approved_by": party.policy.approved_by, "approval": ready.approval}
        with (
            LedgerWriter(ended.folder / LEDGER, **about, sign=signing) as writer,
            recording(ended.folder, party.run.transcript) as transcript,
            interruptible(),
        ):
            for direction, peer, kind, data in said.messages:
                (writer.record if direction == "to" else writer.received)(peer, kind, data)
                if transcript is not None:
                    transcript.tap.before(direction, peer, kind, data)
            recorded = [] if transcript is None else [transcript.tap]
            taps = (self.recorder.counting, LedgerTap(writer), *recorded, *self.taps)
            channels, keys = open_channels(ready, wires, *taps, steps=STEPS if party.role == "member" else 1)
            session = self._session(channels, keys)
            ended.course = self._averaged(session, ended)
            ended.left = {peer: error.what for peer, error in self.left.items()}
            with self.recorder.phase("evaluate"):
                self._save(ended)
            witness = Witness(ended.folder, job.digest, ended.name, party.name, signing, self._pins())
            with self.recorder.phase("finish"):
                if party.role == "member":
                    ended.kept = True  # the last sum is all that a member needs
                    publish(ended.folder)
                    confirm(session, lambda: None, witness)
                else:
                    ended.confirmed = confirm_rest(session, lambda: self._keep(ended), witness, ANSWERED)

    def _session(self, channels: Mapping[str, Channel], keys: Keyring) -> Session:
        ready = self.ready
        drawn = Randomness(ready.party.name, run_seed(), ready.input_digest())
        return Session(ready.party.name, ready.roles, channels, drawn, keys, NoCipher(), self.recorder)

    def _averaged(self, session: Session, ended: Ended) -> Course:
        """This party's program.  Raises TooFewMembers."""
        job, party, ready = self.ready.job, self.ready.party, self.ready
        known = Pinned.of(hashlib.sha256(b"vfl averaging run|" + job.digest + ended.name).digest(), self._pins())
        sums = MemberBudget(job, party, ready.own).sums
        if ready.own is not None:
            signing, held = Signing(ready.identity), ready.own.held_out
            more = {"measures": job.measures, "held_out": held, "other_runs": sums}
            return program.member(session, job.model, known, signing, ready.own.training, job.noise, **more)  # type: ignore[arg-type]
        patience, columns = float(party.run.message_seconds), len(job.table.columns)
        try:
            more = {"measures": job.measures, "other_runs": sums, "left": self.left}
            return program.aggregator(session, job.model, known, columns, patience, job.noise, **more)  # type: ignore[arg-type]
        except TooFewMembers as error:
            gone = {name: TransportError(one.what, party=name) for name, one in self.left.items()}
            raise too_few(job.model, job.parties.members, gone, error) from None

    def _pins(self) -> dict[str, tuple[bytes, ...]]:
        """The certificates of all parties that this one knows, its own among them."""
        known = {name: peer.certificates() for name, peer in self.ready.party.peers.items()}
        return known | {self.ready.party.name: (self.ready.identity.certificate_pem,)}

    def _save(self, ended: Ended) -> None:
        """The model, which all parties have alike, into the draft."""
        draft = ended.folder / DRAFT
        with written(ended.folder):
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o700)
        ready = self.ready
        assert ended.course is not None
        by_member = own_measures(ready, ended.course)
        spent = None if (noise := ready.job.noise) is None else noise.spent
        left, names = dict(ended.left or {}), ready.job.table.columns
        ended.model = AveragedModel.of(ended.course, names, by_member, left, spent)
        ended.model_id = files.save(ended.model, draft / MODEL, ready.job.digest)
        if ready.own is not None:
            training, name = ready.own.features[~ready.own.held], bytes.fromhex(ended.model_id)
            scores = ended.model.predict_score(training).to_numpy()
            Baseline.of(ready.party.name, name, training, scores, len(ready.own.labels)).save(draft / MODEL)
        with written(ended.folder):
            sync_tree(draft)

    def _keep(self, ended: Ended) -> None:
        ended.kept = True
        publish(ended.folder)

    def _over(self, ended: Ended) -> Path:
        """Writes the report."""
        with self.recorder.phase("write"):
            told = {
                "peak_memory": peak_memory(),
                "disclosure": summarise(ended.folder / LEDGER),
                **run_of(ended.folder / LEDGER),
            }
            write_report(ended.folder, report_of(self.ready, ended) | told, self.recorder.counting.phases)
        self.events.over("done", report=ended.folder / REPORTS["run"])
        return ended.folder
