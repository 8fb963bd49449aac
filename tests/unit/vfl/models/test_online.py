"""Every kind that is published online scores as it does in a batch, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protocols.cipher import Identity, key_offer
from protocols.local import run_local
from protocols.online import epoch, query
from protocols.online.epoch import GuestEpoch, Listed
from protocols.session import Session
from tests.promises.predictions.kinds import CASES, fitted, tables
from vfl.models.kind import Kind
from vfl.models.registry import KINDS

NAMES = ("logistic", "known weights", "classes", "linear", "poisson", "quantile", "scorecard", "known points")
QUICK = ("classes", "known points")


def asked(model: Any, frames: dict[str, Any], count: int) -> Any:
    """The scores of the guest's first rows, asked online."""
    guest, *hosts = model.roles.data_parties
    kind, parts, kept = model._kind, model.parts, model._kept
    rows_of = {p: model._learned.reader.read(frames[p], kind, part).table for p, part in parts.items()}
    form = kind.online(parts[guest])
    held = {} if kept is None else kept.shares

    def guest_of(session: Session) -> Any:
        if not parts[guest].shares.whole:
            key_offer.accept(session)
        shared = [h for h in hosts if h in held]
        begun: GuestEpoch = epoch.guest(session, parts[guest].model_id, parts[guest].factors, form, shared)
        rows = rows_of[guest].take(np.arange(count))
        names = list(rows.names)
        found = query.ask(session, begun, names, parts[guest].own(rows.features, names).x)
        for channel in (*session.hosts, session.arbiter):
            channel.send(query.OnlineEnd(True))
        assert found.known.all()
        return kind.predictions(parts[guest], parts[guest].opened(found.predictors))

    def host_of(session: Session) -> None:
        part, table = parts[session.me], rows_of[session.me]
        if not part.shares.whole:
            key_offer.accept(session)
        start = session.guest.recv(epoch.EpochStart)
        names = list(table.names)
        own = part.own(table.features, names)
        assert kind.online(part) == form
        listed = Listed(part.model_id, names, own.x, own.shares, own.error, form)
        query.serve_host(session, epoch.host(session, start, listed), lambda n: 1 << 20)

    def arbiter_of(session: Session) -> None:
        key = session.scheme.generate(session.me, session.seed("key")) if held else None
        if key is not None:
            key_offer.offer(session, key, list(held))
        start = session.guest.recv(epoch.EpochStart)
        lists = epoch.arbiter(session, start, key, None if kept is None else kept.model_id, held)
        query.serve_arbiter(session, lists, key, held.get(guest))

    programs = {guest: guest_of, model.roles.arbiter: arbiter_of} | dict.fromkeys(hosts, host_of)
    return run_local(model.roles, programs, Identity(), deadline=60)[guest]


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def test_a_kind_scores_online_as_in_a_batch(name: str) -> None:
    model, (guest, hosts) = fitted(name), tables(CASES[name].label, CASES[name].texts)
    found = asked(model, {"guest": guest, **hosts}, 20)
    batch, _ = model._means(guest, hosts)
    assert np.array_equal(found, batch[:20])


def test_other_kinds_are_not_published() -> None:
    published = {name for name, kind in KINDS.items() if type(kind).online is not Kind.online}
    assert published == {"logistic-regression", "linear-regression", "poisson-regression", "scorecard"}
