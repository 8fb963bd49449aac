"""What the parties of a training agreed on, and what the guest announces of its labels before it starts.

     guest                                                          hosts, arbiter
 1   TrainingStart: ceil(log2 n), number of models, name  ------->  the scale of steps
 2   (counts, weighted rows, max_iter="auto") LabelScale ------>  the bound of the curvature: preconditioner, head-room, table; iterations

Who learns what: hosts and arbiter the sizes, and where the job has counts, weighted rows or planned iterations up to
three powers of two (REVEALED).
"""  # noqa: E501

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from protocols.channel import broadcast
from protocols.cipher import EncryptionKey
from protocols.errors import ConfigError, DataError, RemoteProtocolError
from protocols.glm.label_noise import LabelNoise
from protocols.glm.links import Link, Weighted
from protocols.glm.plan import MOST_STEPS, WEIGHT, Penalty, Plan, Sgd, planned_passes, rows_log2
from protocols.glm.progress import Stopping
from protocols.message import PUBLIC, REVEALED, Message
from protocols.session import Session

MAX_MODELS = 1 << 10
MAX_SCALE = 19  # log2: labels' means and row weights stay below; smaller ones than 2^-MAX_SCALE count as that


@dataclass(frozen=True)
class Terms:
    """What the parties agreed on.  passes: None to plan them.  weighted: rows carry weights.  weight_bits: final
    weights are revealed rounded to 2^-weight_bits.

    models: how many are trained, and so the number of weights per column; 0: as many as the guest says.  stopping: None
    to make all iterations.
    sgd: None for steps over all rows.  settles: all parties learn whether the weights have settled, which ends training
    (settling.py).  reveal: whose final weights are revealed to their owner, out of "guest" and
    "hosts"; the others' stay shared with the arbiter.  prepared: iterations are prepared in chunks
    (preparation.py).  gram: where that is allowed and cheaper, they are made on shares of Gram matrices (gram.py).
    noise: on the guest's labels (label_noise.py)."""

    link: Link
    penalty: Penalty
    passes: int | None
    weighted: bool = False
    intercept: bool = True
    weight_bits: int = WEIGHT
    models: int = 0
    stopping: Stopping | None = None
    sgd: Sgd | None = None
    reveal: tuple[str, ...] = ()
    settles: bool = False
    prepared: bool = False
    gram: bool = False
    noise: LabelNoise | None = None

    def __post_init__(self) -> None:
        if self.noise is not None and (self.weighted or self.stopping is not None or self.passes is None):
            raise ConfigError(
                "noise on labels does not go with weights of rows, a loss that ends training, or planned iterations, "
                "which are computed from labels too",
                remedy="Leave them out, or the noise",
            )
        if self.noise is not None and self.models != 1:
            raise ConfigError(
                "noise on labels is for one model: another label of a row would change two of several",
                remedy="Train on a label of two values, or leave out the noise",
            )
        if self.settles and (self.sgd is not None or self.stopping is not None):
            raise ConfigError(
                "a verdict on convergence goes with steps over all rows that no loss ends",
                remedy="Leave out the verdict, or sgd and stopping",
            )
        if self.sgd is not None and self.stopping is not None:
            raise ConfigError(
                "mini-batches make all their epochs: their rate falls by a plan",
                remedy='Leave the stopping out, or use solver = "preconditioned"',
            )


class TrainingStart(
    Message,
    disclosure=PUBLIC,
    learns=(
        "the number of training rows, rounded up to a power of two, how many models are trained on them, and a "
        "random name for these models"
    ),
):
    rows_log2: int
    models: int
    model_id: bytes  # (16,)


class LabelScale(
    Message,
    disclosure=REVEALED,
    permit="label-scale-to-parties",
    learns=(
        "three powers of two, 1 where the job does not need them: bounds on the labels' mean (counts) and on the "
        "largest weight of a row (weighted rows), and how flat the loss is at the base rate (planned iterations)"
    ),
):
    mean_log2: int
    weight_log2: int
    flatness_log2: int


@dataclass(frozen=True)
class Announced:
    """What every party knows before the first iteration."""

    start: TrainingStart
    link: Link
    passes: int
    blocks: int
    penalty: Penalty
    stopping: Stopping | None
    sgd: Sgd | None
    settles: bool

    def plan(self, key: EncryptionKey) -> Plan:
        """Raises ConfigError (head-room)."""
        start = self.start.rows_log2
        return self.link.plan(
            start, self.penalty, self.passes, self.blocks, key.plain_bits, self.sgd, settles=self.settles
        )


def announce(
    session: Session, terms: Terms, targets: NDArray[np.float64], model_id: bytes, weights: NDArray[np.float64] | None
) -> Announced:
    """At the guest: tells all parties what they need, and returns the link scaled to it.  Raises DataError for labels
    and weights out of bounds."""
    start = TrainingStart(rows_log2(targets.shape[1]), len(targets), model_id)
    broadcast([*session.hosts, session.arbiter], start)  # 1
    scale = NO_SCALE
    if needs_scale(terms):
        scale = label_scale(terms, targets, weights, session.me)
        broadcast([*session.hosts, session.arbiter], scale)  # 2
    link = scaled(terms, scale)
    bare = link.base if isinstance(link, Weighted) else link
    counted = np.abs(targets) if weights is None else np.abs(targets) * weights
    if not (np.all(counted < 2.0**link.residual_log2) and np.all(np.abs(targets) < 2.0 ** (62 - bare.residual_bits))):
        raise DataError(
            "a label is far larger than the others",
            remedy="Check for extreme labels, or train without them",
            party=session.me,
        )
    return announced(session, terms, start, scale)


def receive_start(session: Session, terms: Terms) -> Announced:
    """The same at hosts and arbiter.  Raises RemoteProtocolError for what no training can be."""
    start, scale = session.guest.recv(TrainingStart), NO_SCALE
    good = 1 <= start.rows_log2 <= 40 and len(start.model_id) == 16 and 1 <= start.models <= MAX_MODELS
    good = good and terms.models in (0, start.models)
    if good and needs_scale(terms):
        scale = session.guest.recv(LabelScale)
        good = (
            max(abs(scale.mean_log2), abs(scale.weight_log2)) <= MAX_SCALE and 0 <= scale.flatness_log2 <= 2 * MAX_SCALE
        )
    if not good:
        raise RemoteProtocolError(f"{session.roles.guest} announced an impossible training", party=session.roles.guest)
    return announced(session, terms, start, scale)


NO_SCALE = LabelScale(0, 0, 0)


def needs_scale(terms: Terms) -> bool:
    """Whether the parties need a LabelScale: to bound the curvature, or to plan the iterations."""
    return terms.weighted or terms.link.by_mean or terms.passes is None


def label_scale(terms: Terms, targets: NDArray[np.float64], weights: NDArray[np.float64] | None, me: str) -> LabelScale:
    """At the guest: what the job needs, and 1 for the rest."""
    mean = np.average(targets[0], weights=None if weights is None else weights[0]) if terms.link.by_mean else 1.0
    largest = 1.0 if weights is None else weights.max()
    mean_log2, weight_log2 = logs = [
        max(-MAX_SCALE, math.ceil(math.log2(v))) if v > 0 else -MAX_SCALE for v in (mean, largest)
    ]
    if max(logs) > MAX_SCALE:
        raise DataError(
            "labels or weights are too large",
            remedy="Choose a larger unit for them",
            party=me,
            expected=f"below 2^{MAX_SCALE}",
        )
    scale = LabelScale(mean_log2, weight_log2, 0)
    return (
        scale
        if terms.passes is not None
        else replace(scale, flatness_log2=flatness_log2(scaled(terms, scale), targets, weights))
    )


def flatness_log2(link: Link, targets: NDArray[np.float64], weights: NDArray[np.float64] | None) -> int:
    """ceil(log2) of the curvature's bound over what it is at the start, in the flattest of the models."""
    each = weights if weights is not None else [None] * len(targets)
    ratio = max(link.curvature / link.typical(y, w) for y, w in zip(targets, each, strict=True))
    return min(max(0, math.ceil(math.log2(ratio) - 1e-9)), 2 * MAX_SCALE)


def scaled(terms: Terms, scale: LabelScale) -> Link:
    link = terms.link.scaled(scale.mean_log2)
    link = link if terms.noise is None else link.noisy(terms.noise.bound_log2)
    return Weighted(link, scale.weight_log2, prepared=terms.prepared) if terms.weighted else link


def announced(session: Session, terms: Terms, start: TrainingStart, scale: LabelScale) -> Announced:
    blocks = len(session.roles.data_parties)
    passes = planned_passes(scale.flatness_log2, blocks) if terms.passes is None else terms.passes
    if terms.sgd is not None:
        if terms.stopping is not None:
            raise ConfigError(
                "mini-batches make all planned epochs: no loss ends them", remedy="Leave stopping out, or sgd"
            )
        check_batches(terms.sgd, start.rows_log2, passes)
    link = scaled(terms, scale)
    stopping = None if terms.stopping is None else terms.stopping.within(passes)
    return Announced(start, link, passes, blocks, terms.penalty, stopping, terms.sgd, terms.settles)


def check_batches(sgd: Sgd, rows_log2: int, passes: int) -> None:
    """Raises ConfigError for a number of rows that mini-batches are not for."""
    batches = sgd.batches(rows_log2)
    if batches < 2:
        raise ConfigError(
            f"a single batch holds all rows, of which there are at most {2**rows_log2}",
            remedy='Lower batch_size, or use solver = "preconditioned", which needs fewer iterations over all rows',
        )
    if passes * batches > MOST_STEPS:
        raise ConfigError(
            "max_iter epochs in batches of this size are more steps than one training may have",
            remedy="Raise batch_size, or lower max_iter",
            expected=f"at most {MOST_STEPS}",
            found=passes * batches,
        )
