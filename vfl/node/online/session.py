"""One meeting of all parties of a published model: the connections, the folder of its ledger, and what each role does.

    meet -> publish an epoch -> ask or answer -> publish the next one -> ... until the guest ends, or a party is gone

An epoch's secrets are in this process alone.  Whatever ends it, the next meeting publishes a new one.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from protocols.cipher import key_offer
from protocols.online.publishing import EpochStart
from protocols.randomness import Randomness, run_seed
from protocols.session import Observer, Session
from vfl.ledger import LedgerWriter
from vfl.models.shared_weights import SharedWeights
from vfl.models.trees.leaf_values import LeafValues
from vfl.node.online import sums, walks
from vfl.node.online.desk import Desk
from vfl.node.online.ledger import EpochTap, Hours
from vfl.node.online.meeting import Lists, Meeting, Says
from vfl.run.budget import Budget
from vfl.run.budget.queries import Queries, utc_now
from vfl.run.events import Events
from vfl.run.scoring import Prepared, Scoring
from vfl.run.session import connected, new_folder, open_channels, scheme_of
from vfl.storage.run_store import folder_name
from vfl.taps.counting import CountingTap
from vfl.taps.recorder import Recorder

LEDGER = "ledger.jsonl"
EVERY = 1.0  # seconds between two looks at whether an epoch is over
IDLE = 0.05  # seconds without a query after which others are prepared
FOR_EVER = 10**6  # times run.message_seconds: a server waits for queries as long as the guest is there


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
    if not job.model.keeps_leaves and sums.shares_of(job, "hosts"):
        key_offer.accept(session)
    start: EpochStart | None = session.guest.recv(EpochStart)
    while start is not None:
        meeting.says("publishing")
        name, left = start.epoch, max(0, limit - queries.today(guest, utc_now()))
        serve = (walks if job.model.keeps_leaves else sums).host(meeting, start, again(), left)
        meeting.says("answering", epoch=name.hex())
        start = serve(lambda n: queries.charge([guest], n, limit, utc_now()), queries.settle)


def arbiter(meeting: Meeting, again: Callable[[], Any], queries: Queries) -> None:
    """The arbiter's side; again: reads what it keeps of the model, None where that is nothing, for each epoch."""
    session, guest, key, part = meeting.session, meeting.session.roles.guest, None, again()
    if isinstance(part, SharedWeights):
        key = session.scheme.generate(session.me, session.seed("key"))
        key_offer.offer(session, key, list(part.shares))
    start: EpochStart | None = session.guest.recv(EpochStart)
    while start is not None:
        meeting.says("publishing")
        name, part = start.epoch, again()
        if isinstance(part, LeafValues):
            serve = walks.arbiter(meeting, start, part)
        else:
            serve = sums.arbiter(meeting, start, part, key)
        meeting.says("answering", epoch=name.hex())
        start = serve(lambda n: queries.count(guest, n, utc_now()))


def guest(meeting: Meeting, again: Callable[[], Any], desk: Desk, over: Callable[[float], bool]) -> None:
    """The guest's side, until this process is stopped; over: whether an epoch that opened at this time has been long
    enough."""
    job = meeting.ready.job
    if not job.model.keeps_leaves and sums.shares_of(job, "guest"):
        key_offer.accept(meeting.session)
    while True:
        meeting.says("publishing")
        begun = (walks if job.model.keeps_leaves else sums).guest(meeting, again())
        opened = time.time()
        desk.opens(begun)
        meeting.says("answering", epoch=begun.name.hex())
        try:
            _ask(begun, desk, partial(over, opened))
        finally:
            desk.closes()
        begun.end()


def _ask(begun: Lists, desk: Desk, over: Callable[[], bool]) -> None:
    """Asks what waits at the desk, until the epoch is over; while nothing does, prepares what queries to come need."""
    looked = time.monotonic()
    while True:
        if waiting := desk.take(IDLE if begun.short() else EVERY):
            x = np.concatenate([one.x for one in waiting])
            desk.answered(waiting, begun.ask([one.name for one in waiting], x))
        elif begun.short():
            begun.prepare()
        if time.monotonic() - looked >= EVERY:
            if over():
                return
            looked = time.monotonic()
