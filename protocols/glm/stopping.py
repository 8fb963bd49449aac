"""When training ends, if the job asks for it: every few iterations all parties learn how the loss compares with the
lowest so far, and nobody learns the loss.

Source: an improvement below a tolerance ends training as in scikit-learn's SGDClassifier; momentum restarts where the
objective rises (function scheme of O'Donoghue and Candes, Found. Comput. Math. 15, 2015), here from the better of two
points.  A factor of random length hides a size and keeps its sign (signs.py).
Adversary: honest but curious; what a party that deviates reads is in docs/threat-model.md.  The loss is of the training
rows, and the penalty with it (the objective), or of rows held out for this (`validation`).

 every `every` iterations, 100 times at most
        host P                                         guest                                        arbiter (sk; holds every b_P)
  1                                                    z_G  <----- loss_predictors.py ----------->  z_A, shares of z = X w of the rows
        of the objective only
            <-------------------------------------------------------------------------------------  WeightShare [[b_P]], to each P alone
        WeightSquares [[2 a.b_P + a.a]] + masks that cancel,
        [[N_P]], re-randomised  ---------------------> [[q]], [[N]] = their sums, and its own; N_P random multiples of b_P (signs.py)
  2                                                    S_G  <----- losses.py, on shares of z ----->  S_A, S_G + S_A = sum of losses
                                                                  <--------------------------------  LossShare [[S_A]], [[sum of b.b]]
  3                                                    [[L]] = ([[S]] + alpha / 2 [[sum of w.w]]) / weight of all rows,
                                                       which it keeps where it is the lowest so far, [[L_0]], [[N_0]]
                                                       V = L_0 - L - tol and L_0 - L - 1 unit; not of the first loss
                                                       LossSigns [[r V + t (N_0 - N) + s]]  ------>  of both: opens them, whose signs are V's
  4            <---------------------------------------------------------------------------------- Verdict, to all data parties

Who learns what: all parties which of three cases it is (lower by tol; lower by less; not lower), and so after how many
iterations training ended; the arbiter besides hardly anything of the differences' size.
The verdict is in progress.py.  Weights are revealed after at least `every` iterations, and at least two differences.
Cost: predictors of the rows, prepared several at once where iterations are; a look-up of two curves in the clear; of the
objective one encryption for each weight; a few products with long integers.  Error: see losses.py.
"""  # noqa: E501

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.glm import loss_predictors, losses, predictors
from protocols.glm.block import Block, Share, Standardised
from protocols.glm.chunks import Ready
from protocols.glm.links import Link, Weighted
from protocols.glm.pair_masks import PairMasks
from protocols.glm.plan import SIGMA, WEIGHT, WIDE, Plan, Step
from protocols.glm.progress import Comparing, Judging, Progress, Stopping
from protocols.glm.signs import blinded, multiple_bits, multiples, spend
from protocols.group_size import check_rows
from protocols.message import REVEALED, SEALED, Message
from protocols.parts import ONE
from protocols.session import Session

SCALE = 24  # bits of the factor that makes a mean of a sum
MEAN = 40  # |mean loss| < 2^MEAN
MOST_ROWS = 1 << 40
MORE_ROWS = "Raise validation_fraction, use more rows, or leave early_stopping out"


class WeightSquares(
    Message,
    disclosure=SEALED,
    learns="nothing: a part of the sum of the sender's squared weights, and a random number, encrypted",
):
    part: CipherVec  # (2,)


class LossShare(
    Message,
    disclosure=SEALED,
    learns="nothing: the arbiter's parts of the sum of the rows' losses and of the squared weights, encrypted",
):
    share: CipherVec  # (1, and 1 for the weights,)


class LossSigns(
    Message,
    disclosure=REVEALED,
    permit="loss-verdict-to-parties",
    learns=(
        "whether the loss of the rows that decide when training ends is lower than the lowest so far by tol, and "
        "whether it is lower at all; by how much is hidden by factors of random length"
    ),
):
    values: CipherVec  # (2,)


class Verdict(
    Message,
    disclosure=REVEALED,
    permit="loss-verdict-to-parties",
    learns="whether the loss is lower than the lowest so far, and by tol or less, and whether training ends",
):
    code: int


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
        held_out: Standardised | None,
    ) -> Look | None:
        """block: of the rows that are trained on; held_out (m, d).  Raises TooFewHeldOut where too few rows
        would decide when training ends."""
        if stopping is None:
            return None
        if not stopping.validation:
            return cls(stopping, plan, link, block)
        check_rows(0 if held_out is None else len(held_out), session.me, MORE_ROWS)
        assert held_out is not None
        return cls(stopping, plan, link, block.at(held_out, session.keep))

    def due(self, step: Step) -> bool:
        """Whether the loss is evaluated when this iteration is over."""
        return self.stopping.due(step)

    def multiple(self, key: EncryptionKey) -> int:
        """The length of the random multiples of what the arbiter encrypts."""
        return multiple_bits(key, value_bits(self.plan), 2 * self.plan.share_bits + WIDE)


def guest(
    session: Session,
    look: Look,
    progress: Comparing,
    step: Step,
    y: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    ready: Ready | None,
) -> None:
    """Evaluates the loss of the rows, y (m,) and weights (m,) or None, at the guest's share of the point after `step`,
    and follows the verdict."""
    loss = evaluated(session, look, progress.shares[session.me], y, weights, ready)  # 1, 2
    if progress.lowest is not None:
        first, by = np.arange(1), progress.lowest - loss
        value, noise, multiple = by.take(first), by.take(first + 1), look.multiple(by.key)
        least = [round(look.stopping.tol * 2.0 ** mean_bits(look.plan)), 1]
        signs = [
            blinded(session, value.add_plain(PlainVec.from_ints([-one])), noise, value_bits(look.plan), multiple, what)
            for one, what in zip(least, ("improvement", "descent"), strict=True)
        ]
        values = signs[0].concat(signs[1])
        spend(session, progress.evaluation("loss", step))
        session.arbiter.send(LossSigns(values.rerandomise(session.seed("loss signs", values.digest()))))  # 3
    progress.judged(receive_verdict(session, progress, step), loss, step)  # 4


def evaluated(
    session: Session,
    look: Look,
    share: Share,
    y: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    ready: Ready | None,
) -> CipherVec:
    """Steps 1 and 2 at the guest: [[L]], in units of 2^-mean_bits, and [[N]], (2,), not fresh."""
    heaviest, penalised = 1.0 if weights is None else float(weights.max()), not look.stopping.validation
    z = loss_predictors.guest(session, look.block, share, ready)
    first, second = np.arange(1), np.arange(1, 2)
    squares, noise, theirs = None, list[CipherVec](), list[CipherVec]()
    if penalised:
        theirs.append(predictors.receive_share(session, look.block.width))
        squares = squares_of(theirs[0], share.point, look.block.penalised)
        for channel in session.hosts:
            part = channel.recv(WeightSquares).part
            check_lengths(channel.peer, 2, part)
            noise.append(part.take(second))
            squares = part.take(first) if squares is None else squares + part.take(first)
    own = losses.of(look.link).guest(session, z, y, None if weights is None else weights / heaviest)
    held = session.arbiter.recv(LossShare).share
    check_lengths(session.roles.arbiter, 1 + penalised, held)
    total = len(y) if weights is None else float((weights / heaviest).sum())
    rate = PlainVec.from_ints([round(2.0 ** (look.plan.rows_log2 + SCALE) / total)])
    mean = held.take(first).add_plain(own).mul_plain(rate)
    noise.append(multiples(session, [*theirs, held], look.multiple(held.key), "loss"))
    random = reduce(operator.add, noise)
    if squares is None:
        return mean.concat(random)
    a_row = look.plan.penalty.a_row(len(y)) * len(y) / 2 / (total * heaviest)
    factor = a_row * 2.0 ** (mean_bits(look.plan) - 2 * WEIGHT)
    mean = mean + (squares + held.take(second)).mul_plain(PlainVec.from_ints([round(factor)]))
    return mean.concat(random)


def host(
    session: Session, look: Look, progress: Progress, step: Step, masks: PairMasks, use: int, ready: Ready | None
) -> None:
    """The same at a host; masks, use: as in training, but separate ones for losses and squares."""
    share, apart, penalised = progress.shares[session.me], masks.apart("loss"), not look.stopping.validation
    loss_predictors.host(session, look.block, share, apart, use, ready)  # 1
    if penalised:
        theirs = predictors.receive_share(session, look.block.width)
        squares = squares_of(theirs, share.point, look.block.penalised)
        assert squares is not None
        squares = squares.add_plain(masks.apart("squares").integers(use, ONE, 2 * look.plan.share_bits + SIGMA))
        squares = squares.concat(multiples(session, [theirs], look.multiple(theirs.key), "loss"))
        session.guest.send(WeightSquares(squares.rerandomise(session.seed("weight squares", squares.digest()))))
    losses.of(look.link).deal(session, len(look.block), weighted=isinstance(look.link, Weighted))  # 2
    progress.follow(receive_verdict(session, progress, step), step)  # 4


def arbiter(
    session: Session,
    key: DecryptionKey,
    plan: Plan,
    link: Link,
    progress: Judging,
    step: Step,
    penalised: Mapping[str, int],
    ready: Ready | None,
) -> None:
    """The same at the arbiter, which opens the signs; penalised: how many weights of each party the penalty is of."""
    assert progress.stopping is not None
    z = loss_predictors.arbiter(session, key, progress.shares, rows_of(plan, progress.stopping), ready)  # 1
    if not progress.stopping.validation:
        predictors.serve(session, key, progress.shares)
    held, beyond = losses.of(link).arbiter(session, z, weighted=isinstance(link, Weighted))  # 2
    if not progress.stopping.validation:
        progress.beyond = beyond
        squared = sum(
            v * v for party, share in progress.shares.items() for v in share.point.to_ints()[: penalised[party]]
        )
        held = held.concat(PlainVec.from_ints([squared]))
    session.guest.send(LossShare(key.encrypt(held, session.seed("loss share", held.to_bytes()))))
    improved = lower = True
    if progress.best:
        values = session.guest.recv(LossSigns).values  # 3
        check_lengths(session.roles.guest, 2, values)
        spend(session, progress.evaluation("loss", step))
        improved, lower = (value >= 0 for value in key.open(values, key.public.plain_bits).to_ints())
    verdict = Verdict(progress.judge(improved, lower, step))
    broadcast([session.channels[p] for p in session.roles.data_parties], verdict)  # 4


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


def rows_of(plan: Plan, stopping: Stopping | None) -> tuple[int, int]:
    """The fewest and the most rows of an evaluation."""
    return (1, MOST_ROWS) if stopping is not None and stopping.validation else plan.rows


def mean_bits(plan: Plan) -> int:
    """Fractional bits of a loss that is compared."""
    return losses.UNIT + plan.rows_log2 + SCALE


def value_bits(plan: Plan) -> int:
    """|difference of two losses| < 2^value_bits."""
    return mean_bits(plan) + MEAN + 1


def receive_verdict(session: Session, progress: Progress, step: Step) -> int:
    """The verdict after this step.  Raises RemoteProtocolError for one that there cannot be."""
    code = session.arbiter.recv(Verdict).code
    if code not in progress.possible(step):
        raise RemoteProtocolError(
            f"{session.roles.arbiter} sent a verdict that there is not here", party=session.roles.arbiter
        )
    return code
