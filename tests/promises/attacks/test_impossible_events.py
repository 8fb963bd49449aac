"""A host that deviates in a binning by the label whose events stay at the guest: it sends sums that can be only if none
of some rows is an event, and a guest that stops where they cannot be has answered."""

from __future__ import annotations

import logging
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

import vfl
from protocols._native import PlainVec
from protocols.binning import by_label
from protocols.binning.merging import BinningRule
from protocols.binning.noise import CountNoise
from protocols.cipher import CipherVec, Identity, Scheme, key_offer
from protocols.errors import PlaintextOverflow, RemoteProtocolError
from protocols.local import run_local
from protocols.session import Roles, Session
from tests.harness import TOY
from tests.unit.vfl.models.scorecard.test_scorecard import federation, made
from vfl.steps.features import log

ROWS, LEAST, ASKED = 300, 20, 12
ROLES = Roles("guest", ("host",), "arbiter")
RULE = BinningRule(min_bin_rows=LEAST)
Y = (np.random.default_rng(1).random(ROWS) < 0.4).astype(np.int64)
Ints = Any


def asks(session: Session, rows: Ints, *, wide: bool = False, noisy: bool = False) -> None:
    """Two bins of the least rows and the rest.  The first has as many events as rows, and those of the rows that are
    asked about besides; the second has the others.  wide: what is too much leaves the slots."""
    key = key_offer.accept(session, "guest")
    (part,) = by_label.parts(ROWS)
    y = session.guest.recv(by_label.BinnedLabels, part).y
    events, whole = y.take(rows).sum(), y.sum()
    first = events.add_plain(PlainVec.from_ints([LEAST]))
    second = whole.add_plain(PlainVec.from_ints([-LEAST])) + events.mul_plain(PlainVec.from_ints([-1]))
    packed = first.concat(second).pack(*by_label.layout(key, ROWS))
    packed = packed + events.mul_plain(PlainVec.from_ints([1 << (key.plain_bits - 2)])) if wide else packed
    fresh: CipherVec = packed.rerandomise(session.seed("bin events", packed.digest()))
    flags = [np.array([one], np.int32) for one in (2, 0, 1)]
    session.guest.send(by_label.FineCounts(*flags, np.array([LEAST, ROWS - LEAST], np.int32), fresh))
    if noisy:
        session.guest.recv(by_label.MergedCounts)
        session.guest.send(by_label.BinsReceived(1))


def own() -> by_label.FineBins:
    return by_label.FineBins((np.arange(ROWS) % 4)[:, None], (4,), (0,), (True,))


def guest(session: Session, noise: CountNoise | None) -> Any:
    return by_label.guest(session, Y, own(), RULE, tell=noise is not None, noise=noise)


def run(rows: Ints, scheme: Scheme, *, wide: bool = False, noise: CountNoise | None = None) -> dict[str, Any]:
    programs = {
        "guest": partial(guest, noise=noise),
        "host": partial(asks, rows=rows, wide=wide, noisy=noise is not None),
        "arbiter": lambda session: None,
    }
    return run_local(ROLES, programs, scheme, deadline=60.0)


def stops(rows: Ints, scheme: Scheme | None = None, **more: Any) -> bool:
    """What the host sees."""
    try:
        run(rows, scheme or Identity(), **more)
    except (RemoteProtocolError, PlaintextOverflow):
        return True
    return False


@pytest.mark.parametrize("wide", [False, True], ids=["in its slot", "beyond"])
@pytest.mark.parametrize("noise", [None, CountNoise(Fraction(4))], ids=["no answer", "noise"])
def test_a_guest_that_tells_nothing_of_labels_does_not_stop_by_them(noise: CountNoise | None, wide: bool) -> None:
    assert {*Y[:ASKED].tolist()} == {0, 1}
    assert not any(stops(rows, TOY if wide else None, wide=wide, noise=noise) for rows in np.arange(ASKED)[:, None])


@pytest.mark.parametrize("scheme", [Identity(), TOY], ids=["identity", "paillier"])
def test_such_a_column_says_nothing_of_the_label_at_the_guest(scheme: Scheme) -> None:
    events, others = np.flatnonzero(Y)[:1], np.flatnonzero(Y == 0)[:2]
    for rows, possible in ((events, False), (others, True)):
        (column,) = run(rows, scheme)["guest"][1]["host"]
        assert column.possible == possible
        assert (column.merged.iv < 1e-2) != possible
        assert column.merged.events.sum() == Y.sum()


@pytest.mark.parametrize("wide", [False, True], ids=["in its slot", "beyond"])
def test_control_a_guest_that_stops_tells_every_label(wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = by_label.opened_columns
    monkeypatch.setattr(by_label, "opened_columns", lambda *given, stops: honest(*given, stops=True))
    found = [stops(rows, TOY if wide else None, wide=wide) for rows in np.arange(ASKED)[:, None]]
    assert found == Y[:ASKED].astype(bool).tolist()
    assert not stops(np.flatnonzero(Y == 0))  # one run clears any number of rows


def test_the_guests_people_hear_of_it(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    fed, settings = (
        federation(made()),
        vfl.Preprocessing(impute="median", encode="onehot", min_frequency=20, report_iv=True, min_bin_rows=LEAST),
    )
    spec = vfl.LogisticRegression(max_iter=5, link="taylor")
    with caplog.at_level(logging.WARNING, log.name):
        fed.fit(spec, preprocess=settings)
        assert not caplog.records
        honest, double = CipherVec.histogram, PlainVec.from_ints([2])
        monkeypatch.setattr(CipherVec, "histogram", lambda *given: honest(*given).mul_plain(double))
        fed.fit(spec, preprocess=settings)
    assert "bank sent sums of events of column 1" in caplog.text
