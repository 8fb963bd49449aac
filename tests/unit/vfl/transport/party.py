"""One party as its own process: `python -m tests.unit.vfl.transport.party` with a JSON description on standard input.

Prints its port, then "ready" when it has met all, then one JSON line with the error that ended it.  `mode`: "recv"
waits for the peers, "work" computes and only looks at the network from time to time.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from protocols.errors import VFLError
from tests.unit.vfl.transport.world import ROLES, SESSION
from vfl.transport import PeerAddress, TlsNetwork
from vfl.transport.identity import Identity


def main() -> None:
    """Runs until a peer ends this party."""
    told: dict[str, Any] = json.loads(sys.stdin.readline())
    identity = Identity.load(Path(told["folder"]) / "key.pem", Path(told["folder"]) / "cert.pem")
    peers = [PeerAddress(n, ROLES[n], (Path(p["pin"]).read_bytes(),), p["address"]) for n, p in told["peers"].items()]
    network = TlsNetwork(
        told["name"],
        ROLES[told["name"]],
        identity,
        peers,
        listen=told["listen"],
        session=SESSION,
        connect_timeout=30,
        **told["timing"],
    )
    print(network.bound_port, flush=True)
    try:
        with network:
            wires = network.connect()
            print("ready", flush=True)
            while True:
                for wire in wires.values():
                    wire.send(b"x" * 1000)
                    wire.recv(60)
                time.sleep(0.01)
    except VFLError as error:
        print(json.dumps({"code": error.code, "party": error.party, "text": str(error)}), flush=True)


if __name__ == "__main__":
    main()
