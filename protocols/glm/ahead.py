"""Prepares iterations before anybody waits for them: a run that only prepares (`vfl prepare`) ends here, and the run
that trains resumes from here.

     every other party                                            guest
     (a run that only prepares; in another one nothing of this is sent)
 1   IterationsAhead: how many, and which pads it has ---------->   as many iterations as all want; of their chunks those that not all have
                                                      <----------  ChunksAhead
 2   for each of these: preparation.py, and the pads go to the disk, under the attempt's name
 3   AheadStored      ------------------------------------------>
                                                      <----------  AllAheadStored: all have left the pads on their disks
     ..... later, when the run trains: each chunk
 4   ChunkNonce with the name of its pads  --------------------->   all have the same, whole and not expired?
                                                      <----------  ChunkNonces: then their name.  All store that these pads are spent, and erase them
     else they are erased too, and the chunk is prepared now (preparation.py)

Who learns what: how many iterations each party wants to prepare, and which stored pads it has.
Adversary: honest but curious.
Attempts: pads serve one attempt.  They are read and checked before step 4, spent on every party's disk before anything
under them leaves, and an attempt that fails leaves none: the next one prepares again.  A party whose folder was restored
from a copy finds others without these pads.  What pads are drawn from is no secret of the run store: it is new, and
gone when they are stored.
"""  # noqa: E501

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.channel import broadcast
from protocols.codec import Int32s
from protocols.errors import RemoteProtocolError
from protocols.glm import attempts
from protocols.glm.chunks import Begin, Chunk, Prepare
from protocols.glm.plan import Plan
from protocols.glm.preparation import Pads
from protocols.glm.stored_pads import arrays_of, bytes_of, pads_of
from protocols.message import PUBLIC, Message
from protocols.randomness import run_seed
from protocols.recovery.checkpoint import Arrays
from protocols.recovery.pad_store import Paused
from protocols.session import Session

MOST_BYTES = 8 << 30  # of stored pads of a run, at one party
NAME = 32  # bytes
MOST_NAMED = 1 << 25  # bytes of names of the chunks of all models
NONE = -1  # a part of the stage that prepared no chunk


class IterationsAhead(
    Message,
    disclosure=PUBLIC,
    learns="for how many iterations the sender wants pads prepared ahead, and which it has stored already",
    most_bytes=MOST_NAMED,
):
    wanted: int
    stored: bytes  # (32,) the name of the pads of each chunk in turn, zeros where it has none


class ChunksAhead(
    Message,
    disclosure=PUBLIC,
    learns="for how many iterations pads are prepared ahead, and for which of them again",
    most_bytes=MOST_NAMED,
):
    iterations: int
    chunks: Int32s


class AheadStored(Message, disclosure=PUBLIC, learns="that the sender has stored the pads"):
    done: bool


class AllAheadStored(Message, disclosure=PUBLIC, learns="that all parties have stored the pads"):
    done: bool


class Ahead:
    """A party's chunks, of all models of a training, and those whose pads were prepared ahead: a stage (`Growing`) of
    every training with chunks, before its first model's.

    chunks: by model; prepare: one; binding: a digest of what this party's pads are of.
    """

    def __init__(
        self,
        session: Session,
        plan: Plan,
        chunks: Sequence[list[Chunk]],
        prepare: Prepare,
        binding: Callable[[], bytes],
        model_id: bytes,
    ) -> None:
        self._session, self._prepare, self._model_id = session, prepare, model_id
        self._binding = functools.cache(binding)
        self._batches, self._models = plan.batches, chunks
        self._chunks = [chunk for model in self._models for chunk in model]
        self._names, self._begun, self._over = dict[int, bytes](), False, False
        self._due: list[Chunk] | None = None  # of this attempt, when it is known
        self._iterations = self._all = 0
        first = self._chunks[0].slots if self._chunks else None
        bits = [] if first is None else [first.z_bits]
        bits += [first.g_bits] if first is not None and session.me == session.roles.arbiter else []
        passes = max(1, sum(chunk.slots.passes for chunk in self._chunks))
        evaluations = sum(len(chunk.evaluated) for chunk in self._chunks)
        each = len(chunks) * bytes_of(plan.rows[1], bits)
        self._size = -(-each * (passes + evaluations) // passes)  # of an iteration, with its part of evaluations

    @classmethod
    def of(
        cls,
        session: Session,
        plan: Plan,
        chunks: Sequence[list[Chunk]],
        prepare: Prepare,
        binding: Callable[[], bytes],
        model_id: bytes,
    ) -> Ahead:
        """After the stage.  Raises Paused where the run only prepares."""
        found = cls(session, plan, chunks, prepare, binding, model_id)
        if found._chunks:
            session.grow(found)
            if session.ahead is not None:
                raise Paused(found._iterations, trains=not found._over)
        return found

    def model(self, number: int) -> tuple[list[Chunk], Begin]:
        """The chunks of a model, and what begins one."""
        return self._models[number], self.begin

    # -- as a stage

    def over(self) -> bool:
        session = self._session
        return self._begun and (session.ahead is None or self._over or session.course.skips)

    def step(self) -> Arrays:
        if self._session.ahead is None:
            return _part(NONE, b"")
        if self._due is None:
            self._session.course.renew()
            self._due = self._agree(self._session.ahead)
            self._all = len(self._due)
        elif self._due:
            self._session.observer.step("prepare", self._all - len(self._due), self._all)
            chunk = self._due.pop(0)
            attempts.spent(self._session, self._names.get(chunk.number, b""))  # not all have these
            name, _ = attempts.begin(self._session, self._model_id)
            pads = self._drawn(chunk, name)
            if self._session.pads is not None:
                self._session.pads.put(name, self._belongs(chunk), arrays_of(pads))
            return _part(chunk.number, name)
        else:
            self._session.observer.step("prepare", self._all, self._all)
            self._close()
        return _part(NONE, b"")

    def add(self, part: Mapping[str, NDArray[Any]]) -> None:
        self._begun = True
        if (number := int(part["chunk"][0])) != NONE:
            self._names[number] = part["name"].tobytes()

    # -- of the chunks of a training

    def begin(self, chunk: Chunk) -> tuple[bytes, list[Pads]]:
        """The name of a new attempt at a chunk, and its pads: those that all have stored, or new ones."""
        store, name = self._session.pads, self._names.get(chunk.number, b"")
        found = store.get(name, self._belongs(chunk)) if store is not None and name else None
        if found is None:
            attempts.spent(self._session, name)  # whatever is left of it
        attempt, serve = attempts.begin(self._session, self._model_id, b"" if found is None else name)
        if serve and found is not None:
            return attempt, pads_of(found)
        return attempt, self._drawn(chunk, attempt)

    def _drawn(self, chunk: Chunk, name: bytes) -> list[Pads]:
        """From numbers that nothing on the disk tells."""
        return self._prepare(chunk, name + run_seed())

    def _belongs(self, chunk: Chunk) -> bytes:
        facts = repr(
            (chunk.number, chunk.first, chunk.slots, chunk.evaluated, self._batches, len(self._chunks))
        ).encode()
        return hashlib.sha256(b"vfl pads|" + self._model_id + self._binding() + facts).digest()

    def _agree(self, asked: int) -> list[Chunk]:
        """Step 1: the chunks that are prepared now."""
        session, wanted, store = self._session, self._wanted(asked), self._session.pads
        held = {k: name for k, name in self._names.items() if store is not None and store.holds(name)}
        names = b"".join(held.get(chunk.number, bytes(NAME)) for chunk in self._chunks)
        if session.me != session.roles.guest:
            session.guest.send(IterationsAhead(wanted, names))
            told = session.guest.recv(ChunksAhead)
            chosen = set(told.chunks.tolist())
            if not 1 <= told.iterations <= wanted or chosen - {c.number for c in self._chunks}:
                raise RemoteProtocolError(
                    f"{session.roles.guest} prepares other iterations than this party wants", party=session.roles.guest
                )
            self._iterations = told.iterations
            return [chunk for chunk in self._chunks if chunk.number in chosen]
        others = [session.channels[p] for p in session.roles.all if p != session.me]
        same = set(held)
        for channel in others:
            theirs = channel.recv(IterationsAhead)
            if theirs.wanted < 1 or len(theirs.stored) != len(names):
                raise RemoteProtocolError(f"{channel.peer} names impossible pads", party=channel.peer)
            wanted = min(wanted, theirs.wanted)
            same = {k for k in same if theirs.stored[k * NAME : (k + 1) * NAME] == held[k]}
        due = [chunk for chunk in self._chunks if chunk.first < wanted and chunk.number not in same]
        broadcast(others, ChunksAhead(wanted, np.array([chunk.number for chunk in due], dtype=np.int32)))
        self._iterations = wanted
        return due

    def _wanted(self, asked: int) -> int:
        """How many iterations of each model this party wants to prepare, and has room for."""
        last = self._chunks[-1]
        every, room = last.first + last.slots.passes, max(1, MOST_BYTES // self._size)
        return min(asked or every, every, room)

    def _close(self) -> None:
        """Step 3."""
        all_there(self._session)
        self._over = True


def all_there(session: Session) -> None:
    """When it returns, all parties have stored what they prepare, or seen that there is nothing."""
    if session.me == session.roles.guest:
        others = [session.channels[p] for p in session.roles.all if p != session.me]
        for channel in others:
            channel.recv(AheadStored)
        broadcast(others, AllAheadStored(True))
    else:
        session.guest.send(AheadStored(True))
        session.guest.recv(AllAheadStored)


def _part(number: int, name: bytes) -> Arrays:
    return {"chunk": np.array([number], dtype=np.int64), "name": np.frombuffer(name, np.uint8)}
