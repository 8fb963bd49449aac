"""The loop over the iterations of a training: one by one, or in chunks whose iterations are prepared together.

A chunk is one step of the run (protocols/session.py): a party that stops within it resumes from its beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from protocols.glm.links import Link
from protocols.glm.links_on_shares import on_shares
from protocols.glm.plan import Plan, Step
from protocols.glm.preparation import Pad, Pads
from protocols.glm.progress import Progress
from protocols.glm.slots import LIFT, Slots
from protocols.session import Session

Prepare = Callable[[Slots, Sequence[Step], bytes], list[Pads]]  # the pads of each batch of a chunk
Begin = Callable[["Chunk"], tuple[bytes, list[Pads]]]


@dataclass(frozen=True, eq=False)
class Ready:
    """What a party has for one prepared iteration.  name: of the attempt."""

    slots: Slots
    pad: Pad
    name: bytes


def layouts(plan: Plan, link: Link) -> list[Slots]:
    """Those of the chunks of a training.  Raises ConfigError where the key is too small."""
    z_bits = on_shares(link).z_bits(plan.gradient_bits + 1 + LIFT)
    return Slots.of_all(plan.plain_bits, z_bits, plan.gradient_bits, plan.passes)


@dataclass(frozen=True, eq=False)
class Chunk:
    """One chunk of a run.  number: it has no other's, of any model; first: how many iterations of its model come
    before it."""

    number: int
    first: int
    slots: Slots
    steps: list[Step]


def chunks_of(plan: Plan, layouts: Sequence[Slots], model: int) -> list[Chunk]:
    """Those of a model's training."""
    steps, found, first = plan.steps(), list[Chunk](), 0
    for k, slots in enumerate(layouts):
        last = first + slots.passes
        own = steps[first * plan.batches : last * plan.batches]
        found.append(Chunk(model * len(layouts) + k, first, slots, own))
        first = last
    return found


def iterate(
    session: Session, plan: Plan, progress: Progress, chunks: Sequence[Chunk], begin: Begin
) -> Iterator[tuple[Step, Ready | None]]:
    """The steps of a training, and what is ready for each: nothing where no chunks are prepared.  begin: names an
    attempt at a chunk, and has its pads."""
    steps = plan.steps()
    if not chunks:
        for planned in session.steps("train", steps, progress, progress.is_over):
            yield planned, None
        return
    for chunk in session.steps("train", chunks, progress, progress.is_over, size=lambda one: len(one.steps)):
        name, pads = begin(chunk)
        for k, planned in enumerate(chunk.steps):
            if progress.is_over():
                break
            session.observer.step("train", planned.number, len(steps))
            yield planned, Ready(chunk.slots, pads[k % plan.batches].spend(k // plan.batches), name)
