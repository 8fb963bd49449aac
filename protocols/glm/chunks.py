"""The loop over the iterations of a training: one by one, or in chunks whose iterations are prepared together.

A chunk is one step of the run (protocols/session.py): a party that stops within it resumes from its beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from protocols.glm import preparation
from protocols.glm.links import Link
from protocols.glm.links_on_shares import on_shares
from protocols.glm.plan import Plan, Step
from protocols.glm.preparation import Pad, Pads
from protocols.glm.progress import Progress
from protocols.glm.slots import LIFT, Slots
from protocols.session import Session

Prepare = Callable[[Slots, Sequence[Step], bytes], list[Pads]]  # the pads of each batch of a chunk


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


def iterate(
    session: Session, plan: Plan, progress: Progress, chunks: Sequence[Slots], prepare: Prepare, model_id: bytes
) -> Iterator[tuple[Step, Ready | None]]:
    """The steps of a training, and what is ready for each: nothing where no chunks are prepared."""
    steps = plan.steps()
    if not chunks:
        for planned in session.steps("train", steps, progress, progress.is_over):
            yield planned, None
        return
    parts, first = list[tuple[Slots, list[Step]]](), 0
    for slots in chunks:
        parts.append((slots, steps[first : first + slots.passes * plan.batches]))
        first += slots.passes * plan.batches
    for slots, part in session.steps("train", parts, progress, progress.is_over, size=lambda one: len(one[1])):
        name = preparation.begin(session, model_id)
        pads = prepare(slots, part[: plan.batches], name)
        for k, planned in enumerate(part):
            if progress.is_over():
                break
            session.observer.step("train", planned.number, len(steps))
            yield planned, Ready(slots, pads[k % plan.batches].spend(k // plan.batches), name)
