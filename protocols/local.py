"""Runs role functions: all parties in this process, one thread each, on in-memory channels (a party of its own process:
`vfl.run.train`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from protocols import _native
from protocols.allowance import Allowance
from protocols.channel import Channel, MemoryNetwork, Tap
from protocols.cipher import Keyring, Scheme
from protocols.cipher.sharded import Sharded
from protocols.errors import PeerAborted, cause_of
from protocols.randomness import Randomness, run_seed
from protocols.session import Observer, Roles, Session
from protocols.workers.cluster import Cluster


def _interrupt(network: MemoryNetwork, ended: Sequence[threading.Event]) -> None:
    """Ends all parties: at their next message, or in the middle of a long computation.  Computations of other threads
    of this process end too."""
    network.interrupt()
    _native.interrupt(True)
    try:
        for each in ended:
            each.wait()
    finally:
        _native.interrupt(False)


def run_local(
    roles: Roles,
    programs: Mapping[str, Callable[[Session], Any]],
    scheme: Scheme,
    *,
    inputs: Mapping[str, bytes] | None = None,
    taps: Mapping[str, Sequence[Tap]] | None = None,
    observers: Mapping[str, Observer] | None = None,
    randomness: Mapping[str, Randomness] | None = None,
    allowances: Mapping[str, Allowance] | None = None,
    clusters: Mapping[str, Cluster] | None = None,
    may_leave: Collection[str] = (),
    deadline: float = 3600.0,
) -> dict[str, Any]:
    """Runs `programs` (one a party) and returns what each returned; raises the first cause if a party fails.

    An interrupt of the caller ends all parties before it is raised.

    inputs: a digest of each party's own input; randomness: replaces the derived one, allowances: what a party agrees to
    disclose (tests); clusters: the workers of parties that have some; may_leave: parties that have no result if they
    fail, where the others end well without them.
    """
    network = MemoryNetwork(roles.all)
    results: dict[str, Any] = {}
    failures: dict[str, BaseException] = {}

    def party(me: str) -> None:
        wires, keys = network.wires(me), Keyring()
        channels = {
            p: Channel(wire, keys, (taps or {}).get(me, ()), deadline) for p, wire in wires.items() if roles.meet(me, p)
        }
        drawn = (randomness or {}).get(me) or Randomness(me, run_seed(), (inputs or {}).get(me, b""))
        cluster = (clusters or {}).get(me)
        session = Session(
            me,
            roles,
            channels,
            drawn,
            keys,
            scheme if cluster is None else Sharded(scheme.bits, cluster),
            (observers or {}).get(me),
            allowance=(allowances or {}).get(me),
            cluster=cluster,
        )
        try:
            results[me] = programs[me](session)
        except BaseException as error:
            failures[me] = error
            for wire in wires.values():
                wire.abort(cause_of(error, me))
        finally:
            ended[me].set()

    threads = [threading.Thread(target=party, args=(p,), name=f"vfl-{p}", daemon=True) for p in programs]
    started, ended = list[str](), {p: threading.Event() for p in programs}  # joining a thread is spoilt by an interrupt
    try:
        for name, thread in zip(programs, threads, strict=True):
            started.append(name)
            thread.start()
        for each in ended.values():
            each.wait()
    except BaseException:  # Ctrl-C, or "interrupt" of a notebook: nobody computes on behind the caller's back
        _interrupt(network, [ended[name] for name, thread in zip(started, threads, strict=False) if thread.ident])
        raise
    if not failures.keys() <= set(may_leave):
        raise min(failures.values(), key=lambda e: isinstance(e, PeerAborted))
    return results
