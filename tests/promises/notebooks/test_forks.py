"""A forked child works: multiprocessing's default on Linux, a preloading web server, a task queue.

The parent has used the threads of the core before, which do not exist in the child.
"""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import vfl
from protocols import _native
from protocols.cipher import Identity
from tests.promises.notebooks.test_interrupts import federation, tables

ASKED = vfl.BoostedTrees(n_estimators=1, max_depth=2)
KEY = _native.PrivateKey.generate(512, bytes(32), threads=2)


def fit() -> float:
    return float(federation(60, Identity()).fit(ASKED).intersection_)


def align() -> float:
    guest, host = tables(60)
    return float(vfl.align(guest, {"telecom": host}, on="id").report.common)


def child(queue: Any, work: Callable[[], float]) -> None:
    queue.put(work())


def forked(work: Callable[[], float], seconds: float = 60) -> float:
    """What `work` returns in a forked child; fails if it hangs."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    with warnings.catch_warnings():  # Python 3.12 and later warn of any fork with threads
        warnings.simplefilter("ignore", DeprecationWarning)
        process = context.Process(target=child, args=(queue, work))
        process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        pytest.fail(f"the child still works after {seconds} s")
    assert process.exitcode == 0
    return float(queue.get())


def test_a_child_aligns_fits_and_predicts() -> None:
    guest, host = tables(60)
    model = federation(60, Identity()).fit(ASKED)

    def predict() -> float:
        return float(model.predict_score(guest.drop(columns="y"), {"telecom": host}).notna().sum())

    assert align() == 60
    assert forked(align) == 60
    assert forked(fit) == 60
    assert forked(predict) == 60
    assert predict() == 60  # and the parent goes on


def test_a_key_of_the_parent_computes_in_the_child() -> None:
    def compute() -> float:
        plain = _native.PlainVec.from_i64(np.arange(2000))
        cipher = KEY.encrypt(plain, bytes(32), 256)
        return float(KEY.decrypt(cipher.sum()).to_ints()[0])

    assert compute() == forked(compute) == 1_999_000


def test_a_grandchild_works_too() -> None:
    align()
    assert forked(lambda: forked(align)) == 60
