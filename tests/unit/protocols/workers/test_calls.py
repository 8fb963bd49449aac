"""Calls to workers: what they take, what only the right worker can read, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from protocols._native import DpfKeys, InvalidBytes
from protocols.errors import ComputeError
from protocols.workers.calls import Answer, Call, Forgotten, Job, State
from protocols.workers.cluster import Cluster, Made, Step
from protocols.workers.run import Caller, Inline, execute
from protocols.workers.seal import Seal, Sealed, Unsealed

SEAL = Seal(b"s" * 32, b"run one")


class Watched(Inline):
    """Workers that keep what went to them and back, and may change it on its way."""

    def __init__(self, count: int, seal: Seal = SEAL) -> None:
        super().__init__(count, seal)
        self.went: list[bytes] = []

    def call(self, jobs: Sequence[Job]) -> list[Sealed]:
        answers = super().call([self.change(job) for job in jobs])
        self.went += [part for job in jobs for part in job.arguments] + [part for a in answers for part in a]
        return [self.changed(answer) for answer in answers]

    def change(self, job: Job) -> Job:
        return job

    def changed(self, answer: Sealed) -> Sealed:
        return answer


def look_up(worker: int = 0) -> tuple[list[Call], DpfKeys, np.ndarray, np.ndarray]:
    """Calls that place tables and look up in them, and what goes into them."""
    mine, _ = DpfKeys.deal(b"d" * 32, np.array([3, 1, 2]), 3)
    x, tables = np.array([1, 2, 3]), np.arange(16, dtype=np.int64).reshape(2, 8)
    calls = [Call(worker, "place", (b"t", tables)), Call(worker, "look_up", (mine.to_bytes(), x, b"t"))]
    return calls, mine, x, tables


def test_values_come_out_as_they_went_in() -> None:
    values: list[Any] = [1, -(2**62), b"bytes", "text", np.arange(6).reshape(2, 3), np.zeros((0, 4), dtype=np.int64)]
    opened, ciphers = SEAL.open_call(3, "op", SEAL.call(3, "op", values, [b"c", b"", b"dd"]))
    assert ciphers == [b"c", b"", b"dd"]
    for found, given in zip(opened, values, strict=True):
        assert np.array_equal(found, given)
        assert getattr(found, "shape", ()) == getattr(given, "shape", ())


@pytest.mark.parametrize("value", [1.5, [1, 2.5], np.zeros(2), np.zeros(2, dtype=np.int32), object()])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        SEAL.call(0, "op", [value], [])


def test_a_worker_computes_what_this_process_would() -> None:
    calls, keys, x, tables = look_up()
    _, answer = Caller(Inline(1, SEAL), SEAL).call(calls)
    assert list(answer.values) == [v.to_bytes() for v in keys.look_up(x, tables)]


def test_only_the_same_secret_run_worker_operation_and_ciphertexts_open_a_call() -> None:
    sealed = SEAL.call(1, "place", [b"name", 7], [b"c", b"dd"])
    assert SEAL.open_call(1, "place", sealed) == ([b"name", 7], [b"c", b"dd"])  # the positive control
    for seal in (Seal(b"t" * 32, b"run one"), Seal(b"s" * 32, b"run two")):
        with pytest.raises(Unsealed):
            seal.open_call(1, "place", sealed)
    for worker, operation in ((0, "place"), (1, "drop")):
        with pytest.raises(Unsealed):
            SEAL.open_call(worker, operation, sealed)
    one, c, d = sealed
    changed = [b"", one[:40], one[:-1], one[:-1] + bytes([one[-1] ^ 1]), bytes(32) + one[32:]]
    moved = [(), (one,), (one, d, c), (one, c), (one, c, d, b""), (one, c + d[:1], d[1:]), (one, c + d), (one + c, d)]
    for bad in (*((part, c, d) for part in changed), *moved, (one, bytes([c[0] ^ 1]), d)):
        with pytest.raises(Unsealed):
            SEAL.open_call(1, "place", bad)


def test_an_answer_belongs_to_one_call() -> None:
    first, second = (SEAL.call(1, "op", [1], []) for _ in range(2))
    answer = SEAL.answer(1, "op", first, [5], [])
    assert SEAL.open_answer(1, "op", first, answer) == ([5], [])
    with pytest.raises(Unsealed):
        SEAL.open_answer(1, "op", second, answer)
    with pytest.raises(Unsealed):
        SEAL.open_call(1, "op", answer)


def test_one_call_twice_has_nothing_in_common() -> None:
    """Each message has its own key: of two equal calls nothing can be compared."""
    first, second = (b"".join(SEAL.call(0, "op", [b"x" * 100], [b"x" * 100])) for _ in range(2))
    assert not {first[i : i + 4] for i in range(len(first) - 4)} & {second[i : i + 4] for i in range(len(second) - 4)}


def test_whatever_lies_on_the_way_holds_no_value() -> None:
    workers = Watched(2)
    calls, keys, *_ = look_up(1)
    scalar = b"a scalar".ljust(31, b".") + bytes(1)
    calls += [
        Call(0, "place", (b"name", np.full(9, 0x4142434445464748))),
        Call(0, "blind", (b"one id", np.array([0, 6]), b"domain", scalar)),
    ]
    *_, points = Caller(workers, SEAL).call(calls)
    carried = b"".join(workers.went)
    assert keys.to_bytes()[26:58] not in carried
    assert b"HGFEDCBA" not in carried
    assert b"s" * 32 not in carried
    assert points.ciphers[0] not in carried
    assert len(points.ciphers[0]) == 32


def test_what_was_changed_on_its_way_is_refused() -> None:
    class Changing(Watched):
        def change(self, job: Job) -> Job:
            return job._replace(arguments=(job.arguments[0][:-1] + b"?", *job.arguments[1:]))

    class Forging(Watched):
        def changed(self, answer: Sealed) -> Sealed:
            return (answer[0], b"another ciphertext")

    for kind in (Changing, Forging):
        with pytest.raises(ComputeError, match="worker 0") as caught:
            Caller(kind(1), SEAL).call(look_up()[0])
        assert "secret file" in caught.value.remedy


def test_a_worker_with_another_secret_is_refused() -> None:
    with pytest.raises(ComputeError, match="do not understand each other"):
        Caller(Inline(1, Seal(b"t" * 32, b"run one")), SEAL).call(look_up()[0])


def test_an_operation_outside_the_table_is_an_error_of_the_program() -> None:
    with pytest.raises(KeyError):
        execute(State(0, SEAL), "exec", SEAL.call(0, "exec", ["import os"], []))


def test_what_a_replaced_worker_has_forgotten_is_named() -> None:
    state = State(0, SEAL)
    state.put(b"a", 1)
    assert state.get(b"a") == 1
    state.drop(b"a")
    with pytest.raises(Forgotten) as caught:
        state.get(b"a")
    assert caught.value.workers == (0,)


def test_bytes_that_are_no_keys_are_refused_as_in_this_process() -> None:
    place, call = look_up()[0]
    with pytest.raises(InvalidBytes):
        Caller(Inline(1, SEAL), SEAL).call([place, call._replace(values=(b"none", *call.values[1:]))])


def test_nothing_shows_or_pickles_the_secret() -> None:
    own, held = (b"ssss",), Made("op", (b"ssss",), ())
    carried = (Call(0, "op", own), Answer(own), Step(0, "op", own), held, Cluster(Caller(Inline(1, SEAL), SEAL)))
    for shown in (SEAL, State(0, SEAL), Caller(Inline(1, SEAL), SEAL), Inline(1, SEAL), *carried):
        assert "ssss" not in repr(shown)
    assert "ssss" in repr(own)  # the positive control
    with pytest.raises(TypeError):
        pickle.dumps(SEAL)


def test_there_is_at_least_one_worker() -> None:
    with pytest.raises(ComputeError):
        Inline(0, SEAL)
