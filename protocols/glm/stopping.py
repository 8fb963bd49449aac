"""When training ends, if the job asks for it: every few iterations only the arbiter learns the mean loss, and it tells
the others how to continue.

Source: an improvement below a tolerance ends training as in scikit-learn's SGDClassifier; momentum restarts where the
objective rises (function scheme of O'Donoghue and Candes, Found. Comput. Math. 15, 2015), here from the better of two
points.
Adversary: honest but curious.  The loss is of the training rows, and the penalty with it (the objective), or of rows
held out for this (`validation`).

 every `every` iterations
        host P                                         guest                                        arbiter (sk; holds every b_P)
  1            <----------------------------------------------------------------------------------  WeightShare [[b_P]], to each P alone
        Predictor [[X_P w_P]] of the rows, masked, as in training.py  ->  [[z]]
        WeightSquares [[2 a.b_P + a.a]] + masks that cancel,
        re-randomised; of the objective only  -------> [[q]] = their sum, and its own
  2                                                    its part of the sum of losses (losses.py)  ->  its part of it
                                                                  <--------------------------------  LossShare [[its part]], [[sum of b.b]]
  3                                                    [[L]] = ([[sum of losses]] + alpha / 2 [[sum of w.w]]) / weight of all rows
                                                       + uniform noise below its grid, re-randomised
                                                       MeanLoss  ----------------------------------> opens L, rounded at random to 2^-GRID
  4            <---------------------------------------------------------------------------------- Verdict, to all data parties

Verdict.  L is below the best so far by `tol` or more: continue.  Otherwise the better of this point and the best so far
is taken, and momentum restarts from there; if it had just restarted, training ends there.  So weights are revealed
after at least `every` iterations, and the loss is opened at least three times.
Who learns what: the arbiter the mean loss at a few points; all parties whether it improved by `tol`, and so after how
many iterations training ended; nothing else.
Cost: an iteration without its gradients, over the rows whose loss is evaluated.
Error: of the rows' losses see losses.py; the mean is rounded, at random, to a multiple of 2^-GRID.
"""  # noqa: E501

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from protocols import row_blocks
from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import CipherVec, DecryptionKey
from protocols.codec import check_lengths
from protocols.errors import DataError, RemoteProtocolError
from protocols.glm import predictors, sealed_link
from protocols.glm.block import Block, Share
from protocols.glm.links import Link, Weighted
from protocols.glm.losses import Measured
from protocols.glm.pair_masks import PairMasks
from protocols.glm.plan import SIGMA, WEIGHT, Plan, Step, nesterov
from protocols.message import REVEALED, SEALED, Message
from protocols.parts import ONE, parts
from protocols.recovery.checkpoint import Arrays
from protocols.session import Session

GRID = 20  # fractional bits of the mean loss that is opened
SCALE = 24  # bits of the factor that makes a mean of a sum
MEAN = 40  # |mean loss| < 2^MEAN
MOST_ROWS = 1 << 40
LEAST_HELD_OUT = 30
# how a training ended: by the limit of its iterations; its loss did not improve; by the limit, before its weights
# settled; its weights settled; its predictors left the link's table; all planned iterations, unwatched
End = Literal["limit", "loss", "unsettled", "settled", "edge", "planned"]
ENDS: tuple[End, ...] = get_args(End)
GO_ON, ANEW_HERE, ANEW_AT_BEST, END_HERE, END_AT_BEST = range(5)


@dataclass(frozen=True)
class Stopping:
    """Training ends when the loss has not improved by `tol` in `every` iterations.  validation: it is that of rows held
    out, not of those trained on."""

    tol: float
    every: int
    validation: bool = False

    def due(self, step: Step) -> bool:
        """Whether the loss is opened when this iteration is over."""
        return (step.number + 1) % self.every == 0


class WeightSquares(
    Message, disclosure=SEALED, learns="nothing: a part of the sum of the sender's squared weights, encrypted"
):
    part: CipherVec  # (1,)


class LossShare(
    Message,
    disclosure=SEALED,
    learns="nothing: the arbiter's parts of the rows' losses and of the squared weights, encrypted",
    in_blocks=True,
):
    share: CipherVec  # (1 or n, and 1 for the weights,)


class MeanLoss(
    Message,
    disclosure=REVEALED,
    permit="loss-to-arbiter",
    learns=(
        "the mean loss, rounded to about a millionth, of the rows that decide when training ends; it includes the "
        "penalty if these are the training rows"
    ),
):
    mean: CipherVec  # (1,)


class Verdict(
    Message,
    disclosure=REVEALED,
    permit="loss-to-arbiter",
    learns="whether the loss improved by tol since it was last opened, and whether training ends",
):
    code: int


@dataclass
class Progress:
    """Shares of weights by their owner's name, and what decides the next step: what an iteration changes, and what a
    checkpoint stores."""

    shares: dict[str, Share]
    stopping: Stopping | None = None
    best: dict[str, PlainVec] = field(default_factory=dict)  # the shares where the loss was lowest, after it was opened
    anew: int = 0  # the number of the step with which momentum began
    over: bool = False
    settles: bool = False  # a verdict on the weights may end training (settling.py)
    ends: End = "limit"  # how it ends, if this step is its last
    earlier: dict[int, dict[str, PlainVec]] = field(default_factory=dict)  # shares, by the iterations made

    def __post_init__(self) -> None:
        if self.settles:
            self._keep(0)

    def step(self, planned: Step) -> Step:
        """The factors of this iteration: the plan's, or Nesterov's since momentum began."""
        if self.stopping is None:
            return planned
        since = planned.number - self.anew
        return replace(nesterov(since + 1)[since], number=planned.number, last=planned.last)

    def follow(self, code: int, step: Step) -> None:
        """What a verdict means, after this step."""
        if code in (ANEW_AT_BEST, END_AT_BEST):
            for party, share in self.shares.items():
                share.point = self.best[party]
        self.best = {party: share.point for party, share in self.shares.items()}
        if code != GO_ON:
            self.anew = step.number + 1
            for share in self.shares.values():
                share.trail = share.point
        self.over = code in (END_HERE, END_AT_BEST)
        self.ends = "loss" if self.over else self.ends

    def conclude(self, end: End | None, step: Step) -> None:
        """What a verdict on the weights means, after this step."""
        if end is None:
            self._keep(step.number + 1)
        else:
            self.over, self.ends, self.anew = True, end, step.number + 1

    def _keep(self, made: int) -> None:
        """Remembers the shares after this iteration, and forgets those before half of it but the last."""
        least = max((k for k in self.earlier if 2 * k <= made), default=0)
        self.earlier = {k: shares for k, shares in self.earlier.items() if k >= least}
        self.earlier[made] = {party: share.point for party, share in self.shares.items()}

    @property
    def ended(self) -> End:
        """How training ended."""
        if self.settles:
            return "unsettled" if self.ends == "limit" else self.ends
        return "planned" if self.stopping is None else self.ends

    def is_over(self) -> bool:
        """Whether the step before was the last."""
        return self.over

    def passes(self, planned: int) -> int:
        """How many were made of those planned, when training has ended."""
        return self.anew if self.over else planned

    def save(self) -> Arrays:
        parts = {
            f"{p} {name}": part
            for p, s in self.shares.items()
            for name, part in (("point", s.point), ("trail", s.trail))
        }
        parts |= {f"{party} best": point for party, point in self.best.items()}
        parts |= {f"{p} after {k}": point for k, shares in self.earlier.items() for p, point in shares.items()}
        arrays = {name: np.frombuffer(part.to_bytes(), np.uint8) for name, part in parts.items()}
        watched = self.settles or self.stopping is not None
        return arrays | {"stopping": np.array(self._numbers(), np.int64)} if watched else arrays

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        def part(name: str) -> PlainVec:
            return PlainVec.from_bytes(saved[name].tobytes())

        for party, share in self.shares.items():
            share.point, share.trail = part(f"{party} point"), part(f"{party} trail")
        self.best = {party: part(f"{party} best") for party in self.shares if f"{party} best" in saved}
        if self.settles:
            made = {int(name.rsplit(" ", 1)[1]) for name in saved if " after " in name}
            self.earlier = {k: {party: part(f"{party} after {k}") for party in self.shares} for k in sorted(made)}
        if self.settles or self.stopping is not None:
            self._take(saved["stopping"].tolist())

    def _numbers(self) -> list[int]:
        return [self.anew, int(self.over), ENDS.index(self.ends)]

    def _take(self, numbers: list[int]) -> None:
        self.anew, self.over, self.ends = numbers[0], bool(numbers[1]), ENDS[numbers[2]]


@dataclass
class Judging(Progress):
    """The same at the arbiter, which alone knows the losses, in units of 2^-GRID."""

    lowest: int = 0  # of those opened so far
    beyond: int = 0  # rows beyond the link's knee, when last counted, and at the best point
    best_beyond: int = 0
    near: int = 0  # rows that were near the edge of the link's table since the last verdict on the weights

    def judge(self, loss: int, step: Step) -> int:
        """The verdict on the loss after this step, which is followed."""
        assert self.stopping is not None
        better, code = not self.best or loss < self.lowest, GO_ON
        if self.best and self.lowest - loss < self.stopping.tol * 2**GRID:
            tried = self.anew > 0 and step.number + 1 - self.anew == self.stopping.every
            code = {
                (False, True): ANEW_HERE,
                (False, False): ANEW_AT_BEST,
                (True, True): END_HERE,
                (True, False): END_AT_BEST,
            }[tried, better]
        if better:
            self.lowest, self.best_beyond = loss, self.beyond
        elif code != GO_ON:
            self.beyond = self.best_beyond
        self.follow(code, step)
        return code

    def _numbers(self) -> list[int]:
        return [*super()._numbers(), self.lowest, self.beyond, self.best_beyond, self.near]

    def _take(self, numbers: list[int]) -> None:
        super()._take(numbers)
        self.lowest, self.beyond, self.best_beyond, self.near = numbers[3:]


@dataclass(frozen=True)
class Look:
    """What a data party needs to evaluate the loss: the plan, the link, and its own block of the rows that are
    evaluated."""

    stopping: Stopping
    plan: Plan
    link: Link
    block: Block

    @classmethod
    def of(
        cls,
        session: Session,
        stopping: Stopping | None,
        plan: Plan,
        link: Link,
        block: Block,
        held_out: NDArray[np.float64] | None,
    ) -> Look | None:
        """block: of the rows that are trained on; held_out (m, d).  Raises DataError where too few rows would decide
        when training ends."""
        if stopping is None:
            return None
        if not stopping.validation:
            return cls(stopping, plan, link, block)
        rows = 0 if held_out is None else len(held_out)
        if held_out is None or rows < LEAST_HELD_OUT:
            raise DataError(
                f"{rows} rows are too few to decide when training ends: their loss would reveal too much "
                f"about single rows",
                remedy="Raise validation_fraction, use more rows, or leave early_stopping out",
                party=session.me,
                expected=f"at least {LEAST_HELD_OUT}",
            )
        return cls(stopping, plan, link, block.at(held_out))

    def due(self, step: Step) -> bool:
        """Whether the loss is opened when this iteration is over."""
        return self.stopping.due(step)


def guest(
    session: Session,
    look: Look,
    progress: Progress,
    step: Step,
    y: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
) -> None:
    """Evaluates the loss of the rows, y (m,) and weights (m,) or None, at the guest's share of the point after `step`,
    and follows the verdict."""
    share = progress.shares[session.me]
    heaviest = 1.0 if weights is None else float(weights.max())
    measured, theirs = measure(session, look, share, y, None if weights is None else weights / heaviest)  # 1, 2
    penalised = look.block.penalised
    squares = None
    if not look.stopping.validation:
        squares = squares_of(theirs, share.point, penalised)
        for channel in session.hosts:
            part = channel.recv(WeightSquares).part
            check_lengths(channel.peer, 1, part)
            squares = part if squares is None else squares + part
    losses, held = receive_shares(session, measured, squares is not None)
    total = len(y) if weights is None else float((weights / heaviest).sum())
    mean = losses.mul_plain(PlainVec.from_ints([round(2.0 ** (look.plan.rows_log2 + SCALE) / total)]))
    if squares is not None and held is not None:
        n = len(y)
        factor = (
            look.plan.penalty.a_row(n)
            * n
            / 2
            / (total * heaviest)
            * 2.0 ** (mean_bits(look.plan, look.link) - 2 * WEIGHT)
        )
        mean = mean + (squares + held).mul_plain(PlainVec.from_ints([round(factor)]))
    mean = mean.add_plain(
        session.seed("loss noise", mean.digest()).integers(1, mean_bits(look.plan, look.link) - GRID)
    )  # 3
    session.arbiter.send(MeanLoss(mean.rerandomise(session.seed("mean loss", mean.digest()), to_holder=True)))
    progress.follow(receive_verdict(session), step)  # 4


def measure(
    session: Session, look: Look, share: Share, y: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[Measured, CipherVec]:
    """Steps 1 and 2 at the guest, block after block: its part of the sum of losses, and [[b]] of its own weights."""
    theirs, found = predictors.receive_share(session, look.block.width), list[Measured]()
    for part in parts(len(look.block)):
        z = predictors.guest(session, look.block.take(part.rows), share, theirs, part)
        each = None if weights is None else weights[part.rows]
        found.append(look.link.measure(session, z, y[part.rows], each, part))
        for channel in session.hosts:
            row_blocks.taken(channel, part)
    measured = reduce(operator.add, found)
    sealed_link.tell_edge(session, measured.edges)
    return measured, theirs


def receive_shares(session: Session, measured: Measured, squared: bool) -> tuple[CipherVec, CipherVec | None]:
    """At the guest: the sum of losses (1,) with the arbiter's part, and its part of the squared weights, if there is
    one; neither is fresh."""
    rows, total, square = len(measured.factors), measured.rest, None
    for part in parts(rows + squared):
        held = session.arbiter.recv(LossShare, part).share
        check_lengths(session.roles.arbiter, len(part), held)
        factors = measured.factors[part.rows, np.newaxis]
        if len(factors):
            total = held.take(np.arange(len(factors))).t_matmul(factors) + total
        if len(factors) < len(part):
            square = held.take(np.array([len(factors)]))
        row_blocks.taken(session.arbiter, part)
    return total, square


def host(session: Session, look: Look, progress: Progress, step: Step, masks: PairMasks, use: int) -> None:
    """The same at a host; masks, use: as in training, but separate ones for losses and squares."""
    share = progress.shares[session.me]
    theirs, apart = predictors.receive_share(session, look.block.width), masks.apart("loss")
    for part in parts(len(look.block)):
        row_blocks.pace([session.guest], part)
        predictors.host(session, look.block.take(part.rows), share, theirs, apart, use, part)  # 1
        look.link.deal(session, part)
    if not look.stopping.validation:
        squares = squares_of(theirs, share.point, look.block.penalised)
        assert squares is not None
        squares = squares.add_plain(masks.apart("squares").integers(use, ONE, squares_bits(look.plan)))
        session.guest.send(WeightSquares(squares.rerandomise(session.seed("weight squares", squares.digest()))))  # 2
    progress.follow(receive_verdict(session), step)  # 4


def arbiter(
    session: Session,
    key: DecryptionKey,
    plan: Plan,
    link: Link,
    progress: Judging,
    step: Step,
    penalised: Mapping[str, int],
) -> None:
    """The same at the arbiter, which decides; penalised: how many weights of each party the penalty is of."""
    assert progress.stopping is not None
    validation = progress.stopping.validation
    predictors.serve(session, key, progress.shares)  # 1
    rows = (1, MOST_ROWS) if validation else plan.rows
    held, beyond = link.serve_measure(session, rows, key, each=isinstance(link, Weighted))  # 2
    if not validation:
        progress.beyond = beyond
        squared = sum(
            v * v for party, share in progress.shares.items() for v in share.point.to_ints()[: penalised[party]]
        )
        held = held.concat(PlainVec.from_ints([squared]))
    for part in parts(len(held)):
        block = held.slice(part.first, part.last)
        row_blocks.pace([session.guest], part)
        session.guest.send(LossShare(key.encrypt(block, session.seed("loss share", block.to_bytes()))), part)
    bits = mean_bits(plan, link)
    mean = session.guest.recv(MeanLoss).mean  # 3
    check_lengths(session.roles.guest, 1, mean)
    (loss,) = key.open(mean, bits + MEAN).shift_right(bits - GRID).to_ints()
    broadcast([session.channels[p] for p in session.roles.data_parties], Verdict(progress.judge(loss, step)))  # 4


def squares_of(theirs: CipherVec, mine: PlainVec, penalised: int) -> CipherVec | None:
    """[[2 a.b + a.a]] (1,) over the first weights, which the penalty is of; None where there are none."""
    if not penalised:
        return None
    first = np.arange(penalised)
    mine = mine.take(first)
    return (
        theirs.take(first)
        .mul_plain(mine.scale(2))
        .sum()
        .add_plain(PlainVec.from_ints([sum(a * a for a in mine.to_ints())]))
    )


def squares_bits(plan: Plan) -> int:
    """Bits of a mask that hides a party's sum of squares of shares."""
    return 2 * (plan.mask_bits - plan.shift + 16) + SIGMA


def mean_bits(plan: Plan, link: Link) -> int:
    return link.loss_bits + plan.rows_log2 + SCALE


def receive_verdict(session: Session) -> int:
    code = session.arbiter.recv(Verdict).code
    if code not in range(5):
        raise RemoteProtocolError(f"{session.roles.arbiter} sent an unknown verdict", party=session.roles.arbiter)
    return code
