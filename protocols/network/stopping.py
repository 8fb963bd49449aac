"""Early stopping of a network, if the job asks for it: after each epoch guest and arbiter learn whether the loss of rows
held out for this is lower than at the best epoch so far by a tolerance; nobody learns the loss.

     host P                                     guest: y                                arbiter (sk; holds every b_P)
 at the beginning of a chunk of epochs, for all of them: pads of the held-out rows (preparation.py, step 1)
 when an epoch is over
 1   the first layer's sums at these rows       <--- first_layer.py, step 1 ---->
     deals -------------------------------->    activations, further layers: shares of the last layer's sums
 2                                              S_G  <--- losses.py ----------->        S_A, S_G + S_A = the sum of losses
                                                     <---------------------------       HeldOutLoss [[S_A]]
 3                                              [[L]] = [[S_A]] + S_G, N random multiples of S_A (glm/signs.py)
                                                V = L_0 - L - tol (weight of the rows); not after the first epoch
                                                EpochSign [[r V + t (N_0 - N) + s]] --> opens it, whose sign is V's
                                                     <---------------------------       BetterEpoch: what it was
                                                keeps [[L]] in the place of [[L_0]] where it is better
 4             <------------------------------------------------------------------      EpochVerdict, to all data parties
     training continues, or all take their shares after the best epoch (watch.py)

Adversary: honest but curious; what a party that deviates reads is in docs/threat-model.md.
Who learns what: guest and arbiter one bit after each epoch, 100 at most; the arbiter besides hardly anything of the
difference's size (glm/signs.py), how many rows are held out, and that no sum at them is near the edge of a table; hosts
which epoch was best, from which the end of training follows.
The signs of one epoch are opened OPENINGS times at most, over all resumes: guest and arbiter both count them.
Loss: of classes the logarithmic loss; of numbers the squared error, whose order is that of R^2.
Cost per held-out row and epoch: of each unit the predictor of a prepared iteration, without its gradient; look-ups; of
the last layer's sums two curves or one, and one dealt product.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import CipherVec, DecryptionKey
from protocols.codec import check_lengths
from protocols.curves import Curve, softplus
from protocols.errors import RemoteProtocolError
from protocols.glm import losses, preparation
from protocols.glm.block import Block
from protocols.glm.links import IDENTITY
from protocols.glm.links_on_shares import deal_curves
from protocols.glm.losses import LinearLoss, Loss, SealedLoss
from protocols.glm.pair_masks import PairMasks
from protocols.glm.preparation import Pads
from protocols.glm.signs import blinded, multiple_bits, multiples, spend
from protocols.glm.stopping import MEAN, MORE_ROWS, MOST_ROWS
from protocols.group_size import LEAST_ROWS, check_rows, check_weights
from protocols.message import REVEALED, SEALED, Message
from protocols.network import dealt, first_layer, layers
from protocols.network.activations import FRACTION, OUT_RANGE, output
from protocols.network.descent import Descent, Share
from protocols.network.first_layer import UnitPads
from protocols.network.plan import PRODUCT, Plan, Terms
from protocols.network.ring import columns_of
from protocols.network.rows import Layers
from protocols.network.watch import Watch
from protocols.session import Session

SHARE = losses.UNIT + 256  # bits of both parts of a sum of losses, and more


class HeldOutLoss(
    Message,
    disclosure=SEALED,
    learns="nothing: the arbiter's part of the sum of the losses of rows held out for early stopping, encrypted",
):
    share: CipherVec  # (1,)


class EpochSign(
    Message,
    disclosure=REVEALED,
    permit="loss-verdict-to-parties",
    learns=(
        "whether the loss of the rows held out for early stopping is lower than at the best epoch so far by the "
        "tolerance; by how much is hidden by a factor of random length"
    ),
):
    value: CipherVec  # (1,)


class BetterEpoch(
    Message,
    disclosure=REVEALED,
    permit="loss-verdict-to-parties",
    learns=(
        "whether the loss of the rows held out for early stopping is lower than at the best epoch so far by the "
        "tolerance"
    ),
):
    better: bool


class EpochVerdict(
    Message,
    disclosure=REVEALED,
    permit="loss-verdict-to-parties",
    learns="whether training ends, and when it does after which epoch the loss of the held-out rows was best",
):
    best: int  # 0: training continues


@dataclass(frozen=True)
class HeldOut:
    """At the guest, rows that nothing is trained on: x (m, d), y (m,), weights (m,) or None."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    weights: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """What a data party evaluates: its own block of the held-out rows, and at the guest their labels and weights, over
    the heaviest."""

    plan: Plan
    block: Block = field(repr=False)
    y: NDArray[np.float64] = field(repr=False, default_factory=lambda: np.zeros(0))
    weights: NDArray[np.float64] | None = field(repr=False, default=None)

    @classmethod
    def of(cls, plan: Plan, held_out: HeldOut) -> Look:
        """The guest's."""
        weights = None if held_out.weights is None else held_out.weights / held_out.weights.max()
        return cls(plan, first_layer.block_of(held_out.x, intercept=True), held_out.y, weights)

    @property
    def least_gain(self) -> int:
        """By how much a sum of losses must be lower: tol in the mean of the logarithmic loss, or in R^2."""
        stops, weights = self.plan.terms.stopping, np.ones(len(self.y)) if self.weights is None else self.weights
        assert stops is not None
        apart = (self.y - np.average(self.y, weights=weights)) ** 2 / 2
        whole = weights.sum() if self.plan.terms.family == "logistic" else (weights * apart).sum()
        return max(1, round(stops.tol * float(whole) * 2.0**losses.UNIT))


def check_held_out(session: Session, terms: Terms, rows: int, weights: NDArray[np.float64] | None = None) -> None:
    """At a data party, before a training begins: raises TooFewHeldOut where too few rows would decide when it ends, or,
    at the guest, too few by their weights (rows,)."""
    if terms.stopping is not None:
        check_rows(rows, session.me, MORE_ROWS)
        check_weights(weights, session.me, "raise validation_fraction, or leave early_stopping out")


def prepare_arbiter(
    session: Session, key: DecryptionKey, plan: Plan, columns: Mapping[str, int], name: bytes
) -> list[Pads]:
    bounds = LEAST_ROWS, MOST_ROWS
    return [preparation.evaluations(session, key, slots, columns, bounds, name) for slots in plan.slots]


def guest(session: Session, look: Look, descent: Descent, pads: UnitPads, model_id: bytes) -> None:
    """A verdict after an epoch, which the guest follows."""
    plan, watch = look.plan, watched(descent)
    _, z = first_layer.forward_guest(session, plan, pads, look.block, descent.shares[session.me])  # 1
    z = last_sums(session, plan, z, descent.shares)
    own = loss_of(plan.terms).guest(session, z, look.y, look.weights)  # 2
    theirs = session.arbiter.recv(HeldOutLoss).share
    check_lengths(session.roles.arbiter, 1, theirs)
    bits, what = value_bits(len(look.y)), "held-out loss"
    multiple = multiple_bits(theirs.key, bits, SHARE)
    loss = theirs.add_plain(own).concat(multiples(session, [theirs], multiple, what))  # 3
    if watch.lowest is not None:
        by, first = watch.lowest - loss, np.arange(1)
        value = by.take(first).add_plain(PlainVec.from_ints([-look.least_gain]))
        sign = blinded(session, value, by.take(first + 1), bits, multiple, what)
        spend(session, watch.evaluation(model_id))
        seed = session.seed("epoch sign", sign.digest())
        session.arbiter.send(EpochSign(sign.rerandomise(seed)))
    better = session.arbiter.recv(BetterEpoch).better or watch.lowest is None
    if better:
        watch.lowest = loss
    follow(session, descent, (watch.judge(better=better),))  # 4


def host(session: Session, look: Look, descent: Descent, pads: UnitPads, masks: PairMasks) -> None:
    """The same at a host; masks: of this attempt at a chunk."""
    plan, watch, rows = look.plan, watched(descent), len(look.block)
    own = descent.shares[session.me]
    first_layer.forward_host(session, plan, pads, look.block, own, masks.apart("held out"), watch.made)  # 1
    for here in blocks(plan, rows):
        deal(session, plan.terms, here.stop - here.start)
    if plan.terms.family == "linear":
        deal_curves(session, rows, 1)
    loss_of(plan.terms).deal(session, rows, weighted=plan.terms.weighted)  # 2
    follow(session, descent, watch.possible)  # 4


def arbiter(
    session: Session, key: DecryptionKey, plan: Plan, descent: Descent, pads: UnitPads, model_id: bytes
) -> None:
    """The same at the arbiter, which opens the sign.  Raises DataError where a sum is near the edge of a table."""
    watch = watched(descent)
    own = {party: descent.shares[party] for party in session.roles.data_parties}
    z = first_layer.forward_arbiter(session, plan, pads, own)  # 1
    z = last_sums(session, plan, z, descent.shares)
    held, _ = loss_of(plan.terms).arbiter(session, z, weighted=plan.terms.weighted)  # 2
    session.guest.send(HeldOutLoss(key.encrypt(held, session.seed("held-out loss", held.to_bytes()))))
    better = True
    if watch.made > 1:
        value = session.guest.recv(EpochSign).value  # 3
        check_lengths(session.roles.guest, 1, value)
        spend(session, watch.evaluation(model_id))
        better = key.open(value, key.public.plain_bits).to_ints()[0] >= 0
    session.guest.send(BetterEpoch(better))
    best = watch.judge(better=better)
    broadcast([session.channels[party] for party in session.roles.data_parties], EpochVerdict(best))  # 4
    if best:
        descent.go_back(best)


def watched(descent: Descent) -> Watch:
    """What the verdict after this epoch changes; the shares after it are remembered."""
    assert descent.watch is not None
    descent.watch.keep({name: share.weights for name, share in descent.shares.items()})
    return descent.watch


def follow(session: Session, descent: Descent, possible: tuple[int, ...]) -> None:
    """Step 4 at a data party.  Raises RemoteProtocolError for a verdict that there cannot be."""
    best = session.arbiter.recv(EpochVerdict).best
    if best not in possible:
        raise RemoteProtocolError(
            f"{session.roles.arbiter} sent a verdict that there is not here", party=session.roles.arbiter
        )
    if best:
        descent.go_back(best)


# -- step 1


def blocks(plan: Plan, rows: int) -> list[slice]:
    """The held-out rows that are evaluated together: as many as a batch has at most."""
    size = plan.batch_rows[1]
    return [slice(first, min(first + size, rows)) for first in range(0, rows, size)]


def deal(session: Session, terms: Terms, rows: int) -> None:
    """What a block needs dealt: at every host, of which the first deals."""
    dealt.deal(session, Layers(terms.hidden, terms.activation).scheme(rows))
    for units in terms.hidden:
        deal_curves(session, units * rows, 1)


def last_sums(session: Session, plan: Plan, z: PlainVec, further: Mapping[str, Share]) -> PlainVec:
    """At guest or arbiter, from its share of the first layer's sums (units m,): its share of the last layer's (m,), or
    where these are what is predicted, as the linear loss takes them."""
    terms = plan.terms
    rows = len(z) // terms.units
    found = [
        forward(session, terms, columns_of(z, (terms.units, rows), here), further, here.stop - here.start)
        for here in blocks(plan, rows)
    ]
    sums = PlainVec.join(found)
    if terms.family == "logistic":
        return sums
    (values,) = layers.look_up(session, sums, [output("linear", PRODUCT)])
    return values.shift_left(IDENTITY.residual_bits - FRACTION)


def forward(session: Session, terms: Terms, z: PlainVec, further: Mapping[str, Share], rows: int) -> PlainVec:
    """The same of a block, by the activations alone."""
    scheme = Layers(terms.hidden, terms.activation).scheme(rows)
    own = dealt.guest(session, scheme) if session.me == session.roles.guest else dealt.arbiter(session, scheme)
    for layer, curves in enumerate(terms.curves, 1):
        (values,) = layers.look_up(session, z, [curves.value])
        own.open(layers.opposite(session), **{f"A{layer}": values, f"W{layer}": further[f"W{layer}"].used})
        z = layers.summed(own, further, layer, rows)
    return z


# -- steps 2 and 3


@cache
def log_loss() -> Curve:
    """The antiderivative of the logistic function, at the last layer's sums."""
    return Curve(softplus, PRODUCT, OUT_RANGE["logistic"])


def loss_of(terms: Terms) -> Loss:
    """Of a row: the logarithmic loss; or half the squared error."""
    return SealedLoss(log_loss(), layers.refuse_near) if terms.family == "logistic" else LinearLoss(IDENTITY)


def value_bits(rows: int) -> int:
    """|difference of two sums of losses| < 2^value_bits."""
    return losses.UNIT + rows.bit_length() + MEAN + 1
