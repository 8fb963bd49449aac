"""What members and aggregator run: setup, then sums until the course is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from protocols.averaging import secure_sum, setup
from protocols.averaging.cohorts import Terms
from protocols.averaging.lists import OtherRuns
from protocols.averaging.masks import Words
from protocols.averaging.secure_sum_aggregator import Aggregator, add_up
from protocols.averaging.setup import Identities, Signs
from protocols.errors import DataError, PlaintextOverflow, VFLError
from protocols.session import Session
from vfl.models.averaging.course import SCALE, Course, limbs
from vfl.models.averaging.families import Floats
from vfl.models.averaging.held_out import HeldOut
from vfl.models.averaging.local import Rows, trained
from vfl.models.averaging.private import Noise
from vfl.models.averaging.private_course import PrivateCourse
from vfl.models.averaging.spec import Averaging

PHASE = "averaging"


def aggregator(
    session: Session,
    spec: Averaging,
    identities: Identities,
    columns: int,
    patience: float,
    noise: Noise | None = None,
    *,
    measures: Sequence[str] = (),
    other_runs: OtherRuns | None = None,
    left: dict[str, VFLError] | None = None,
) -> Course:
    """The aggregator's side: adds up, and learns the model as members do.  patience: seconds for each step of a turn;
    measures: of the models on held-out rows, whose means over members are opened at the end, without noise;
    other_runs, left: as of `Aggregator`.  Raises TooFewMembers."""
    terms = spec.terms(session.roles.members)
    course = _course(spec, terms, columns, noise, measures)
    with session.phase(PHASE):
        agreed = setup.aggregator(session, terms, identities)
        side = Aggregator(session.me, terms, agreed, identities, other_runs=other_runs, left=left)
        while course.due is not None:
            session.observer.step(PHASE, len(course.rounds), spec.rounds)
            course.opened(add_up(session, side, course.length, patience))
        session.observer.step(PHASE, spec.rounds, spec.rounds)
    return course


def member(
    session: Session,
    spec: Averaging,
    identities: Identities,
    identity: Signs,
    rows: Rows,
    noise: Noise | None = None,
    *,
    measures: Sequence[str] = (),
    held_out: HeldOut | None = None,
    other_runs: OtherRuns | None = None,
) -> Course:
    """A member's side.  measures: as of `aggregator`, by the rows that are held_out.  Raises DataError,
    PlaintextOverflow."""
    terms = spec.terms(session.roles.members)
    if len(rows.y) > spec.max_rows:
        raise DataError(
            f"{session.me} has more rows than max_rows = {spec.max_rows}",
            remedy="Agree on a larger max_rows",
            party=session.me,
        )
    own = _own(session, _course(spec, terms, rows.x.shape[1], noise, measures), rows, held_out)
    me, sums = session.me, session.roles.arbiter
    with session.phase(PHASE):
        agreed, keys = setup.member(session, terms, identities, identity)
        side = secure_sum.Member(
            me, sums, terms, agreed, identities, keys, session.seed, own.numbers, own.due, other_runs
        )
        secure_sum.take_part(session, side, own.opened)
    return own.course


def _course(spec: Averaging, terms: Terms, columns: int, noise: Noise | None, measures: Sequence[str]) -> Course:
    if noise is None:
        return Course(spec, terms, columns, tuple(measures))
    assert not measures  # they would be opened without noise
    return PrivateCourse(spec, terms, columns, noise=noise)


def _own(session: Session, course: Course, rows: Rows, held_out: HeldOut | None) -> Own:
    if not isinstance(course, PrivateCourse):
        return Own(session, course, rows, held_out)
    from vfl.models.averaging.private_member import PrivateOwn  # on use: it imports this module

    return PrivateOwn(session, course, rows)


@dataclass(repr=False)
class Own:
    """A member's rows and what it keeps from round to round."""

    session: Session
    course: Course
    rows: Rows
    held_out: HeldOut | None = None
    _due: Words | None = None  # the same numbers for every turn that tries to open the same sum
    _rest: Floats = field(default_factory=lambda: np.zeros(0))  # what rounding cut off from earlier updates
    _next_rest: Floats = field(default_factory=lambda: np.zeros(0))

    def numbers(self, turn: int) -> Words:
        """This member's numbers for the sum that is due."""
        if self._due is None:
            course = self.course
            self.session.observer.step(PHASE, min(course.number, course.spec.rounds), course.spec.rounds)
            due = {"scale": self._scale, "update": self._update}.get(course.due or "scale", self._measures)
            self._due = due()
        return self._due

    def due(self) -> int:
        """How many numbers that are."""
        return self.course.length

    def opened(self, found: secure_sum.Sum) -> bool:
        """Takes a sum; returns whether another one follows."""
        if self.course.due == "update" and self._due is not None and self.session.me in found.survivors:
            self._rest = self._next_rest
        self._due = None
        return self.course.opened(found)

    @property
    def _scaled(self) -> tuple[Floats, Floats]:
        scaling = self.course.scaling
        assert scaling is not None
        return scaling.columns(self.rows.x), scaling.label(self.rows.y)

    def _scale(self) -> Words:
        every = np.column_stack([self.rows.x, self.rows.y])
        sums = [*every.sum(axis=0), *(every**2).sum(axis=0)]
        large = [at % every.shape[1] for at, one in enumerate(sums) if not abs(one) < 2.0**80]
        if large:
            name = f"column '{self.rows.names[large[0]]}'" if self.rows.names else f"column {large[0] + 1}"
            raise DataError(
                f"{self.session.me}: {name} is too large to be standardised",
                remedy="Give its unit another size, such as thousands or millions",
                party=self.session.me,
            )
        numbers = [round(float(one) * 2**SCALE) for one in sums]
        terms, seed = self.course.terms, self.session.seed("averaging carries")
        return limbs([*numbers, len(self.rows.y)], terms.word_bits, len(terms.members), seed)

    def _update(self) -> Words:
        course, weight = self.course, len(self.rows.y)
        rest = self._rest if len(self._rest) else np.zeros(course.family.size)
        steps, self._next_rest = self._quantised(self._trained() - course.weights + rest)
        signed = np.append(steps * weight, weight)
        return signed.astype(np.int64).view(np.uint64).astype(f"<u{course.terms.word_bits // 8}")

    def _measures(self) -> Words:
        """Of the models on the rows held out, or how many there are; nothing where this member has none."""
        course = self.course
        found, better = ({}, False) if self.held_out is None else self.held_out.compared(course)
        numbers = course.numbers_of(found, better=better)
        terms, seed = course.terms, self.session.seed("averaging measures")
        return limbs(numbers, terms.word_bits, len(terms.members), seed)

    def _trained(self) -> Floats:
        """The weights after local training from the common ones."""
        course, place = self.course, self.course.terms.members.index(self.session.me)
        return trained(course.spec, course.family, course.weights, *self._scaled, course.number, place)

    def _quantised(self, change: Floats) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Floats]:
        """An update in units, and what rounding and clip cut off."""
        spec, unit = self.course.spec, self.course.unit
        most = spec.largest
        if not np.isfinite(change).all() or (spec.update_bits is None and (np.abs(change) > most).any()):
            raise PlaintextOverflow(
                f"{self.session.me}: local training moved a weight by more than {most:g}, or to no number",
                remedy="Choose a smaller learning_rate, or fewer local_epochs",
                party=self.session.me,
            )
        steps = np.rint(np.clip(change, -most, most) / unit).astype(np.int64)
        return steps, (change - steps * unit) * (spec.update_bits is not None)
