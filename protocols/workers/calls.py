"""Jobs and answers, who carries them, and what a worker holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from protocols.workers.seal import Seal, Sealed, Value


class Job(NamedTuple):
    """One operation for one worker (0 to count - 1); arguments: opaque bytes."""

    worker: int
    operation: str
    arguments: Sealed


class Workers(Protocol):
    """Where jobs run: an adapter of an engine."""

    @property
    def count(self) -> int:
        """How many workers there are: at least one, the same for the whole run."""

    def call(self, jobs: Sequence[Job]) -> list[Sealed]:
        """What `execute` returned for each job, in the order of the jobs.

        The jobs of one worker run one after the other, in their order, on one `State`; those of several at once.  A
        worker that is lost is replaced by one with an empty state, and its jobs run there, also those that may have
        run before.  Several threads may call at once.  Raises ComputeError.
        """


class Forgotten(Exception):
    """A worker does not have what an operation needs: it was replaced by an empty one."""

    def __init__(self, *workers: int) -> None:
        super().__init__("a worker was replaced")
        self.workers = workers


class Changed(Exception):
    """What a worker holds is not what a seed is bound to: it has computed something else than before."""


class State:
    """What one worker process holds: its number, the seal of its run, and what operations have stored by name."""

    def __init__(self, worker: int, seal: Seal, before: State | None = None) -> None:
        """before: the state of the same process in a run before this one: `lasting` is handed on."""
        self.worker, self.seal = worker, seal
        self._held: dict[bytes, Any] = {}
        self.lasting: dict[bytes, Any] = {} if before is None else before.lasting  # by what it was made of

    def __repr__(self) -> str:
        return f"<State of worker {self.worker}, {len(self._held)} held>"

    def put(self, name: bytes, value: Any) -> None:
        self._held[name] = value

    def get(self, name: bytes) -> Any:
        """What is stored under this name; raises Forgotten."""
        try:
            return self._held[name]
        except KeyError:
            raise Forgotten(self.worker) from None

    def drop(self, name: bytes) -> None:
        self._held.pop(name, None)


class Answer(NamedTuple):
    """What an operation returns: values, and vectors of ciphertexts or points."""

    values: tuple[Any, ...] = ()  # of `Value`
    ciphers: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return "<Answer>"


Operation = Callable[[State, list[Any], Sequence[bytes]], Answer]


class Call(NamedTuple):
    """An operation for a worker, as the driver thinks of it."""

    worker: int
    operation: str
    values: tuple[Value, ...] = ()
    ciphers: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"<Call of {self.operation}>"
