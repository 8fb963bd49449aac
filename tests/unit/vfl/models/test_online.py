"""Every kind that is published online scores as it does in a batch, bit for bit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from protocols.binning.quantile import Binned
from protocols.boosting.sealed_parts import Shape
from protocols.cipher import Identity, key_offer
from protocols.errors import ConfigError
from protocols.local import run_local
from protocols.online import asking, epoch, publishing, query, tree_epoch, tree_query
from protocols.online.epoch import GuestEpoch, Listed
from protocols.online.tree_epoch import ListedRows
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
    rows_of = {p: model._learned.reader.read(frames[p], kind, part, {}).table for p, part in parts.items()}
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
            channel.send(asking.OnlineEnd(True))
        assert found.known.all()
        return kind.predictions(parts[guest], parts[guest].opened(found.predictors))

    def host_of(session: Session) -> None:
        part, table = parts[session.me], rows_of[session.me]
        if not part.shares.whole:
            key_offer.accept(session)
        start = session.guest.recv(publishing.EpochStart)
        names = list(table.names)
        own = part.own(table.features, names)
        assert kind.online(part) == form
        listed = Listed(part.model_id, names, own.x, own.shares, own.error, form)
        query.serve_host(session, epoch.host(session, start, listed), lambda n: 1 << 20)

    def arbiter_of(session: Session) -> None:
        key = session.scheme.generate(session.me, session.seed("key")) if held else None
        if key is not None:
            key_offer.offer(session, key, list(held))
        start = session.guest.recv(publishing.EpochStart)
        lists = epoch.arbiter(session, start, key, None if kept is None else kept.model_id, held)
        query.serve_arbiter(session, lists, key)

    programs = {guest: guest_of, model.roles.arbiter: arbiter_of} | dict.fromkeys(hosts, host_of)
    return run_local(model.roles, programs, Identity(), deadline=60)[guest]


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def test_a_kind_scores_online_as_in_a_batch(name: str) -> None:
    model, (guest, hosts) = fitted(name), tables(CASES[name].label, CASES[name].texts)
    found = asked(model, {"guest": guest, **hosts}, 20)
    batch, _ = model._means(guest, hosts)
    assert np.array_equal(found, batch[:20])


def walked(model: Any, frames: dict[str, Any], count: int) -> Any:
    """The same of sealed trees."""
    guest, *hosts = model.roles.data_parties
    kind, parts, kept = model._kind, model.parts, model._kept
    rows_of = {p: model._learned.reader.read(frames[p], kind, part, {}).table for p, part in parts.items()}
    for party, part in parts.items():
        kind.check_online(part, None if party == guest else len(rows_of[party]))

    def guest_of(session: Session) -> Any:
        begun = tree_epoch.guest(session, parts[guest].trees)
        rows = rows_of[guest].take(np.arange(count))
        bins = np.concatenate([kind.online_row(parts[guest], rows.features.iloc[[k]]) for k in range(count)])
        binned = Binned(parts[guest].binner, bins.astype(np.int16))
        found = tree_query.ask(session, begun, list(rows.names), binned)
        for channel in (*session.hosts, session.arbiter):
            channel.send(asking.OnlineEnd(True))
        assert found.known.all()
        return kind.predictions(parts[guest], kind.online_scores(parts[guest], found.predictors))

    def host_of(session: Session) -> None:
        part, table = parts[session.me], rows_of[session.me]
        start = session.guest.recv(publishing.EpochStart)
        listed = ListedRows(list(table.names), part.binned(table.features), part.splits, part.depth)
        tree_query.serve_host(session, tree_epoch.host(session, start, listed), lambda n: 1 << 20)

    def arbiter_of(session: Session) -> None:
        start = session.guest.recv(publishing.EpochStart)
        tree_query.serve_arbiter(session, tree_epoch.arbiter(session, start, kept.trees), kept.trees)

    programs = {guest: guest_of, model.roles.arbiter: arbiter_of} | dict.fromkeys(hosts, host_of)
    return run_local(model.roles, programs, Identity(), deadline=60)[guest]


@pytest.mark.parametrize("name", ["sealed trees", pytest.param("trees of numbers", marks=pytest.mark.slow)])
def test_sealed_trees_score_online_as_in_a_batch(name: str) -> None:
    model, (guest, hosts) = fitted(name), tables(CASES[name].label, CASES[name].texts)
    batch, _ = model._means(guest, hosts)
    assert np.array_equal(walked(model, {"guest": guest, **hosts}, 20), batch[:20])


def test_trees_that_are_too_large_or_open_are_not_published() -> None:
    model = fitted("sealed trees")
    part, host = model.parts["guest"], next(p for name, p in model.parts.items() if name != "guest")

    def of(trees: int) -> Any:
        shape = Shape(2, np.zeros((trees, 3), np.int64), np.zeros((trees, 3), np.int64))
        return dataclasses.replace(part, ensemble=dataclasses.replace(part.trees, shape=shape))

    model._kind.check_online(of(1 << 14), None)
    with pytest.raises(ConfigError, match="too many leaves") as error:
        model._kind.check_online(of((1 << 14) + 1), None)
    assert "vfl node predict" in str(error.value)
    splits = dataclasses.replace(host.splits, feature=[0] * 4096, trees=4096)
    large = dataclasses.replace(host, splits=splits)
    model._kind.check_online(large, 1 << 20)
    splits = dataclasses.replace(splits, feature=[0] * 4097)
    with pytest.raises(ConfigError, match="too many for online scores") as error:
        model._kind.check_online(dataclasses.replace(host, splits=splits), 1 << 20)
    assert "vfl node predict" in str(error.value)
    opened = fitted("open trees")
    for open_part in opened.parts.values():
        with pytest.raises(ConfigError, match="cannot be published"):
            opened._kind.check_online(open_part, 100)


def test_other_kinds_are_not_published() -> None:
    published = {
        name
        for name, kind in KINDS.items()
        if type(kind).online is not Kind.online or type(kind).check_online is not Kind.check_online
    }
    regressions = {"logistic-regression", "linear-regression", "poisson-regression"}
    assert published == {*regressions, "scorecard", "boosted-trees"}
