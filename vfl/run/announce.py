"""A party that finds out alone that it cannot take part says so to those that wait for it: they would wait for the
whole connect timeout, and then blame the network.

A refusal by this party's policy waits for parties that begin later, too.  Other faults do not: they are repaired, and
the command is given again.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

from protocols.errors import Cause, DisclosureRefused, VFLError, cause_of
from vfl.job import Agreement, Party
from vfl.run.session import Ready, network_of, peers_for
from vfl.screen.sentences import listed
from vfl.transport.hello import Command
from vfl.transport.identity import Identity

log = logging.getLogger("vfl.run")
SECONDS = 2.0  # a party that waits is met within this time: it calls at least once a second, or listens
LONGEST = 600.0  # for which a refusal waits, at most
RELAYED = 30.0  # for which it waits after it was told to anybody, who tells those that it has met


@contextlib.contextmanager
def announced(job: Agreement, party: Party, command: Command, wait: float = 0.0) -> Iterator[None]:
    """An error that is raised inside is raised, and its cause is sent to every pinned peer that waits for this
    party; wait: seconds for which a refusal waits for peers that have not begun, until Ctrl-C."""
    try:
        yield
    except VFLError as error:
        with contextlib.suppress(Exception, KeyboardInterrupt):  # whatever stops this, the user needs to see the error
            _tell(job, party, command, error, wait if isinstance(error, DisclosureRefused) else 0.0)
        raise


def _tell(job: Agreement, party: Party, command: Command, error: VFLError, wait: float) -> None:
    dialled, cause = job.parties.dials(party.name), cause_of(error, party.name)
    left = {
        name
        for name in peers_for(job, party.name, command)  # the fault may be a pin that lacks, or an address
        if name in party.peers and (name not in dialled or party.peers[name].address is not None)
    }
    if not left:
        return
    identity = Identity.load(party.identity.key, party.identity.certificate, party.name)
    ready, wait = Ready(job, party, identity, None), min(wait, LONGEST)
    first = _told(ready, left, command, cause, SECONDS)
    left -= first
    if not left or not wait:
        return
    log.warning("%s", error)
    whom = listed(sorted(left), "and")
    log.warning("%s waits up to %.0f s to say so to %s; Ctrl-C ends this", party.name, wait, whom)
    until = time.monotonic() + (RELAYED if first else wait)
    while left and (rest := until - time.monotonic()) > 0:
        found = _told(ready, left, command, cause, rest)
        if not found:
            return
        left -= found
        until = min(until, time.monotonic() + RELAYED)


def _told(ready: Ready[Any], peers: set[str], command: Command, cause: Cause, seconds: float) -> set[str]:
    """Those of the peers that were met, and have the cause: until all are met, for `seconds` until the first is, and
    for SECONDS from then on."""
    heard, found, until = queue.SimpleQueue[str | None](), set[str](), time.monotonic() + seconds
    network = network_of(ready, sorted(peers), command, seconds + 10 * SECONDS, heard.put)

    def connect() -> None:
        with contextlib.suppress(Exception, CancelledError):  # it is aborted below
            network.connect()
        heard.put(None)

    thread = threading.Thread(target=connect, name="vfl announcement", daemon=True)
    thread.start()
    try:
        while found != peers:
            with contextlib.suppress(queue.Empty):
                if (peer := heard.get(timeout=max(0.0, until - time.monotonic()))) is not None:
                    until = until if found else min(until, time.monotonic() + SECONDS)
                    found.add(peer)
                    continue
            break
    finally:
        network.abort(cause)
        thread.join()
    return found
