"""Several small federations at the same time, each in a process of its own that has a part of the trials.

Most of a trial's time is waiting: for connections, for a peer that comes back.  Every trial has all of its federation's
processes and starts as the first one did, so it does not matter which federation makes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import reduce
from typing import IO, Any

from protocols.errors import LocalProtocolError, VFLError
from vfl.testing.chaos.kill import Trials, Undisturbed, shared_kills


def kills(model: str, *, every: int, instants: int, seed: int, jobs: int = 1) -> Iterator[Undisturbed | Trials]:
    """First the undisturbed run, then what came of the kills of each party, of `jobs` federations together.

    Raises LocalProtocolError where one of them cannot run its trials, or has other messages than the others."""
    asked: dict[str, Any] = {"every": every, "instants": instants, "seed": seed}
    told = [_forked(model, asked | {"number": number, "of": jobs}) for number in range(jobs)]
    with contextlib.ExitStack() as stack:  # what still works when its pipe is closed ends with its next result
        for pipe in told:
            stack.enter_context(pipe)
        whole = [Undisturbed(**_next(pipe)) for pipe in told]
        if any(one.messages != whole[0].messages for one in whole):
            raise LocalProtocolError("undisturbed runs differ in their messages", remedy="Report this")
        yield Undisturbed(max(one.seconds for one in whole), whole[0].messages)
        for _ in whole[0].messages:
            yield reduce(Trials.with_those_of, [Trials(**_next(pipe)) for pipe in told])


def _forked(model: str, asked: dict[str, Any]) -> IO[str]:
    """The lines of a process of its own without threads: what `shared_kills` yields, or an error."""
    read, write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os.close(write)
        return os.fdopen(read, encoding="utf-8")
    os.close(read)
    code = 1
    try:
        with os.fdopen(write, "w", encoding="utf-8") as lines:
            try:
                for found in shared_kills(model, **asked):
                    _tell(lines, asdict(found))
            except VFLError as error:
                _tell(lines, {"error": error.what})
        code = 0
    finally:
        os._exit(code)


def _tell(lines: IO[str], found: dict[str, Any]) -> None:
    lines.write(json.dumps(found) + "\n")
    lines.flush()


def _next(pipe: IO[str]) -> dict[str, Any]:
    line = pipe.readline()
    found: dict[str, Any] = json.loads(line) if line else {"error": "a process with trials died"}
    if "error" in found:
        raise LocalProtocolError(found["error"], remedy="Report this")
    return found
