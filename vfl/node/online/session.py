"""One meeting of all parties of a published model: the connections, the folder of its ledger, and what each role does.

    meet -> publish an epoch -> ask or answer -> publish the next one -> ... until the guest ends, or a party is gone

An epoch's secrets are in this process alone.  Whatever ends it, the next meeting publishes a new one.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from protocols.cipher import key_offer
from protocols.errors import ConfigError
from protocols.glm.shares import Moved
from protocols.online import epoch, query
from protocols.online.epoch import EpochStart, Listed
from protocols.online.lists import Form
from protocols.randomness import Randomness, run_seed
from protocols.session import Observer, Session
from vfl.job import Job
from vfl.ledger import LedgerWriter
from vfl.models.part_files import add_shares, drop_shares
from vfl.models.registry import kind_of
from vfl.models.regression.part import AdditivePart
from vfl.models.shared_weights import SharedWeights
from vfl.node.online.desk import Desk
from vfl.node.online.ledger import EpochTap, Hours
from vfl.run.budget import Budget
from vfl.run.budget.queries import Queries, utc_now
from vfl.run.events import Events
from vfl.run.scoring import Prepared, Scoring
from vfl.run.session import connected, new_folder, open_channels, scheme_of
from vfl.storage.run_store import folder_name
from vfl.taps.counting import CountingTap
from vfl.taps.recorder import Recorder

LEDGER = "ledger.jsonl"
FOR_EVER = 10**6  # times run.message_seconds: a server waits for queries as long as the guest is there
Says = Callable[..., None]


@dataclass(frozen=True)
class Meeting:
    """A party in a meeting, and where it keeps its part."""

    session: Session
    ready: Prepared
    folder: Path | None
    says: Says

    @contextlib.contextmanager
    def shares(self, part: Any) -> Iterator[Callable[[Mapping[str, Moved]], None]]:
        """What stores shares that an epoch moves on; earlier ones are dropped when all parties have theirs."""
        names = _names(part)

        def keep(moved: Mapping[str, Moved]) -> None:
            if moved:
                assert self.folder is not None
                add_shares(self.folder, moved, self.ready.identity)

        yield keep
        if names:
            assert self.folder is not None
            drop_shares(self.folder, names, self.ready.identity)


def _names(part: Any) -> dict[str, frozenset[bytes]]:
    """Of the shares in a part, by whose weights they are of."""
    if part is None:
        return {}
    held = part.shares if isinstance(part, SharedWeights) else {part.party: part.shares}
    return {party: frozenset(one.names) for party, one in held.items() if one.names}


def meet(
    ready: Prepared,
    folder: Path | None,
    queries: Queries,
    watch: Observer,
    work: Callable[[Meeting], None],
    says: Says,
    *,
    connect_timeout: float,
) -> None:
    """One meeting, to its end.  Raises any VFLError, after telling the peers its code."""
    job, party, counting = ready.job, ready.party, CountingTap()
    recorder = Recorder(counting, watch)
    peers = job.parties.peers_of(party.name)
    events = Events(job.name, party.name, "score", counting, watch)
    events.meets(peers)
    joined = connected(ready, peers, recorder, command="score", connect_timeout=connect_timeout, met=events.met)
    with joined as wires:
        stamp = f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}"
        run = new_folder(party.run.directory, f"{folder_name('score', job.name)}-{stamp}")
        events.begun(run)
        said: dict[str, Any] = {"job": job.name, "job_digest": job.digest, "party": party.name}
        said |= {"sign": ready.identity.sign, "approved_by": party.policy.approved_by, "approval": ready.approval}
        with LedgerWriter(run / LEDGER, **said) as writer, Hours(writer, queries).kept():
            steps = 1 if party.role == "guest" else FOR_EVER
            channels, keys = open_channels(ready, wires, counting, EpochTap(writer), steps=steps)
            drawn = Randomness(party.name, run_seed(), ready.input_digest())
            budget = Budget(party, "predict", opened=ready.opened, guest=job.parties.guest)
            allowance = budget.allowance(drawn.draw("run", b"", b"").secret[:16], peers)
            session = Session(
                party.name, job.roles, channels, drawn, keys, scheme_of(job), recorder, allowance=allowance
            )
            work(Meeting(session, ready, folder, says))


def host(meeting: Meeting, again: Callable[[], Scoring], queries: Queries) -> None:
    """A host's side; again: reads its part and its customers, for each epoch."""
    session, job, party = meeting.session, meeting.ready.job, meeting.ready.party
    guest, limit = session.roles.guest, party.policy.queries_per_partner_per_day
    if shares_of(job, "hosts"):
        key_offer.accept(session)
    start: EpochStart | None = session.guest.recv(EpochStart)
    while start is not None:
        meeting.says("publishing")
        scoring = again()
        part, table = additive(scoring.part), scoring.ready.table
        assert table is not None
        form = form_of(job, part)
        session.allowance.score_vectors(part.own_name, form.models, part.inputs)
        names = list(table.names)
        own = part.own(table.features, names)
        listed = Listed(part.model_id, names, own.x, own.shares, own.error, form)
        left = max(0, limit - queries.today(guest, utc_now()))
        with session.phase("publish"), meeting.shares(part) as keep:
            server = epoch.host(session, start, listed, left, keep)
        del scoring, table, own, listed
        meeting.says("answering", epoch=server.name.hex())
        start = query.serve_host(
            session, server, lambda n: queries.charge([guest], n, limit, utc_now()), queries.settle
        )


def arbiter(meeting: Meeting, again: Callable[[], SharedWeights | None], queries: Queries) -> None:
    """The arbiter's side; again: reads its shares, for each epoch."""
    session, guest, key, part = meeting.session, meeting.session.roles.guest, None, again()
    if part is not None:
        key = session.scheme.generate(session.me, session.seed("key"))
        key_offer.offer(session, key, list(part.shares))
    start: EpochStart | None = session.guest.recv(EpochStart)
    while start is not None:
        meeting.says("publishing")
        part = again()
        held = {} if part is None else part.shares
        with session.phase("publish"), meeting.shares(part) as keep:
            servers = epoch.arbiter(session, start, key, None if part is None else part.model_id, held, keep)
        meeting.says("answering", epoch=start.epoch.hex())
        start = query.serve_arbiter(
            session, servers, key, held.get(guest), lambda n: queries.charge([guest], n, 1 << 62, utc_now())
        )


def guest(meeting: Meeting, again: Callable[[], AdditivePart], desk: Desk, over: Callable[[float], bool]) -> None:
    """The guest's side, until this process is stopped; over: whether an epoch that opened at this time has been long
    enough."""
    session, job = meeting.session, meeting.ready.job
    shared = session.roles.hosts if shares_of(job, "hosts") else ()
    if shares_of(job, "guest"):
        key_offer.accept(session)
    while True:
        meeting.says("publishing")
        part = again()
        with session.phase("publish"), meeting.shares(part) as keep:
            begun = epoch.guest(session, part.model_id, part.factors, form_of(job, part), shared, keep)
        opened = time.time()
        desk.opens(begun)
        meeting.says("answering", epoch=begun.name.hex())
        try:
            while not over(opened):
                if waiting := desk.take(1.0):
                    x = np.concatenate([one.x for one in waiting])
                    desk.answered(waiting, query.ask(session, begun, [one.name for one in waiting], x))
        finally:
            desk.closes()


def shares_of(job: Job, whose: str) -> bool:
    """Whether the arbiter holds shares of these parties' weights ("guest" or "hosts")."""
    return job.arbiter_keeps and whose not in job.reveal


def additive(part: Any) -> AdditivePart:
    """A part of a kind that is published: `form_of` has said so."""
    return cast("AdditivePart", part)


def form_of(job: Job, part: Any) -> Form:
    """What is published of a model.  Raises ConfigError for a kind of which nothing can be."""
    form = kind_of(job.model).online(part)
    if form is None:
        raise ConfigError(
            f"a model of kind {job.model.kind} cannot be published",
            remedy="Score its rows in batches, with vfl predict",
        )
    return form
