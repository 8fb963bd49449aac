"""A party that finds out alone that it cannot take part says so to those that wait for it already: they would wait for
the whole connect timeout, and then blame the network."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

from protocols.errors import Cause, VFLError, cause_of
from vfl.job import Agreement, Party
from vfl.run.session import Ready, network_of, peers_for
from vfl.transport.hello import Command
from vfl.transport.identity import Identity

SECONDS = 2.0  # a party that waits is met within this time: it calls at least once a second, or listens


@contextlib.contextmanager
def announced(job: Agreement, party: Party, command: Command) -> Iterator[None]:
    """An error that is raised inside is raised, and its cause is sent to every pinned peer that waits for this
    party."""
    try:
        yield
    except VFLError as error:
        with contextlib.suppress(Exception):  # whatever stops the announcement, the user needs to see this error
            _tell(job, party, command, cause_of(error, party.name))
        raise


def _tell(job: Agreement, party: Party, command: Command, cause: Cause) -> None:
    dialled = job.parties.dials(party.name)
    peers = [
        name
        for name in peers_for(job, party.name, command)  # the fault may be a pin that lacks, or an address
        if name in party.peers and (name not in dialled or party.peers[name].address is not None)
    ]
    if not peers:
        return
    waiting, all_met = set(peers), threading.Event()

    def met(peer: str) -> None:
        waiting.discard(peer)
        if not waiting:
            all_met.set()

    identity = Identity.load(party.identity.key, party.identity.certificate, party.name)
    ready = Ready(job, party, identity, None)
    network = network_of(ready, peers, command, 10 * SECONDS, met)

    def connect() -> None:
        with contextlib.suppress(Exception, CancelledError):  # it is aborted below
            network.connect()

    thread = threading.Thread(target=connect, name="vfl announcement", daemon=True)
    thread.start()
    all_met.wait(SECONDS)
    network.abort(cause)
    thread.join()
