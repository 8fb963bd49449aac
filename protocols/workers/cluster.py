"""The driver's view of its workers: what they hold for it, how it is named, and how it is built again where a worker
was lost."""

from __future__ import annotations

import hashlib
import itertools
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ComputeError
from protocols.kept import Keep, Kept, in_memory
from protocols.randomness import salt
from protocols.workers.calls import Answer, Call, Forgotten
from protocols.workers.run import Caller
from protocols.workers.seal import Value

PLACED = 1 << 28  # bytes of arrays that a worker keeps for later calls; the ones used longest ago go first
ATTEMPTS = 5  # of one call whose worker is lost each time
LONG = 1 << 16  # bytes of a value that are kept as ciphertexts are

Later = Callable[[], Value]  # makes a value, or reads it, whenever it is sent


@dataclass(frozen=True, eq=False)
class Made:
    """How something that a worker holds was made: from values and from what was made before.  Long values are not held
    here."""

    operation: str
    values: tuple[Value | Made | Later, ...]
    ciphers: tuple[Kept, ...]

    def __repr__(self) -> str:
        return f"<Made by {self.operation}>"


class Name:
    """What nothing else at a worker is called, in any run; the worker forgets it when it is gone here."""

    def __init__(self, worker: int, name: bytes, forget: deque[tuple[int, bytes]]) -> None:
        self.worker, self.name = worker, name
        weakref.finalize(self, forget.append, (worker, name)).atexit = False


class Held:
    """Something at a worker, and how it was made."""

    def __init__(self, at: Name, made: Made) -> None:
        self.at, self.made = at, made

    @property
    def worker(self) -> int:
        return self.at.worker

    @property
    def name(self) -> bytes:
        return self.at.name


class Step(NamedTuple):
    """One operation at one worker, on values and on what this worker holds."""

    worker: int
    operation: str
    values: tuple[Value | Held | Later, ...] = ()
    ciphers: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"<Step of {self.operation}>"


class Cluster:
    """A party's workers in one run; several sessions and threads may use it."""

    def __init__(self, caller: Caller, keep: Keep = in_memory) -> None:
        """keep: keeps ciphertexts that came from a peer until a lost worker needs them again, or nobody does."""
        self.caller, self._keep = caller, keep
        self._prefix, self._numbers = salt()[:16], itertools.count()
        self._forget = deque[tuple[int, bytes]]()
        self._placed, self._bytes = OrderedDict[tuple[int, bytes], tuple[Name, int]](), [0] * caller.count
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Cluster of {self.count} workers>"

    @property
    def count(self) -> int:
        return self.caller.count

    def ask(self, steps: Sequence[Step]) -> list[Answer]:
        """The answers of operations that store nothing.  Raises ComputeError, and as the operations do."""
        return self._run(steps, [()] * len(steps))

    def hold(self, steps: Sequence[Step]) -> tuple[list[Held], list[Answer]]:
        """What operations store, which take its name as their first value, and their answers."""
        held = [self._named(step) for step in steps]
        return held, self._run(steps, [(one.name,) for one in held])

    def place(self, worker: int, array: NDArray[np.int64]) -> Held:
        """The array at this worker, sent only if it does not have it yet; not kept here."""
        array = np.ascontiguousarray(array, dtype=np.int64)
        digest = hashlib.sha256(repr(array.shape).encode())
        digest.update(array.data)
        key = worker, digest.digest()
        with self._lock:
            if key in self._placed:
                self._placed.move_to_end(key)
                return Held(self._placed[key][0], Made("place", (array,), ()))
        ((held,), _) = self.hold([Step(worker, "place", (array,))])
        with self._lock:
            if key not in self._placed:
                self._placed[key] = held.at, array.nbytes
                self._bytes[worker] += array.nbytes
            while self._bytes[worker] > PLACED:
                self._evict(worker)
        return held

    def _evict(self, worker: int) -> None:
        oldest = next(key for key in self._placed if key[0] == worker)
        _, size = self._placed.pop(oldest)
        self._bytes[worker] -= size

    def name(self, worker: int) -> Name:
        """A new name for what a worker is going to store."""
        return Name(worker, self._prefix + next(self._numbers).to_bytes(8, "big"), self._forget)

    def _named(self, step: Step) -> Held:
        made = Made(step.operation, tuple(map(self._lasting, step.values)), tuple(map(self._keep, step.ciphers)))
        return Held(self.name(step.worker), made)

    def _lasting(self, value: Value | Held | Later) -> Value | Made | Later:
        """What a value is remembered by."""
        if isinstance(value, Held):
            return value.made
        return self._keep(value) if isinstance(value, bytes) and len(value) >= LONG else value

    def _run(self, steps: Sequence[Step], names: Sequence[tuple[Value, ...]]) -> list[Answer]:
        calls = [
            Call(s.worker, s.operation, (*own, *map(_sent, s.values)), s.ciphers)
            for s, own in zip(steps, names, strict=True)
        ]
        for _ in range(ATTEMPTS):
            drops = self._drops()
            try:
                return self.caller.call([*drops, *calls])[len(drops) :]
            except Forgotten as lost:
                held = {v for s in steps if s.worker in lost.workers for v in s.values if isinstance(v, Held)}
                again = dict[tuple[int, Made], Held]()
                for one in held:
                    self._restore(one, again)
        raise ComputeError(
            f"one operation lost its worker {ATTEMPTS} times",
            remedy="Read the engine's log: a worker that ends again and again has too little memory",
        )

    def _restore(self, held: Held, again: dict[tuple[int, Made], Held]) -> None:
        """Makes again, under the same name, what a lost worker held; again: what has been, of what it is made of."""
        self._run([self._step(held.worker, held.made, again)], [(held.name,)])

    def _step(self, worker: int, made: Made, again: dict[tuple[int, Made], Held]) -> Step:
        operands = list[Value | Held | Later]()
        for value in made.values:
            if isinstance(value, Made) and (worker, value) not in again:
                ((again[worker, value],), _) = self.hold([self._step(worker, value, again)])
            operands.append(again[worker, value] if isinstance(value, Made) else value)
        return Step(worker, made.operation, tuple(operands), tuple(kept() for kept in made.ciphers))

    def _drops(self) -> list[Call]:
        """Calls that make workers forget what nothing here refers to any more."""
        names = dict[int, list[bytes]]()
        while self._forget:
            worker, name = self._forget.popleft()
            names.setdefault(worker, []).append(name)
        return [Call(worker, "drop", tuple(all_of_it)) for worker, all_of_it in names.items()]


def _sent(value: Value | Held | Later) -> Value:
    if isinstance(value, Held):
        return value.name
    return value() if callable(value) else value
