"""Small files and wires that several tests of this folder start from."""

from protocols.channel import Channel, MemoryNetwork, Tap
from protocols.cipher import Keyring

MINIMAL = """\
name = "credit-risk"
version = 1
[parties]
guest = "bank"
hosts = ["telecom"]
arbiter = "trustco"
[align]
keys = [["national_id"]]
[model]
kind = "logistic-regression"
[disclosure]
allow = ["intersection-to-parties", "edge-count-to-arbiter", "scores-to-guest"]
"""


def with_key(section: str, line: str, base: str = MINIMAL) -> str:
    """`base` with `line` in place of the key of the same name in [section], or added to it."""
    name = line.split("=")[0].strip()
    before, header, after = base.partition(f"[{section}]\n")
    if not header:
        return f"{base}[{section}]\n{line}\n"
    body, bracket, rest = after.partition("\n[")
    kept = "\n".join(row for row in body.split("\n") if row.split("=")[0].strip() != name)
    return before + header + line + "\n" + kept + bracket + rest


class Recorder(Tap):
    """Keeps what goes into the wire."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []

    def sent(self, peer, kind, data):
        self.seen.append((peer, data))


def channels(*taps: Tap) -> tuple[Channel, Channel]:
    """The bank's channel to the telecom company, with taps, and the other end."""
    network = MemoryNetwork(["bank", "telecom"])
    here = Channel(network.wires("bank")["telecom"], Keyring(), taps, 5.0)
    return here, Channel(network.wires("telecom")["bank"], Keyring(), (), 5.0)
