"""How fast this machine is, in two measured times: what turns the counts of a job into seconds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

import numpy as np

from protocols._native import PlainVec
from protocols.cipher import CipherVec, DecryptionKey, Identity, Paillier
from protocols.randomness import Seed
from vfl.cost.jobs import run
from vfl.models.workload import Workload
from vfl.taps.counting import pace

CALIBRATION = Workload("logistic", 400, guest_columns=3, host_columns=4, passes=5)


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Machine:
    """product_s: of one thread, for a product modulo n^2.  clear_s: CPU seconds of a small regression without
    encryption."""

    product_s: float
    clear_s: float

    @classmethod
    def measured(cls, key_bits: int) -> Machine:
        """Now, in about a second.  key_bits 0: no products."""
        return cls(product_seconds(key_bits) if key_bits else 0.0, clear_seconds())

    def faster(self, other: Machine) -> Machine:
        """Of two measurements the better of each time, so that what disturbs one of them for a moment does not
        count."""
        return Machine(min(self.product_s, other.product_s), min(self.clear_s, other.clear_s))


@cache
def sample(key_bits: int) -> tuple[DecryptionKey, CipherVec]:
    """A key, and 4,000 ciphertexts under it."""
    seed = Seed("bench", bytes(32))
    key = Paillier(key_bits).generate("bench", seed)
    return key, key.encrypt(PlainVec.zeros(250), seed).take(np.arange(4000) % 250)


def product_seconds(key_bits: int) -> float:
    """Seconds of one thread for one product modulo n^2, at the pace of a long run of them."""
    key, vector = sample(key_bits)
    return pace(key.public, vector)


def clear_seconds() -> float:
    """The best of two."""
    return min(run(CALIBRATION, Identity()).cpu_s for _ in range(2))
