"""An interrupt of `fit`, `align` or `predict_score` ends all parties: no thread lives on, and the next call works."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols import _native
from protocols.cipher import Scheme


def tables(rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    x = np.random.default_rng(1).normal(size=(rows, 4))
    guest = pd.DataFrame({"id": range(rows), "y": (x.sum(axis=1) > 0).astype(int), "a": x[:, 0], "b": x[:, 1]})
    return guest, pd.DataFrame({"id": range(rows), "c": x[:, 2], "d": x[:, 3]})


def federation(rows: int, cipher: Scheme | None = None) -> vfl.Federation:
    guest, host = tables(rows)
    return vfl.Federation.local(guest, {"telecom": host}, on="id", label="y", cipher=cipher, convergence=False)


def alive() -> list[str]:
    """The parties' threads, after the moment in which one that has ended its work goes."""
    for _ in range(100):
        if not (found := [t.name for t in threading.enumerate() if t.name.startswith("vfl-")]):
            break
        time.sleep(0.01)
    return found


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert alive() == []


def interrupted(work: Callable[[], object], after: float) -> float:
    """CPU seconds of all threads from the interrupt to the return of `work`, which it ends: no other process
    counts."""
    sent = list[float]()

    def strike() -> None:
        sent.append(time.process_time())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, strike)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        work()
    return time.process_time() - sent[0]


@pytest.mark.parametrize("after", [0.05, 1.0])
def test_an_interrupt_ends_all_parties(after: float) -> None:
    fed, asked = federation(400), vfl.LogisticRegression(max_iter=5000)
    assert interrupted(lambda: fed.fit(asked), after) < 2
    assert alive() == []


def test_an_interrupt_ends_a_long_computation() -> None:
    """One that no message interrupts: a vector that takes many seconds to encrypt."""
    key = _native.PrivateKey.generate(2048, bytes(32))
    plain = _native.PlainVec.from_i64(np.arange(400_000, dtype=np.int64))
    ended = list[BaseException]()

    def compute() -> None:
        try:
            key.encrypt(plain, bytes(range(32)), 256)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=compute)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()  # the control: it does not end by itself
    _native.interrupt(True)
    thread.join(2)
    _native.interrupt(False)
    assert not thread.is_alive()
    assert [type(e) for e in ended] == [_native.Interrupted]
    assert key.decrypt(key.encrypt(_native.PlainVec.from_i64(np.arange(3)), bytes(32), 256)).to_ints() == [0, 1, 2]


def test_after_an_interrupt_the_next_call_works() -> None:
    fed = federation(200)
    assert interrupted(lambda: fed.fit(vfl.LogisticRegression(max_iter=5000)), 0.5) < 2
    guest, host = tables(200)
    assert vfl.align(guest, {"telecom": host}, on="id").report.common == 200
