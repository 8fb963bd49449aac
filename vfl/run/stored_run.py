"""The run in which this party takes part: its store, its ledger and its session, and how it is kept or given up."""

from __future__ import annotations

import datetime
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from protocols.channel import Count, Tap, Wire
from protocols.errors import (
    ConfigError,
    CryptoError,
    DataError,
    DisclosureRefused,
    ModelError,
    PeerAborted,
    ProtocolError,
    VFLError,
)
from protocols.message import Message
from protocols.randomness import Randomness, run_seed
from protocols.recovery import resume
from protocols.recovery.checkpoint import END, START, Position
from protocols.session import Session
from protocols.workers.cluster import Cluster
from vfl.compute.opening import Pool
from vfl.job.alignment_job import AlignmentJob
from vfl.job.plan import plan_of
from vfl.ledger import LedgerBroken, LedgerWriter, Witness, continued
from vfl.ledger.continuing import read_unfinished
from vfl.models import label_privacy
from vfl.run.budget import Budget
from vfl.run.budget.noise import NoiseBudget, OfLabels, OfSizes
from vfl.run.session import (
    DRAFT,
    Ready,
    new_folder,
    open_channels,
    peers_for,
    publish,
    scheme_of,
)
from vfl.schema.section import listed
from vfl.storage.pad_store import PadFolder, Sealing
from vfl.storage.run_store import RunFacts, RunStore, folder_name, unfinished
from vfl.storage.shelf import Shelf
from vfl.taps.counting import Counted
from vfl.taps.recorder import Recorder
from vfl.transport.hello import Command
from vfl.version import __version__

log = logging.getLogger("vfl.run.recovery")
LEDGER, SEED = "ledger.jsonl", "run seed"
PUT_BACK = (
    "this run resumes %d steps before the last one, because the run store of %s lacks them: was it put back from a "
    "copy? They are repeated, and pads that vfl prepare left for them are not used. Ask there for the cause before it "
    "happens again"
)
Json = dict[str, Any]


class Run:
    """The run in which this party takes part, begun by an earlier process or by the first attempt that meets all
    peers."""

    def __init__(
        self,
        ready: Ready[Any],
        purpose: Command,
        peers: Sequence[str],
        seed: bytes | None,
        fresh: bool,
        pool: Pool | None = None,
        ahead: int | None = None,
    ) -> None:
        """pool: this party's workers; ahead: the run only prepares this number of iterations (0: all), and resumes
        later."""
        self.ready, self.purpose, self.peers, self._seed, self._pool = ready, purpose, tuple(peers), seed, pool
        self._ahead = ahead
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
            self.pads.drop_expired()

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

        if self.ready.identity.unseal(store.facts.seed, SEED) is None:
            store.close()
            raise ConfigError(
                f"{name}: the run in {store.folder} was begun with another key of this party, or its store is damaged",
                remedy=f"Put the former key back and give the same command, or {remedy}",
            )
        if store.ledger:
            try:
                read_unfinished(store.folder / LEDGER, store.ledger)
            except VFLError:
                store.close()
                raise

    @property
    def command(self) -> Command:
        """Which command this is, with its peers' the same."""
        return self.purpose if self._ahead is None else "prepare"

    @property
    def pads(self) -> PadFolder:
        """What was prepared ahead for this run."""
        facts, identity = self.opened.facts, self.ready.identity
        binding = facts.job + facts.input + facts.id
        sealing = Sealing(identity.seal, identity.unseal)
        return PadFolder(self.folder, self.ready.party.run.directory, binding, sealing)

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
        return (b"", []) if self.store is None else (self.store.facts.id, self.store.checkpoints)

    def agree(
        self, wires: Mapping[str, Wire], *taps: Tap
    ) -> tuple[Position, list[tuple[str, str, type[Message], bytes]]]:
        """Agrees with all peers on the run and the checkpoint to resume from, and begins a new run if there is none;
        also returns the messages, for the ledger.

        The run is counted when every party has it on its disk: from then on, whichever party dies, this run is the one
        that resumes.
        """
        said = MessageLog()
        channels, _ = open_channels(self.ready, wires, said, *taps)
        (own, marks), guest, nonce = self.standing, self.ready.roles.guest, run_seed()[: resume.NONCE]
        if self.ready.party.name == guest:
            found, goal, without = resume.decide([channels[p] for p in self.peers], own, marks, nonce)
        else:
            everyone = (guest, *peers_for(self.ready.job, guest, self.purpose))
            found, goal, without = resume.follow(channels[guest], own, marks, nonce, everyone)
        if found != own:
            self._begin(found, without)
        counts = dict.fromkeys(channels, Count()) if goal == START else self.opened.at(goal).counts
        repeats = resume.compare(channels, counts, self.opened.repeats(goal))
        if found == own and repeats > resume.REPEATED and without:
            log.warning(PUT_BACK, repeats, listed(without, "and"))
        self._budget.charge(self.peers, found, self.started)
        return goal, said.messages

    def _begin(self, name: bytes, without: Sequence[str]) -> None:
        """A new run; without: who has not the one that others have begun."""
        ready, now, why = self.ready, datetime.datetime.now(datetime.UTC), ""
        if self.store is not None:
            why = f"the run in {self.store.folder} is given up: {given_up(without, ready.party.name)}"
            log.warning("%s", why)
            self.store.remove()
            self.store, self.resumed = None, False
        try:
            self._budget.check(self.peers)
        except VFLError as error:
            error.remedy = f"{error.remedy} (this is a new run, because {why})" if why else error.remedy
            raise
        begins = folder_name(self.purpose, ready.job.name)
        folder = new_folder(ready.party.run.directory, f"{begins}-{now:%Y%m%d-%H%M%S}")
        facts = RunFacts(
            __version__,
            self.purpose,
            ready.job.digest,
            ready.input_digest(),
            name,
            ready.identity.seal(self._seed or run_seed(), SEED),
            now.isoformat(),
        )
        self.store = RunStore(folder, facts)

    def ledger(self, goal: Position) -> LedgerWriter:
        """The run's ledger, new or continued from `goal`."""
        path, job, party, store = self.folder / LEDGER, self.ready.job, self.ready.party, self.opened
        said: Json = {"job": job.name, "job_digest": job.digest, "party": party.name, "sign": self.ready.identity.sign}
        said |= {"approved_by": party.policy.approved_by, "approval": self.ready.approval}
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
        seed = bytes(32) if keeper.kept else ready.identity.unseal(keeper.facts.seed, SEED)
        assert seed is not None  # `_check`
        drawn = Randomness(ready.party.name, seed, ready.input_digest())
        begin = START if goal == END else goal
        keep = Shelf(self.folder).keep
        cluster = Cluster(self._pool.caller(keeper.facts.id), keep) if self._pool else None
        scheme = Counted(scheme_of(ready.job, cluster), recorder.counting.keys.append)
        allowance = self._budget.allowance(keeper.facts.id, self.peers)
        me, roles, pads, ahead = ready.party.name, ready.roles, self.pads, self._ahead
        return Session(
            me, roles, channels, drawn, keys, scheme, recorder, keeper, begin, allowance, cluster, pads, ahead, keep
        )

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


def given_up(without: Sequence[str], me: str) -> str:
    """Why a run does not resume; without: who has not the one that this party has."""
    others = [name for name in without if name != me]
    if me in without or not others:
        return "the parties have begun different runs of this job"
    has = "has" if len(others) == 1 else "have"
    return f"{listed(others, 'and')} {has} it no more (--fresh, or a run directory that was lost or put back)"


def budget_of(ready: Ready[Any], purpose: str) -> Budget:
    """What this party still agrees to, for one command."""
    job, guest, noise = ready.job, ready.job.parties.guest, None
    privacy, table = getattr(job, "privacy", None), ready.table
    if privacy is not None and purpose == "run" and table is not None and table.label is not None:
        of = label_privacy.releases(privacy, plan_of(job), len(job.parties.hosts))
        whom = job.parties.hosts if of.what == label_privacy.BINS else (*job.parties.hosts, job.parties.arbiter)
        noise = NoiseBudget(ready.party, whom, OfLabels(table), (of.multiplier, of.times))
    if purpose == "align" and isinstance(job, AlignmentJob) and (of_size := job.noise) is not None:
        partners = [name for name in job.parties.names if name != ready.party.name]
        noise = NoiseBudget(ready.party, partners, OfSizes(), (of_size.multiplier, 1))
    return Budget(ready.party, purpose, ready.table, job.models_told, ready.opened, guest, ready.own_rows, noise)


def begun_with_others(ready: Ready[Any], purpose: Command) -> bool:
    """Whether the unfinished run of the job here was begun with another table or model: it is none of what is asked."""
    store = unfinished(ready.party.run.directory, purpose, ready.job.name, ready.job.digest)
    if store is None:
        return False
    try:
        return store.facts.input != ready.input_digest()
    finally:
        store.close()


class MessageLog(Tap):
    """What the parties said before it was clear which ledger it belongs to."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, type[Message], bytes]] = []

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.messages.append(("to", peer, kind, data))

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.messages.append(("from", peer, kind, data))


def ends_for_good(error: VFLError) -> bool:
    """Whether the run would end like this again."""
    families = (DataError, CryptoError, DisclosureRefused, ModelError, ProtocolError)
    if isinstance(error, PeerAborted):
        return any(error.peer_code == kind.code for family in families for kind in (family, *family.__subclasses__()))
    return isinstance(error, families) and not isinstance(error, LedgerBroken)  # an unchanged ledger can be put back
