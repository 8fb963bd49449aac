"""What every engine does, and what is said of a cluster that cannot be used."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Protocol

from protocols.errors import ComputeError
from protocols.workers.calls import Job

LOCAL = "local"
PLACE_SECONDS = 180.0  # for free CPUs, and again for the workers there to start, on a machine with other work too
DIAL_SECONDS = 5.0
TRIES = 4  # of a job whose worker dies
_END = re.compile(r"(?:[a-z]+://)?\[?([^\]]+?)\]?:([0-9]+)")


class Engine(Protocol):
    """A cluster with one `Cell` in each of `count` worker processes."""

    count: int
    cautions: tuple[str, ...]  # about its safety

    def greet(self, nonce: bytes) -> list[bytes]:
        """What each worker answers to `Cell.hello`.  Raises ComputeError."""

    def carry(self, run: bytes, jobs: Sequence[Job]) -> list[tuple[bytes, ...]]:
        """As `protocols.workers.Workers.call`, for a run."""

    def close(self) -> None:
        """Ends the workers, and the cluster if it is this command's own."""


def is_here(address: str) -> bool:
    """Whether an address is on this machine."""
    host = LOCAL if address == LOCAL else _host_and_port(address)[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in (LOCAL, "localhost")


def must_answer(engine: str, address: str) -> None:
    """Raises ComputeError at once where nobody listens: engines would wait for minutes."""
    try:
        socket.create_connection(_host_and_port(address), timeout=DIAL_SECONDS).close()
    except OSError as error:
        raise unreachable(engine, address, error.strerror or "no answer") from None


def _host_and_port(address: str) -> tuple[str, int]:
    match = _END.fullmatch(address)
    assert match is not None  # the party file was checked
    return match[1], int(match[2])


def unreachable(engine: str, address: str, why: str) -> ComputeError:
    """Nobody answers, or not as a cluster of this kind would."""
    if address == LOCAL:
        return ComputeError(
            f"a local {engine} cluster cannot be started ({why})",
            remedy="Check that the folder for temporary files can be written, has a short path (of Ray: RAY_TMPDIR) "
            "and is not full, and that other work leaves this machine time to start it",
        )
    return ComputeError(
        f"no {engine} cluster answers at {address} ({why})",
        remedy="Check [compute] address, that the cluster runs this release of the engine, and its TLS and token "
        "settings (docs/cluster.md)",
    )


def without_release(engine: str) -> ComputeError:
    """The workers cannot import what they need."""
    return ComputeError(
        f"the workers of the {engine} cluster do not have this release of vfl",
        remedy="Install the same wheel on every machine of the cluster, and restart it",
    )


def too_few(engine: str, asked: int, found: int) -> ComputeError:
    """The cluster is smaller than the party file says, or busy."""
    return ComputeError(
        f"the {engine} cluster has fewer free workers than [compute] asks for",
        expected=asked,
        found=found,
        remedy="Write a smaller workers in the party file (results stay the same), add machines, or wait until other "
        "work there has ended",
    )


def not_ready(engine: str, asked: int, ready: int) -> ComputeError:
    """The cluster has given every worker its place, and some of them do not start there."""
    return ComputeError(
        f"the {engine} cluster has a place for every worker, but not all have started within {PLACE_SECONDS:.0f} s",
        expected=asked,
        found=ready,
        remedy="Its machines are busy or slow: wait until other work on them has ended and give the command again, or "
        "write a smaller workers in the party file (results stay the same)",
    )


def lost(engine: str, why: str) -> ComputeError:
    """Workers die repeatedly, or all of them are gone."""
    return ComputeError(
        f"the {engine} cluster lost workers of this party for good ({why})",
        remedy="Check its logs for machines that failed or had too little memory, and restart it",
    )
