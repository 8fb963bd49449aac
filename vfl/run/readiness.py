"""What `vfl run` would stumble over before it meets anybody: certificates, the port, the run directory."""

from __future__ import annotations

import contextlib
import datetime
from typing import Any

from protocols.errors import Cause
from vfl.compute.opening import opened
from vfl.cost.memory import worker_bytes
from vfl.data.kept_table import KeptTable
from vfl.data.readers.parquet import is_parquet
from vfl.run.session import Ready, network_of, new_folder, peers_for
from vfl.transport.hello import Command
from vfl.transport.identity import common_name, load_certificate

MET = b"met"
SOON = datetime.timedelta(days=30)


def ready_to_connect(ready: Ready[Any], purpose: Command) -> list[str]:
    """Opens this party's port and makes a run folder, and undoes both; a sentence for each certificate that ends soon
    or bears another name.  Raises what `vfl run` would raise: ConfigError, ListenFailed."""
    peers = peers_for(ready.job, ready.party.name, purpose)
    network_of(ready, peers, purpose, 1.0).abort(Cause("stopped", ready.party.name))
    new_folder(ready.party.run.directory, f".{ready.job.name}").rmdir()
    return certificates(ready, purpose)


def memory_of(ready: Ready[Any]) -> int:
    """Bytes that each worker of this party needs for the job."""
    party, workers = ready.party, ready.party.compute.workers
    if not workers:
        return 0
    role = None if party.role == "member" else party.role
    kept = isinstance(ready.table, KeptTable) and party.data is not None and is_parquet(party.data.source)
    return worker_bytes(ready.job, *ready.size, workers, role, reads=ready.away or kept)


def workers_ready(ready: Ready[Any]) -> tuple[str, list[str]]:
    """Opens this party's workers, and ends them again: what to say of them, and cautions.  "" where it has none.
    Raises what `vfl run` would raise: ConfigError, ComputeError."""
    compute, needs = ready.party.compute, memory_of(ready)
    with contextlib.ExitStack() as stack:
        pool = ready.pool or stack.enter_context(opened(compute, needs))
        if pool is None:
            return "", []
        machines = ", ".join(f"{count} on {name}" for name, count in sorted(pool.machines.items()))
        name = compute.engine.capitalize()
        told = f"{pool.count} on {name} ({machines}), about {needs / 2**20:,.0f} MiB of memory for each"
        return told, list(pool.engine.cautions)


def meet_all(ready: Ready[Any], purpose: str, connect_timeout: float) -> tuple[str, ...]:
    """Meets every peer, which gives the same command, and parts again; nothing of a run is sent.

    The job's digest, releases and certificates are compared in this.  Raises TransportError, PeerAborted.
    """
    peers = peers_for(ready.job, ready.party.name, purpose)
    network = network_of(ready, peers, "check of run" if purpose == "run" else "check of align", connect_timeout)
    with network:
        wires = network.connect()
        for wire in wires.values():
            wire.send(MET)  # so that nobody parts before all have met
        for wire in wires.values():
            wire.recv(connect_timeout)
    return peers


def certificates(ready: Ready[Any], purpose: str) -> list[str]:
    """What deserves a word about the certificates of this party and of its peers, which are valid today."""
    party, said = ready.party, list[str]()
    whose = [(party.name, ready.identity.certificate_pem, "this party's own certificate")]
    parties = ready.job.parties
    strangers = [p for p in parties.pinned_by(party.name) if p not in parties.peers_of(party.name)]
    for name in (*peers_for(ready.job, party.name, purpose), *strangers):
        pins = party.peers[name].certificates()
        whose += [(name, pem, f"the certificate of {name}") for pem in pins]
        if len(pins) > 1:
            said.append(f"{name} has {len(pins)} pinned certificates: once it has renewed, remove the old one")
    for name, pem, what in whose:
        found = load_certificate(pem, what)
        left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        if left < datetime.timedelta():
            remedy = f"remove it from peers.{name}.certificate, or ask {name} for a new one (vfl renew)"
            said.append(f"{what} ended on {found.not_valid_after_utc:%Y-%m-%d}: {remedy}")
        elif left < SOON:
            said.append(
                f"{what} ends on {found.not_valid_after_utc:%Y-%m-%d}, in {_days(left.days)}: "
                + ("vfl renew makes a new one" if name == party.name else f"ask {name} for a new one, and pin it")
                + " before then"
            )
        if common_name(found) != name:
            said.append(f"{what} was made for another name: if that is no mistake, compare its fingerprint by phone")
    return said


def _days(number: int) -> str:
    return "less than a day" if number == 0 else "1 day" if number == 1 else f"{number} days"
