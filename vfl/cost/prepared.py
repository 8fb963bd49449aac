"""How long prepared iterations take (protocols/glm/preparation.py, prepared.py): counts from the layout of their
slots.

No coefficient is fitted.  Each message's work is counted as the protocol does it, by the core's own plans of powers and
matrix products; a decryption was counted on vectors of thousands.  What the key costs, and the work of an iteration in
the clear, are those of the direct protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from protocols.cipher.keys import HOLDER_MARGIN
from protocols.glm.slots import Slots
from vfl.cost import cost, matrices
from vfl.cost.machine import Machine
from vfl.cost.network import Network
from vfl.cost.powers import covered, powers
from vfl.models.workload import Workload

LARGEST = 5  # the largest entries of X, in standard deviations
PRECONDITIONED = 18  # bits of the largest entries of P
ONLINE, LINK = 40, 660  # bytes per row and iteration: pads; a look-up, dealt and exchanged
LOOKED_UP, MULTIPLIED = 790, 100  # of an evaluation of the loss: a look-up of two curves; a product
SIGNS = 0.48  # products per weight and bit of the key that hide what an evaluation opens (signs.py)
WORST = 0.15  # by which products and bytes of the jobs in tests/unit/vfl/cost/test_prepared.py are missed


OPEN: Mapping[int, float] = {2048: 655, 3072: 965, 4096: 1290}  # products modulo n^2 of one decryption


@dataclass(frozen=True)
class Counts:
    """Of all iterations of a training: products of all parties, and of the longest sequence of them; bytes likewise;
    rounds of messages."""

    products: float
    path_products: float
    bytes: float
    path_bytes: float
    round_trips: float


def encryptions(uses: float, key_bits: int) -> float:
    """Products modulo n^2 of as many encryptions by the key's holder: modulo p^2 and q^2, a quarter each."""
    return powers(key_bits // 2, uses, key_bits // 2) / 2


def matrix(bases: float, results: float, bits: int) -> float:
    """Products of `results` products of this number of bases with integers of this length."""
    return matrices.cheapest([(1 << bits, max(1, round(bases)))], results).products


def columns(slots: Slots, width: int) -> list[tuple[int, int]]:
    """The bases of a data party's predictors, by how large the digits of its columns are."""
    first, *others = slots.digits.features
    halves = zip(others, slots.digits.features[:-1], strict=True)  # a digit is half a unit of the one before
    largest = [LARGEST << first, *(1 << (bits - before - 1) for bits, before in halves)]
    return [(most, width * slots.rows) for most in largest]


def predicted(slots: Slots, packs: float, widths: Sequence[int]) -> list[float]:
    """By data party, products of its columns with the arbiter's numbers."""
    return [matrices.cheapest(columns(slots, d), packs).products for d in widths]


def chunk(
    slots: Slots, rows: float, widths: Sequence[int], key_bits: int, *, sealed: bool, penalised: bool = True
) -> Counts:
    """One chunk over these rows; widths: how many weights each data party has, the guest first; penalised: whether an
    L2 term is prepared."""
    packs, size, long = -(-rows // slots.rows), key_bits / 4, key_bits + HOLDER_MARGIN
    predictors, each = predicted(slots, packs, widths), slots.digits.count
    groups, terms = slots.groups, slots.groups * penalised
    gradients = [
        groups * matrix(rows, d, PRECONDITIONED) + covered(long, groups * d, key_bits) + terms * d * d for d in widths
    ]
    weights = sum(encryptions(d * each * slots.rows, key_bits) + terms * encryptions(d, key_bits) for d in widths)
    residuals, hosts = encryptions(groups * rows, key_bits), len(widths) - 1
    all_d = sum(widths)
    opened = OPEN[key_bits] * (packs + groups * all_d)
    factors = covered(long, packs, key_bits)
    guests = predictors[0] + factors + packs * hosts
    every = weights + sum(predictors[1:]) + hosts * factors + guests + residuals + sum(gradients) + opened
    path = weights + max(predictors[1:]) + factors + guests + residuals + max(gradients) + opened
    sent = size * (all_d * (each * slots.rows + terms) + packs * (hosts + 1) + groups * (rows * (hosts + 1) + all_d))
    online = slots.passes * rows * (ONLINE + 24.0 * (hosts - 1) + (LINK if sealed else 8.0))
    path_sent = size * (all_d * (each * slots.rows + terms) + 2 * packs + groups * (rows + all_d)) + online
    return Counts(every, path, sent + online, path_sent, 6 + slots.passes * (7 if sealed else 4))


def predictors_alone(slots: Slots, rows: float, widths: Sequence[int], key_bits: int) -> Counts:
    """The preparation of predictors of these rows without gradients, for as many evaluations as slots have."""
    packs, size, hosts = -(-rows // slots.rows), key_bits / 4, len(widths) - 1
    predictors, bases = predicted(slots, packs, widths), [d * slots.digits.count * slots.rows for d in widths]
    weights = sum(encryptions(count, key_bits) for count in bases)
    factors, opened = covered(key_bits + HOLDER_MARGIN, packs, key_bits), OPEN[key_bits] * packs
    guests = predictors[0] + factors + packs * hosts
    every = weights + sum(predictors[1:]) + hosts * factors + guests + opened
    path = weights + max(predictors[1:]) + factors + guests + opened
    sent = size * (sum(bases) + packs * (hosts + 1))
    return Counts(every, path, sent, size * (sum(bases) + 2 * packs), 2)


def evaluations(chunks: Sequence[Slots], work: Workload, key_bits: int) -> Counts:
    """All evaluations of the loss of a training: its passes beyond those of the chunks.  Predictors alone are
    prepared, those of a chunk at once."""
    made, passes = max(0, work.passes - sum(s.passes for s in chunks)), sum(s.passes for s in chunks)
    if not made:
        return Counts(0, 0, 0, 0, 0)
    together = min(chunks[0].passes, max(1, round(made * chunks[0].passes / passes)))
    slots, rows, widths, sealed = chunks[0].of_predictors(together), work.rows, widths_of(work), is_sealed(work)
    hosts, alone = len(widths) - 1, predictors_alone(slots, rows, widths, key_bits)
    online = together * rows * (8.0 * hosts + (LOOKED_UP if sealed else 0) + MULTIPLIED * (1 + work.weighted))
    signs = together * key_bits * SIGNS * sum(widths)
    every, path = alone.products + signs, alone.path_products + signs
    sent, path_sent = alone.bytes + online, alone.path_bytes + online
    times = made / together * (work.classes if work.classes > 2 else 1)
    each = Counts(every, path, sent, path_sent, 2 + together * (10 if sealed else 7))
    return Counts(*(times * getattr(each, name) for name in Counts.__dataclass_fields__))


def widths_of(work: Workload) -> list[int]:
    """How many weights each data party has, the guest first."""
    return [work.guest_columns + 1, *([max(1, work.host_columns // work.hosts)] * work.hosts)]


def is_sealed(work: Workload) -> bool:
    """Whether the link is a look-up."""
    return work.kind == "poisson" or (work.kind in ("logistic", "scorecard") and work.link == "exact")


def counts(chunks: Sequence[Slots], work: Workload, key_bits: int, batches: int = 1) -> Counts:
    """All iterations of all its trainings, in `batches` per epoch."""
    found = [chunk(s, work.rows / batches, widths_of(work), key_bits, sealed=is_sealed(work)) for s in chunks]
    times = batches * (work.classes if work.classes > 2 else 1)
    return Counts(*(times * sum(getattr(one, name) for one in found) for name in Counts.__dataclass_fields__))


def seconds(
    chunks: Sequence[Slots], work: Workload, key_bits: int, machine: Machine, network: Network, cores: int, batches: int
) -> float:
    """As `cost.part_seconds`, of a training: its key, and its iterations."""
    return seconds_of(_all(chunks, work, key_bits, batches), work, key_bits, machine, network, cores)


def seconds_of(count: Counts, clear: Workload, key_bits: int, machine: Machine, network: Network, cores: int) -> float:
    """The key of a training, these counts, and the work of `clear` in the clear."""
    begin, work = _beside(clear, key_bits)
    serial = count.path_products / count.products
    return (
        begin["paced"] * machine.product_s
        + begin["other"] * machine.clear_s
        + count.path_products * machine.product_s / cores
        + work * serial * machine.clear_s
        + 8 * (begin["path_bytes"] + count.path_bytes) / network.bits_per_second
        + (begin["round_trips"] + count.round_trips) * network.round_trip_s
    )


def one_core_s(chunks: Sequence[Slots], work: Workload, key_bits: int, machine: Machine) -> tuple[float, float]:
    """CPU seconds of all parties together: until the iterations are prepared (`vfl prepare`), and from then on; without
    the alignment."""
    count, (begin, clear) = _all(chunks, work, key_bits, 1), _beside(work, key_bits)
    ahead = (begin["paced"] + count.products) * machine.product_s + begin["other"] * machine.clear_s
    return ahead, clear * machine.clear_s


def _all(chunks: Sequence[Slots], work: Workload, key_bits: int, batches: int) -> Counts:
    """What the chunks and the evaluations of the loss take."""
    made, losses = counts(chunks, work, key_bits, batches), evaluations(chunks, work, key_bits)
    return Counts(*(getattr(made, name) + getattr(losses, name) for name in Counts.__dataclass_fields__))


def key_of(work: Workload, key_bits: int) -> Mapping[str, float]:
    """What the key of a training takes, which does not depend on its rows."""
    clear = Workload("logistic", 0, work.guest_columns, work.host_columns, work.hosts, passes=0)
    return cost.counted(clear, key_bits, cost.fitted()["formulas"])


def _beside(work: Workload, key_bits: int) -> tuple[Mapping[str, float], float]:
    """What the key of a training takes, which does not depend on its rows, and its iterations in the clear, in
    units of clear_s."""
    formulas = cost.fitted()["formulas"]
    begin = cost.counted(replace(work, passes=0, rows=0), key_bits, formulas)
    without = cost.counted(replace(work, passes=0), key_bits, formulas)
    return begin, cost.counted(work, key_bits, formulas)["other"] - without["other"]
