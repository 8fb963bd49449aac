"""The bank as its own process, which waits for the telecom to greet it: `python -m tests.unit.vfl.transport.listening`
with a JSON description on standard input.

Prints its port; on the next line of standard input, by how many kilobytes it stood above its memory at the start, at
most.  With `--planted` a frame's header may announce any length.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from protocols.errors import VFLError
from tests.unit.vfl.transport.reading import memory
from tests.unit.vfl.transport.world import LOCAL, SESSION
from vfl.transport import PeerAddress, TlsNetwork, frames
from vfl.transport.identity import Identity


def main() -> None:
    """Waits, until it is told to end."""
    if "--planted" in sys.argv:
        frames._checked = lambda kind, length: (frames.Kind(kind), length)
    told = json.loads(sys.stdin.readline())
    identity = Identity.load(Path(told["folder"]) / "key.pem", Path(told["folder"]) / "cert.pem")
    peer = PeerAddress("telecom", "host", (Path(told["pin"]).read_bytes(),), None)
    network = TlsNetwork("bank", "guest", identity, [peer], listen=f"{LOCAL}:0", session=SESSION, connect_timeout=60)

    def connect() -> None:
        try:
            network.connect()
        except VFLError as error:
            print(error.code, file=sys.stderr)

    threading.Thread(target=connect, daemon=True).start()
    before = memory("VmRSS")
    print(network.bound_port, flush=True)
    sys.stdin.readline()
    print(memory("VmHWM") - before, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
