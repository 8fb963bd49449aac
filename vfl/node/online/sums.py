"""Models whose scores are sums of what each party's columns give, at a node: protocols/online/epoch.py and query.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from protocols.cipher import DecryptionKey
from protocols.online import epoch, query
from protocols.online.epoch import Listed
from protocols.online.lists import Form
from protocols.online.publishing import EpochStart, Meter
from vfl.job import Job
from vfl.models.registry import kind_of
from vfl.models.regression.part import AdditivePart
from vfl.models.shared_weights import SharedWeights
from vfl.node.online.meeting import Lists, Meeting, Serve
from vfl.run.scoring import Scoring


def shares_of(job: Job, whose: str) -> bool:
    """Whether the arbiter holds shares of these parties' weights ("guest" or "hosts")."""
    return job.arbiter_keeps and whose not in job.reveal


def guest(meeting: Meeting, given: Any) -> Lists:
    """Publishes an epoch; given: the guest's part."""
    session, job, part = meeting.session, meeting.ready.job, cast("AdditivePart", given)
    shared = session.roles.hosts if shares_of(job, "hosts") else ()
    with session.phase("publish"), meeting.shares(part) as keep:
        begun = epoch.guest(session, part.model_id, part.factors, _form(job, part), shared, keep)
        while begun.short:
            query.prepare(session, begun)
    ask, prepare = partial(query.ask, session, begun), partial(query.prepare, session, begun)
    return Lists(begun.name, begun.left, ask, prepare, lambda: begun.short)


def host(meeting: Meeting, start: EpochStart, scoring: Scoring, left: int) -> Serve:
    """The same at a host: what serves until the next epoch starts."""
    session, job, table = meeting.session, meeting.ready.job, scoring.ready.table
    part = cast("AdditivePart", scoring.part)
    assert table is not None
    form, names = _form(job, part), list(table.names)
    session.allowance.score_vectors(part.own_name, form.models, part.inputs)
    own = part.own(table.features, names)
    listed = Listed(part.model_id, names, own.x[:], own.shares, own.error, form)
    with session.phase("publish"), meeting.shares(part) as keep:
        server = epoch.host(session, start, listed, left, keep)

    def serve(meter: Meter, settle: Callable[[], None]) -> EpochStart | None:
        return query.serve_host(session, server, meter, settle)

    return serve


def arbiter(
    meeting: Meeting, start: EpochStart, part: SharedWeights | None, key: DecryptionKey | None
) -> Callable[[Callable[[int], object]], EpochStart | None]:
    """The same at the arbiter; part: none where it holds no shares."""
    session = meeting.session
    held = {} if part is None else part.shares
    with session.phase("publish"), meeting.shares(part) as keep:
        begun = epoch.arbiter(session, start, key, None if part is None else part.model_id, held, keep)
    return partial(query.serve_arbiter, session, begun, key)


def _form(job: Job, part: AdditivePart) -> Form:
    form = kind_of(job.model).online(part)
    assert isinstance(form, Form)
    return form
