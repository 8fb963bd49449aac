"""Private online scores: the same integers as `vfl predict`, whatever stays shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols._native import DpfKeys
from protocols.cipher import Identity, key_offer
from protocols.errors import ConfigError, RemoteProtocolError
from protocols.glm import scoring
from protocols.glm.plan import FEATURE
from protocols.local import run_local
from protocols.online import asking, query
from protocols.online.epoch import GuestEpoch
from protocols.session import Session
from tests.harness import Sent
from tests.online import MODEL, Numbers, OnlineWorld

ALL = "guest h0 h1 h2"


@pytest.mark.parametrize("shared", ["", "guest", "h0", ALL])
@pytest.mark.parametrize(("hosts", "models"), [(1, 1), (3, 2)])
def test_a_score_is_the_sum_of_all_parts_to_the_last_bit(hosts: int, models: int, shared: str) -> None:
    world = OnlineWorld(hosts, models=models, shared=" ".join(p for p in shared.split() if p != "h2" or hosts > 2))
    own = np.random.default_rng(1).integers(-(6 << FEATURE), 6 << FEATURE, (6, world.width))
    ids = [b"id 1", b"id 7", b"nobody", b"id 29", None, b"id 7"]

    def asks(session: Session, epoch: GuestEpoch) -> list[asking.Asked]:
        return [query.ask(session, epoch, ids, own), query.ask(session, epoch, ids[:1], own[:1])]

    many, one = world.run(asks)
    assert many.known.tolist() == [True, True, False, True, False, True]
    for at, row in ((0, 0), (1, 6), (3, 28), (5, 6)):
        assert np.array_equal(many.predictors[at], world.wanted(own[at], row))
    assert np.array_equal(one.predictors[0], world.wanted(own[0], 0))


def scored_in_a_batch(world: OnlineWorld, own: Numbers, rows: Numbers) -> NDArray[np.float64]:
    """What the protocol of `vfl predict` computes for these rows."""

    def data_party(session: Session) -> Any:
        me = session.me
        if not world.own[me].whole:
            key_offer.accept(session)
        x = own if me == "guest" else np.ascontiguousarray(world.x[me][rows])
        error = None if me == "guest" else world.error[me][rows]
        part = scoring.Own(MODEL, x, world.own[me], bool(world.held), error)
        return (scoring.guest if me == "guest" else scoring.host)(session, part)

    def arbiter(session: Session) -> Any:
        if world.held:
            key = session.scheme.generate("arbiter", session.seed("key"))
            key_offer.offer(session, key, list(world.held))
            return scoring.arbiter(session, key, MODEL, world.held)
        return None

    programs = dict.fromkeys(world.roles.data_parties, data_party) | {"arbiter": arbiter}
    found: NDArray[np.float64] = run_local(world.roles, programs, Identity())["guest"][0]
    return found


@pytest.mark.parametrize(
    ("bits", "count", "shared"),
    [
        (12, 500, "guest h0"),
        pytest.param(20, 1000, "", marks=pytest.mark.slow),
        pytest.param(20, 1000, "guest h0", marks=pytest.mark.slow),
    ],
)
def test_answers_are_those_of_a_batch_bit_for_bit(bits: int, count: int, shared: str) -> None:
    world, rng = OnlineWorld(rows=2**bits, shared=shared), np.random.default_rng(bits)
    rows = rng.choice(2**bits - 1, count, replace=False)
    own = rng.integers(-(6 << FEATURE), 6 << FEATURE, (count, world.width))
    batch = scored_in_a_batch(world, own, rows)

    def asks(session: Session, epoch: GuestEpoch) -> NDArray[np.float64]:
        found = []
        for at in range(0, count, asking.MOST_AT_ONCE):
            block = slice(at, at + asking.MOST_AT_ONCE)
            asked = query.ask(session, epoch, [world.ids["h0"][row] for row in rows[block]], own[block])
            assert asked.known.all()
            found.append(asked.predictors)
        return np.concatenate(found)

    assert np.array_equal(world.run(asks), batch)


def test_a_host_still_answers_after_another_one_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a host has raised is given up when another host's budget refuses: it takes the next ids, or the next epoch,
    and charges what it raised.  Keys for ids that it has not raised are refused."""
    left, plain = {"h0": 9, "h1": 1}, query.serve_host

    def serve(session: Session, epoch: Any, *meter: Any) -> Any:
        def charge(count: int) -> int:
            left[session.me] -= count
            return left[session.me]

        return plain(session, epoch, charge)

    monkeypatch.setattr(query, "serve_host", serve)
    world = OnlineWorld(hosts=2, rows=8)
    own = np.zeros((1, world.width), np.int64)

    def asks(session: Session, epoch: GuestEpoch) -> list[asking.Asked]:
        found = [query.ask(session, epoch, [b"id 1"], own) for _ in range(3)]
        left["h1"] = 5  # another day
        return [*found, query.ask(session, epoch, [b"id 2"], own)]

    answers = world.run(asks)
    assert [a.left for a in answers] == [0, -1, -2, 4]
    assert np.array_equal(answers[-1].predictors[0], world.wanted(own[0], 1))
    assert left == {"h0": 5, "h1": 4}


@pytest.mark.parametrize("before", ["nothing", "an answer", "a refusal"])
def test_keys_need_ids_that_were_raised(before: str) -> None:
    """Otherwise a guest would be answered without a charge.  The control is the answer itself."""

    def asks(session: Session, epoch: GuestEpoch) -> None:
        if before == "an answer":
            query.ask(session, epoch, [b"id 1"], np.zeros((1, 3), np.int64))
        elif before == "a refusal":
            query.ask(session, epoch, [b"id 1", b"id 2"], np.zeros((2, 3), np.int64))
        (host,), bits = session.hosts, len(epoch.tags[0]).bit_length() - 1
        number = (epoch.asked[0] + 1).to_bytes(8, "big")
        host.send(asking.QueryKeys(number, DpfKeys.deal(b"k" * 32, np.zeros(1, np.int64), bits)[0]))
        host.recv(query.Answer)

    with pytest.raises(RemoteProtocolError, match="impossible number of ids"):
        OnlineWorld(rows=8, meter=lambda count: 1 - count).run(asks)


def test_no_answer_leaves_before_its_charge_is_settled() -> None:
    """The disk of a host fails: the guest learns whether it knows the id, and no score.  The control is the query
    before."""
    settled = list[str]()

    def settle() -> None:
        settled.append("")
        if len(settled) > 1:
            raise ConfigError("the disk is gone", remedy="Mend it")

    def asks(session: Session, epoch: GuestEpoch) -> None:
        own = np.zeros((1, 3), np.int64)
        first = query.ask(session, epoch, [b"id 1"], own)
        assert first.known.all()
        query.ask(session, epoch, [b"id 2"], own)

    transcript = list[Sent]()
    with pytest.raises(ConfigError, match="the disk is gone"):
        OnlineWorld(rows=8, settle=settle).run(asks, transcript=transcript)
    answers = [one.sender for one in transcript if one.kind is query.Answer]
    assert answers.count("h0") == 1, "of the first query: what the arbiter answers alone is a uniform number"
