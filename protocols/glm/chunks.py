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
from protocols.glm.progress import Progress, Stopping
from protocols.glm.slots import LIFT, MOST_PADS, Slots
from protocols.session import Session

# the pads of each batch of a chunk, and after them those of its evaluations of a loss, where it has any
Prepare = Callable[["Chunk", bytes], list[Pads]]
Begin = Callable[["Chunk"], tuple[bytes, list[Pads]]]


@dataclass(frozen=True, eq=False)
class Ready:
    """What a party has for one prepared iteration.  name: of the attempt; loss: for the evaluation of the loss after
    it, if there is one."""

    slots: Slots
    pad: Pad
    name: bytes
    loss: Ready | None = None


def layouts(plan: Plan, link: Link, stopping: Stopping | None) -> list[Slots]:
    """Those of the chunks of a training.  They are long where it surely makes all its iterations, and its batches need
    no new order.  Raises ConfigError where the key is too small."""
    shared = on_shares(link)
    z_bits = shared.z_bits(plan.gradient_bits + 1 + LIFT) - shared.digits.below
    whole = plan.sgd is None and stopping is None and not plan.settles
    most = MOST_PADS >> plan.rows_log2 if whole else 0
    step_rows = plan.batch_rows[1]
    return Slots.of_all(plan.plain_bits, z_bits, plan.gradient_bits, plan.passes, shared.digits, most, step_rows)


@dataclass(frozen=True, eq=False)
class Chunk:
    """One chunk of a run.  number: it has no other's, of any model; first: how many iterations of its model come
    before it; evaluated: after which of its steps, by their numbers, the loss is evaluated."""

    number: int
    first: int
    slots: Slots
    steps: list[Step]
    evaluated: tuple[int, ...] = ()

    @property
    def loss_slots(self) -> Slots:
        """The layout of its evaluations, of which there are some."""
        return self.slots.of_predictors(len(self.evaluated))


def of_models(plan: Plan, layouts: Sequence[Slots], models: int, stopping: Stopping | None) -> list[list[Chunk]]:
    """Those of the trainings of a run, by model."""
    return [chunks_of(plan, layouts, model, stopping) for model in range(models)]


def chunks_of(plan: Plan, layouts: Sequence[Slots], model: int, stopping: Stopping | None) -> list[Chunk]:
    """Those of a model's training."""
    steps, found, first = plan.steps(), list[Chunk](), 0
    for k, slots in enumerate(layouts):
        last = first + slots.passes
        own = steps[first * plan.batches : last * plan.batches]
        due = () if stopping is None else tuple(step.number for step in own if stopping.due(step))
        found.append(Chunk(model * len(layouts) + k, first, slots, own, due))
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
        losses = dict[int, Ready]()
        for k, number in enumerate(chunk.evaluated):
            losses[number] = Ready(chunk.loss_slots, pads[plan.batches].spend(k), name)
        for k, planned in enumerate(chunk.steps):
            if progress.is_over():
                break
            session.observer.step("train", planned.number, len(steps))
            yield (
                planned,
                Ready(chunk.slots, pads[k % plan.batches].spend(k // plan.batches), name, losses.get(planned.number)),
            )
