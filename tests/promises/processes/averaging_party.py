"""One party of an averaging as its own process: `python -m tests.promises.processes.averaging_party` with a JSON
description on standard input.

The aggregator prints its port.  Each prints one JSON line at its end: the weights' digest and who survived each round,
or the error.  `dies`: the round in which the process kills itself, right before its update leaves.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols.averaging.setup import Identities
from protocols.channel import Channel
from protocols.cipher import Identity as NoCipher
from protocols.cipher import Keyring
from protocols.errors import VFLError
from protocols.randomness import Randomness, run_seed
from protocols.session import Observer, Roles, Session
from tests.promises.processes.averaging_tables import COLUMNS, JOB, MEMBERS, SPEC, rows_of
from vfl.models.averaging import program
from vfl.models.averaging.course import Course
from vfl.transport import PeerAddress, TlsNetwork
from vfl.transport.identity import Identity

SUM = "trustee"


class Dies(Observer):
    """Kills this process in a round."""

    def __init__(self, at: int) -> None:
        self._at = at

    def step(self, phase: str, done: int, total: int) -> None:
        if done == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def secret(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"identity of {name}".encode()).digest())


def ran(session: Session) -> Course:
    keys = Identities(JOB, {name: secret(name).public_key().public_bytes_raw() for name in MEMBERS})
    if session.me == SUM:
        return program.aggregator(session, SPEC, keys, COLUMNS, patience=20.0)
    return program.member(session, SPEC, keys, secret(session.me), program.Rows(*rows_of(session.me)))


def main() -> None:
    """Takes part, and prints how it ended."""
    told: dict[str, Any] = json.loads(sys.stdin.readline())
    me, folder = told["name"], Path(told["folder"])
    identity = Identity.load(folder / me / "key.pem", folder / me / "cert.pem")
    peers = MEMBERS if me == SUM else (SUM,)
    given = [
        PeerAddress(p, "arbiter" if p == SUM else "member", ((folder / p / "cert.pem").read_bytes(),), told["address"])
        for p in peers
    ]
    network = TlsNetwork(
        me,
        "arbiter" if me == SUM else "member",
        identity,
        given,
        listen="127.0.0.1:0" if me == SUM else None,
        session=JOB,
        connect_timeout=60.0,
        heartbeat=0.5,
        dead_after=5.0,
        may_leave=MEMBERS if me == SUM else (),
    )
    if me == SUM:
        print(network.bound_port, flush=True)
    try:
        with network:
            channels = {peer: Channel(wire, Keyring(), (), 60.0) for peer, wire in network.connect().items()}
            observer = Dies(told["dies"]) if told["dies"] else None
            randomness = Randomness(me, run_seed(), b"")
            course = ran(
                Session(me, Roles.averaging(MEMBERS, SUM), channels, randomness, Keyring(), NoCipher(), observer)
            )
            rounds = [each.members for each in course.rounds]
            print(json.dumps({"weights": np.asarray(course.weights).tolist(), "members": rounds}), flush=True)
    except VFLError as error:
        print(json.dumps({"code": error.code, "party": error.party, "text": str(error)}), flush=True)


if __name__ == "__main__":
    main()
