"""What runs in a worker process: one `Cell`, which an engine (ray.py, dask.py) places there.

It reads the party's key from the party's own file on that machine, and executes sealed calls
(protocols/workers).  Nothing else of ours runs there.
"""

from __future__ import annotations

import hmac
import json
import os
import platform
from pathlib import Path
from typing import Any, cast

from protocols.workers.calls import State
from protocols.workers.run import execute
from protocols.workers.seal import Seal
from protocols.workers.table import OPERATIONS
from vfl.compute.memory import give_back, memory_left
from vfl.compute.reading import read_ids
from vfl.version import __version__

THREADS = "RAYON_NUM_THREADS"
TABLE = OPERATIONS | {"read_ids": read_ids}  # all that a worker knows
FAULT = b"fault"  # in place of a sealed answer, which is longer
GREETING = b"vfl worker greeting"


class Cell:
    """One worker of one party.  Printing it shows no key, and it cannot be pickled."""

    def __init__(self, worker: int, key_file: str) -> None:
        os.environ[THREADS] = "1"  # before the core starts its threads: a worker is one of many on its machine
        give_back()
        self._worker, self._key_file = worker, Path(key_file)
        self._run, self._state = b"", cast("State | None", None)

    def __repr__(self) -> str:
        return f"<Cell of worker {self._worker}>"

    def __reduce__(self) -> Any:
        raise TypeError("a worker is not pickled")

    def hello(self, nonce: bytes) -> bytes:
        """Who this worker is: its release, its machine, the memory left there, and a proof that it has the party's
        key."""
        try:
            proof = proof_of(read_key(self._key_file), nonce).hex()
        except (OSError, ValueError):
            proof = ""
        machine = platform.node()
        return json.dumps(
            {"version": __version__, "machine": machine, "memory": memory_left(), "pid": os.getpid(), "proof": proof}
        ).encode()

    def call(self, run: bytes, operation: str, arguments: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """What `execute` returns; what it stores lasts as long as calls are of one run.  An exception becomes an
        answer: its type alone, so that no engine carries or logs its text."""
        try:
            if self._state is None or run != self._run:
                self._run, self._state = run, State(self._worker, Seal(read_key(self._key_file), run), self._state)
            return execute(self._state, operation, tuple(map(bytes, arguments)), TABLE)
        except Exception as error:
            return FAULT, type(error).__name__.encode()


def proof_of(key: bytes, nonce: bytes) -> bytes:
    """What only who has the key can say of a nonce."""
    return hmac.digest(hmac.digest(key, GREETING, "sha256"), nonce, "sha256")


def read_key(file: Path) -> bytes:
    """32 bytes from 64 hexadecimal digits.  Raises OSError, ValueError, which hold no digit."""
    text = file.read_text(encoding="ascii").strip()
    if len(text) != 64 or not set(text) <= set("0123456789abcdefABCDEF"):
        raise ValueError("not 64 hexadecimal digits")
    return bytes.fromhex(text)
