"""How long a sealed network takes (protocols/network/): counts from its plan, as of prepared iterations.

No coefficient of products and bytes is fitted.  The first layer's are those of prepared iterations whose slots hold
units and epochs; look-ups and dealt products are bytes and work in the clear.  That work was measured once for each
look-up and for each product of two numbers, in units of the machine's `clear_s` (`python -m benchmarks.network`).
"""

from __future__ import annotations

from protocols.cipher import HEAD_ROOM
from protocols.network import Plan
from protocols.network.rows import Layers
from vfl.cost import prepared
from vfl.cost.machine import Machine
from vfl.cost.network import Network
from vfl.cost.prepared import ONLINE, Counts
from vfl.models.workload import NetworkWork

LOOKED_UP = (620.0, 810.0)  # bytes of a look-up of one curve, and of two
OPENED, DEALT = 32, 16  # bytes of a number of a factor, to both holders, and of a number of a dealt product
# CPU seconds of all parties together where clear_s is CLEAR: of a unit of the first layer per row, of another look-up,
# of one more curve in a look-up, and of a product of two numbers in a matrix
CLEAR, UNIT_WORK, LOOK_UP_WORK, CURVE_WORK, TERM_WORK = 0.045, 6.6e-6, 4.5e-6, 1.5e-6, 1.0e-9
WORST = 0.3  # by which products, bytes and CPU seconds of tests/unit/vfl/cost/test_layers.py are missed
PRODUCTS = 15  # of two numbers, by all parties together, for each weight of a further layer and row
SERIAL = 0.5  # of the work in the clear, what no two parties do at the same time
# rounds of messages: of a step, of each hidden layer in it, of the preparation of a batch in a chunk
STEP_TRIPS, LAYER_TRIPS, CHUNK_TRIPS = 2.5, 3.0, 6.0
LOOK_TRIPS, LOOK_LAYER_TRIPS = 3.0, 2.0  # of a verdict, and of each hidden layer in it and block of rows
SIGNS = 2.0  # products per bit of the key that a verdict takes (glm/signs.py)


def plan_of(work: NetworkWork, key_bits: int) -> Plan:
    return Plan(work.terms, work.rows, key_bits - HEAD_ROOM - 1)


def counts(work: NetworkWork, key_bits: int) -> Counts:
    """All steps."""
    plan, widths, hosts = plan_of(work, key_bits), prepared.widths_of(work), work.hosts
    rows, made = work.rows / plan.batches, plan.batches * len(plan.chunks)
    found = [prepared.chunk(slots, rows, widths, key_bits, sealed=False, penalised=False) for slots in plan.slots]
    looks = evaluations(work, key_bits)
    products, path = (made * sum(getattr(one, name) for one in found) for name in ("products", "path_products"))
    # iterations in the clear are counted below, for the epochs that are made
    clear = sum(slots.passes for slots in plan.slots) * rows * per_iteration(hosts)
    sealed, path_sealed = (sum(getattr(one, name) for one in found) - clear for name in ("bytes", "path_bytes"))
    steps = work.terms.epochs * plan.batches
    online = steps * (work.terms.units * rows * (ONLINE + 24.0 * (hosts - 1)) + step_bytes(plan, rows))
    trips = made * CHUNK_TRIPS + steps * (STEP_TRIPS + work.terms.weighted + LAYER_TRIPS * len(work.terms.hidden))
    whole = Counts(products, path, made * sealed + online, made * path_sealed + online, trips)
    return Counts(*(getattr(whole, name) + getattr(looks, name) for name in Counts.__dataclass_fields__))


def evaluations(work: NetworkWork, key_bits: int) -> Counts:
    """All verdicts on held-out rows, one after each epoch, where there are any."""
    if not work.held_out:
        return Counts(0, 0, 0, 0, 0)
    plan, widths, epochs = plan_of(work, key_bits), prepared.widths_of(work), work.terms.epochs
    found = [prepared.predictors_alone(slots, work.held_out, widths, key_bits) for slots in plan.slots]
    added = [len(plan.chunks) * sum(getattr(one, name) for one in found) for name in Counts.__dataclass_fields__]
    online, signs = epochs * work.held_out * look_bytes(work), epochs * key_bits * SIGNS
    trips = epochs * (LOOK_TRIPS + LOOK_LAYER_TRIPS * len(work.terms.hidden) * -(-work.held_out // plan.batch_rows[1]))
    products, path, sealed, path_sealed, begun = added
    return Counts(products + signs, path + signs, sealed + online, path_sealed + online, begun + trips)


def look_bytes(work: NetworkWork) -> float:
    """Of a held-out row and an epoch: its predictors, look-ups, opened factors, dealt products, and the loss."""
    terms = work.terms
    scheme = Layers(terms.hidden, terms.activation).scheme(1)
    factors = sum(terms.hidden)  # those of weights are opened once for all rows
    products = sum(one.size(scheme.shapes) for one in scheme.products)
    tables = sum(terms.hidden) * LOOKED_UP[0] + LOOKED_UP[terms.family == "logistic"]
    return (
        8.0 * terms.units * work.hosts
        + OPENED * factors
        + DEALT * products
        + tables
        + prepared.MULTIPLIED * (1 + terms.weighted)
    )


def per_iteration(hosts: int) -> float:
    """Bytes per row that `prepared.chunk` counts for an iteration with a linear link."""
    return ONLINE + 24.0 * (hosts - 1) + 8.0


def step_bytes(plan: Plan, rows: float) -> float:
    """Of a step over this number of rows: look-ups, opened factors and dealt products."""
    whole = plan.scheme(max(1, round(rows)))
    factors = sum(k * n for k, n in whole.shapes.values())
    products = sum(one.size(whole.shapes) for one in whole.products)
    tables = zip(plan.terms.hidden, plan.terms.curves, strict=True)
    looked_up = sum(units * LOOKED_UP[len(curves.tables) - 1] for units, curves in tables) + LOOKED_UP[0]
    weighted = prepared.MULTIPLIED if plan.terms.weighted else 0
    return OPENED * factors + DEALT * products + rows * (looked_up + weighted)


def clear_work(work: NetworkWork, key_bits: int) -> float:
    """CPU seconds of all parties together that are no products modulo n^2, in units of clear_s."""
    plan = plan_of(work, key_bits)
    (units, *others), curves = plan.terms.hidden, [len(one.tables) - 1 for one in plan.terms.curves]
    more = sum(count * tables for count, tables in zip(plan.terms.hidden, curves, strict=True))
    terms = PRODUCTS * sum(count * inputs for count, inputs in plan.terms.further)
    rows = work.rows + work.held_out  # one that is held out takes less than one that is trained on
    per_row = UNIT_WORK * units + LOOK_UP_WORK * (sum(others) + 1) + CURVE_WORK * more + TERM_WORK * terms
    return rows * plan.terms.epochs * per_row / CLEAR


def one_core_s(work: NetworkWork, key_bits: int, machine: Machine) -> float:
    """CPU seconds of all parties together, from the first iteration on."""
    return counts(work, key_bits).products * machine.product_s + clear_work(work, key_bits) * machine.clear_s


def seconds(work: NetworkWork, key_bits: int, machine: Machine, network: Network, cores: int) -> float:
    """As `cost.part_seconds`, of a training: its key, and its steps."""
    count, begin = counts(work, key_bits), prepared.key_of(work, key_bits)
    return (
        begin["paced"] * machine.product_s
        + begin["other"] * machine.clear_s
        + count.path_products * machine.product_s / cores
        + clear_work(work, key_bits) * SERIAL * machine.clear_s
        + 8 * (begin["path_bytes"] + count.path_bytes) / network.bits_per_second
        + (begin["round_trips"] + count.round_trips) * network.round_trip_s
    )
