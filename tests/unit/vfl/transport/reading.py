"""A party that waits for messages of certain kinds, as its own process: what it takes to read what comes instead.

`python -m tests.unit.vfl.transport.reading` with a JSON description on standard input: `name`, `folder` and `peer` of
`tests.unit.vfl.transport.world`, `awaits`: kinds.
Prints one JSON line for each: the error's code, or the kind, and by how many kilobytes the process stood above its
memory at the start, at most.
With `--planted` the codec decodes the whole array in order to find the kind, as it once did.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from protocols import codec
from protocols.channel import Channel
from protocols.cipher import Keyring
from protocols.errors import VFLError
from protocols.message import registry
from protocols.randomness import Seed
from tests.harness import TOY
from tests.unit.vfl.transport.world import LOCAL, ROLES, SESSION
from tools.leakage_page import declared
from vfl.transport import PeerAddress, TlsNetwork
from vfl.transport.identity import Identity


def key() -> Any:
    """The key that this party knows: the sender makes the same one."""
    return TOY.generate("bank", Seed("bank", b"k" * 32)).public


def decodes_all(data: bytes, sender: str) -> tuple[int, str]:
    """The planted fault."""
    elements = msgspec.msgpack.decode(data, type=list[msgspec.Raw])
    return len(elements), str(msgspec.msgpack.decode(elements[0]))


def memory(field: str) -> int:
    """A line of /proc/self/status, in kilobytes."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return int(lines[field].split()[0])


def main() -> None:
    """Reads what it is told to await."""
    if "--planted" in sys.argv:
        codec._head = decodes_all
    told: dict[str, Any] = json.loads(sys.stdin.readline())
    declared()
    identity = Identity.load(Path(told["folder"]) / "key.pem", Path(told["folder"]) / "cert.pem")
    peer = PeerAddress("bank", "guest", (Path(told["pin"]).read_bytes(),), f"{LOCAL}:{told['port']}")
    keys = Keyring()
    keys.add(key())
    with TlsNetwork(
        told["name"], ROLES[told["name"]], identity, [peer], listen=None, session=SESSION, connect_timeout=30
    ) as network:
        wire = network.connect()["bank"]
        before = memory("VmRSS")
        for kind in told["awaits"]:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts here
            try:
                ended = Channel(wire, keys, deadline=60).recv(registry()[kind]).kind
            except VFLError as error:
                ended = f"{error.code} of {error.party}"
            print(json.dumps([ended, memory("VmHWM") - before]), flush=True)
            wire.send(b"next")


if __name__ == "__main__":
    main()
