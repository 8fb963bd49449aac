"""Opens a party's workers, and makes sure that they can be used before anything is sent to a partner."""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocols.errors import ComputeError, ConfigError
from protocols.randomness import salt
from protocols.workers.calls import Job, Workers
from protocols.workers.run import Caller
from protocols.workers.seal import Seal
from vfl.compute.cell import FAULT, proof_of, read_key
from vfl.compute.engine import Engine, without_release
from vfl.compute.memory import give_back
from vfl.job.compute import Compute
from vfl.version import __version__

MIB = 1 << 20


@dataclass(frozen=True, repr=False)
class Pool:
    """The workers of one party, open and greeted."""

    engine: Engine
    key: bytes
    machines: Counter[str]  # workers on each

    @property
    def count(self) -> int:
        return self.engine.count

    def workers(self, run: bytes) -> Workers:
        """Those of one run."""
        return _OfRun(self.engine, run)

    def caller(self, run: bytes) -> Caller:
        """What a run's session calls."""
        return Caller(self.workers(run), Seal(self.key, run))

    def __repr__(self) -> str:
        return f"<Pool of {self.count} workers>"


@dataclass(frozen=True, repr=False)
class _OfRun:
    """`protocols.workers.Workers` of one run."""

    engine: Engine
    run: bytes

    @property
    def count(self) -> int:
        return self.engine.count

    def call(self, jobs: Sequence[Job]) -> list[tuple[bytes, ...]]:
        """As `Workers.call`."""
        answers = self.engine.carry(self.run, jobs)
        for answer in answers:
            if answer[:1] == (FAULT,):
                raise ComputeError(
                    f"a worker stopped with a fault of the program ({answer[1].decode()})",
                    remedy="Check its memory and that it can read the file of [compute] key; else report this",
                )
        return answers


@contextlib.contextmanager
def opened(compute: Compute, memory: int = 0) -> Iterator[Pool | None]:
    """This party's workers; None where it has none (engine "inline").  memory: bytes that each worker needs.

    Raises ConfigError (the engine is not installed, no key) and ComputeError (nobody answers, too few workers, another
    release, another key, too little memory).
    """
    if compute.engine == "inline":
        yield None
        return
    assert compute.key is not None
    give_back()
    key, engine = own_key(compute.key), _engine(compute)
    try:
        yield Pool(engine, key, _checked(engine, compute, key, memory))
    finally:
        engine.close()


def own_key(file: Path) -> bytes:
    """The key in this party's file.  Raises ConfigError."""
    remedy = f"Make it with: (umask 077 && openssl rand -hex 32 > {file}); it stands at the same path on every machine"
    try:
        key = read_key(file)
    except OSError as error:
        raise ConfigError(f"compute.key: {file} cannot be read ({error.strerror})", remedy=remedy) from None
    except ValueError:
        raise ConfigError(f"compute.key: {file} does not hold 64 hexadecimal digits", remedy=remedy) from None
    if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise ConfigError(f"compute.key: {file} can be read by other users", remedy=f"Run chmod 600 {file}")
    return key


def _engine(compute: Compute) -> Engine:
    if compute.engine == "ray":
        from vfl.compute.ray import RayEngine

        return RayEngine(compute.address, compute.workers, str(compute.key))
    from vfl.compute.dask import DaskEngine

    return DaskEngine(compute.address, compute.workers, str(compute.key))


def _checked(engine: Engine, compute: Compute, key: bytes, memory: int) -> Counter[str]:
    """Workers by machine, if all are of this release, hold the key and have the memory."""
    nonce, name = salt(), compute.engine.capitalize()
    told: list[dict[str, Any]] = [json.loads(answer) for answer in engine.greet(nonce)]
    for one in told:
        if one["version"] != __version__:
            raise _other_release(name, one["version"])
    if len({(one["machine"], one["pid"]) for one in told}) < engine.count:
        raise ComputeError(
            f"two workers of the {name} cluster are one process", remedy="Give each a process of its own"
        )
    for one in told:
        if not hmac.compare_digest(one["proof"], proof_of(key, nonce).hex()):
            raise ComputeError(
                f"a worker on {one['machine']} does not hold this party's key",
                remedy=f"Mount the same file at {compute.key} there, readable by the account that runs the workers",
            )
    machines = Counter(one["machine"] for one in told)
    for one in told:
        needs = memory * machines[one["machine"]]
        if one["memory"] < needs:
            raise ComputeError(
                f"{one['machine']} has too little memory for {machines[one['machine']]} workers of this job",
                expected=f"{needs // MIB:,} MiB free",
                found=f"{one['memory'] // MIB:,} MiB",
                remedy="Spread the workers over more machines, or lower workers in the party file",
            )
    return machines


def _other_release(name: str, found: str) -> ComputeError:
    error = without_release(name)
    error.expected, error.found = __version__, found
    return error
