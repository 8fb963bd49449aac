"""What a guest can read from online answers with whatever keys it sends: one score per query."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols._native import DpfKeys
from protocols.errors import RemoteProtocolError
from protocols.glm.shares import Words, words_of
from protocols.online import asking, lists, query
from protocols.online.asking import BlindedAsk, QueryKeys
from protocols.online.epoch import GuestEpoch
from protocols.online.query import Answer
from protocols.ristretto import PointVec
from protocols.session import Session
from tests.online import MODEL, OnlineWorld

W = lists.Form(1, 0).bits
Integers = NDArray[np.object_]


def halves(session: Session, epoch: GuestEpoch, count: int) -> tuple[Integers, Integers]:
    """Of this number of honest queries the host's single answers, and what its keys stand for: (count, places)."""
    size = len(epoch.tags[0])
    answers, factors = list[int](), list[list[int]]()
    for _ in range(count):
        keys, found = raw_query(session, epoch, place=0)
        answers.append(int(found[0]))
        tables = np.eye(size, dtype=np.int64)
        factors.append([one.to_ints()[0] for one in keys.look_up(np.zeros(1, np.int64), tables)])
    return np.array(answers, object), np.array(factors, object)


def raw_query(session: Session, epoch: GuestEpoch, place: int, other: int | None = None) -> tuple[DpfKeys, list[int]]:
    """A query by hand, whose keys need not fit each other: the host's key, and both answers."""
    size, number = len(epoch.tags[0]), (epoch.asked[0] + 1).to_bytes(8, "big")
    epoch.asked[0] += 1
    seed = session.seed("attack").secret
    ours, theirs = DpfKeys.deal(seed, np.array([-place % size]), size.bit_length() - 1)
    if other is not None:
        theirs = DpfKeys.deal(session.seed("attack").secret, np.array([-other % size]), size.bit_length() - 1)[1]
    (host,) = session.hosts
    host.send(BlindedAsk(PointVec.hash_to_group([b"somebody"], lists.DOMAIN) * session.seed("r").scalar()))
    host.recv(asking.RaisedAsk)
    host.send(QueryKeys(number, ours))
    session.arbiter.send(QueryKeys(number, theirs))
    return ours, [int(c.recv(Answer).numbers.view(np.uint64)[0]) for c in (host, session.arbiter)]


def solved(factors: Integers, answers: Integers) -> Integers | None:
    """The list modulo 2^W from as many equations as it has places, or more; None where they contradict each other."""
    rows = [[*map(int, f), int(a)] for f, a in zip(factors, answers, strict=True)]
    n, modulus = factors.shape[1], 1 << W
    for column in range(n):
        pivot = next((r for r in range(column, len(rows)) if rows[r][column] % 2), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = pow(rows[column][column], -1, modulus)
        rows[column] = [v * scale % modulus for v in rows[column]]
        for r in range(len(rows)):
            if r != column and rows[r][column]:
                factor = rows[r][column]
                rows[r] = [(v - factor * p) % modulus for v, p in zip(rows[r], rows[column], strict=True)]
    if any(row[n] % modulus for row in rows[n:]):
        return None
    return np.array([row[n] for row in rows[:n]], object)


def read_list(world: OnlineWorld) -> tuple[Integers | None, Words]:
    """What honest queries about one place tell of the whole list, by one server's answers; and the list."""

    def asks(session: Session, epoch: GuestEpoch) -> Any:
        size = len(epoch.tags[0])
        answers, factors = halves(session, epoch, size + 8)
        found = solved(factors, answers)
        places = [raw_query(session, epoch, place)[1] for place in range(size)]
        return found, np.array([sum(a) % (1 << W) for a in places], object)

    found, truth = world.run(asks)
    return found, truth


def test_single_answers_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An honest key of one server stands for random factors that the guest knows.  If the servers did not blind their
    answers, as many queries as there are customers would open the whole list, whoever they ask about."""
    found, truth = read_list(OnlineWorld(rows=8, width=2))
    assert found is None, "blinded answers fit no list"
    monkeypatch.setattr(query, "answer_mask", lambda seed, number, rows, form: np.zeros((rows, form.models), np.uint64))
    found, truth = read_list(OnlineWorld(rows=8, width=2))
    assert found is not None
    assert (found == truth).all()


def crafted(size: int) -> tuple[DpfKeys, DpfKeys, list[int]]:
    """Keys of two servers that do not belong together, and the factors of all places that they stand for."""
    keys = DpfKeys.deal(b"a" * 32, np.array([1]), size.bit_length() - 1)[0]
    other = DpfKeys.deal(b"b" * 32, np.array([2]), size.bit_length() - 1)[1]
    tables, x = np.eye(size, dtype=np.int64), np.zeros(1, np.int64)
    each = [[v.to_ints()[0] for v in k.look_up(x, tables)] for k in (keys, other)]
    return keys, other, [a + b for a, b in zip(*each, strict=True)]


def near(answer: int, factors: list[int], modulus: int) -> list[tuple[int, int]]:
    """Pairs of numbers below 2^W with factors[0] z_0 + factors[1] z_1 = answer modulo a power of two: of all that
    there are the ones next to the middle of the range, by a reduced basis of the plane."""
    first, second = factors[:2] if factors[1] % 2 else factors[1::-1]
    inverse, middle = pow(second, -1, modulus), 1 << W - 1
    u, v = (1, -first * inverse % modulus), (0, modulus)
    while True:  # Gauss
        if u[0] ** 2 + u[1] ** 2 > v[0] ** 2 + v[1] ** 2:
            u, v = v, u
        times = round(Fraction(u[0] * v[0] + u[1] * v[1], u[0] ** 2 + u[1] ** 2))
        if times == 0:
            break
        v = v[0] - times * u[0], v[1] - times * u[1]
    target = middle, middle - answer * inverse % modulus
    det = u[0] * v[1] - u[1] * v[0]
    a = round(Fraction(target[0] * v[1] - target[1] * v[0], det))
    b = round(Fraction(u[0] * target[1] - u[1] * target[0], det))
    pairs = [
        ((a + i) * u[0] + (b + j) * v[0], (a + i) * u[1] + (b + j) * v[1] + answer * inverse % modulus)
        for i in range(-2, 3)
        for j in range(-2, 3)
    ]
    found = [pair for pair in pairs if all(0 <= z < 1 << W for z in pair)]
    return found if factors[1] % 2 else [(z, y) for y, z in found]


def test_crafted_keys_read_the_bits_of_one_score() -> None:
    """In the core's own ring, modulo 2^128, keys that do not belong together open two scores at once; cut at the
    server, their sum fits so many pairs that it tells neither."""
    size, rng = 16, np.random.default_rng(3)
    table = rng.integers(0, 1 << W, (size, 1), dtype=np.uint64)
    table[2:] = 0  # all others are known to the guest, who subtracts them
    keys, other, factors = crafted(size)
    assert factors[0] % 2 or factors[1] % 2
    x, columns = np.zeros(1, np.int64), table.T.view(np.int64).copy()
    truth = int(table[0, 0]), int(table[1, 0])
    whole = sum(k.look_up(x, columns)[0].to_ints()[0] for k in (keys, other)) % (1 << 128)
    assert near(whole, factors, 1 << 128) == [truth], "the control reads both, and nothing else fits"
    form = lists.Form(1, 0)
    answer = sum(int(lists.looked_up(k, lists.laid_out(table), form)[0, 0]) for k in (keys, other)) % (1 << W)
    fits = near(answer, factors, 1 << W)
    assert len(fits) > 8
    assert truth not in fits


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_number_is_answered_once(number: int) -> None:
    """A query under a number that was used, or that is not the next one, is refused, and nothing is answered."""

    def asks(session: Session, epoch: GuestEpoch) -> None:
        raw_query(session, epoch, 3)
        epoch.asked[0] = number - 1
        raw_query(session, epoch, 3)

    with pytest.raises(RemoteProtocolError, match="not the next one"):
        OnlineWorld(rows=8).run(asks)


@pytest.mark.parametrize("fault", ["another list", "the other server's", "too many", "none"])
def test_keys_of_another_kind_are_refused(fault: str) -> None:
    def asks(session: Session, epoch: GuestEpoch) -> None:
        bits, count = (
            len(epoch.tags[0]).bit_length() - 1,
            {"too many": asking.MOST_AT_ONCE + 1, "none": 0}.get(fault, 1),
        )
        (host,) = session.hosts
        points = PointVec.hash_to_group([b"%d" % i for i in range(count)], lists.DOMAIN)
        host.send(BlindedAsk(points))
        host.recv(asking.RaisedAsk)
        bits += fault == "another list"
        keys = DpfKeys.deal(b"c" * 32, np.zeros(1, np.int64), bits)[fault == "the other server's"]
        host.send(QueryKeys((1).to_bytes(8, "big"), keys))
        host.recv(Answer)

    with pytest.raises(RemoteProtocolError):
        OnlineWorld(rows=8).run(asks)


def test_a_dictionary_of_guessed_ids_runs_into_the_budget() -> None:
    """Asking about an id costs one of the day's queries, whether the host knows the id or not."""
    left, charged = [10], list[int]()

    def meter(count: int) -> int:
        charged.append(count)
        if left[0] < count:
            return -1
        left[0] -= count
        return left[0]

    world = OnlineWorld(rows=8, meter=meter)

    def asks(session: Session, epoch: GuestEpoch) -> list[asking.Asked]:
        guesses = [[b"id %d" % i, b"guess %d" % i] for i in range(1, 8)]
        return [query.ask(session, epoch, two, np.zeros((2, world.width), np.int64)) for two in guesses]

    answers = world.run(asks)
    assert [a.known.tolist() for a in answers[:5]] == [[True, False]] * 5
    assert [a.left for a in answers] == [8, 6, 4, 2, 0, -1, -1]
    assert not any(a.known.any() for a in answers[5:])
    assert charged == [2] * 7


def test_nobody_publishes_another_model() -> None:
    world = OnlineWorld(rows=8, shared="h0")
    assert MODEL == b"m" * 16
    with pytest.raises(Exception, match="another model"):
        world.run(lambda session, epoch: None, guest=lambda session: other_model(session, world))


def other_model(session: Session, world: OnlineWorld) -> None:
    from protocols.cipher import key_offer
    from protocols.online import epoch

    if not world.own["guest"].whole:
        key_offer.accept(session)
    epoch.guest(session, b"x" * 16, world.own["guest"], world.form, tuple(world.held))


def test_words_are_cut_at_the_server() -> None:
    keys, _ = DpfKeys.deal(b"d" * 32, np.array([5]), 4)
    table = np.full((16, 1), (1 << 21) - 1, np.uint64)
    found = lists.looked_up(keys, lists.laid_out(table), lists.Form(1, lists.UNIT))
    assert int(found[0, 0]) < 1 << 21
    assert words_of(keys.look_up(np.zeros(1, np.int64), table.T.view(np.int64).copy())[0])[0] >= 1 << 21
