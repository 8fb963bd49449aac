"""`vfl align` by a guest, or a host, that deviates when a run gets its name: python -m
tests.promises.attacks.hostile_guest HOW JOB PARTY.  How an attack is made, and its control."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from protocols.channel import Channel
from protocols.recovery import resume
from protocols.recovery.checkpoint import START, Position
from vfl.cli import main as cli

OLD = bytes(range(16))  # the name, and the nonce, that is used again and again
NOBODY = np.zeros(0, np.int32)


def same_nonce(others: Sequence[Channel], own: bytes, marks: Sequence[Position], nonce: bytes) -> resume.Met:
    """A guest whose own nonce is always the same, with everything else as prescribed."""
    return HONEST["decide"](others, b"", [], OLD)


def same_name(others: Sequence[Channel], own: bytes, marks: Sequence[Position], nonce: bytes) -> resume.Met:
    """A guest that gives every run the same name."""
    told = nonce + b"".join(channel.recv(resume.Standing).nonce for channel in others)
    for channel in others:
        channel.send(resume.Agreed(OLD, *START, told, NOBODY))
    return resume.Met(OLD, START)


def any_name(
    guest: Channel, own: bytes, marks: Sequence[Position], nonce: bytes, everyone: Sequence[str]
) -> resume.Met:
    """A host that lets the guest alone name a run, as earlier releases did."""
    guest.send(resume.Standing(own, NOBODY, NOBODY, nonce))
    return resume.Met(guest.recv(resume.Agreed).run, START)


HONEST: dict[str, Callable[..., resume.Met]] = {"decide": resume.decide, "follow": resume.follow}
HOW: dict[str, tuple[str, Any]] = {
    "same-nonce": ("decide", same_nonce),
    "same-name": ("decide", same_name),
    "any-name": ("follow", any_name),
}

if __name__ == "__main__":
    how, *words = sys.argv[1:]
    setattr(resume, *HOW[how])
    sys.argv = ["vfl", "align", "--progress", "none", "--connect-timeout", "20", *words]
    cli.main()
