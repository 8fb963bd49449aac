"""How long a training on shares of Gram matrices takes (protocols/glm/gram.py, gram_steps.py): counts from the layout
of its slots, as of prepared iterations.

No coefficient is fitted; what a ciphertext of an iteration costs was counted.  What a training costs before its first
iteration is that of the direct protocol, and its work in the clear that of two iterations over the rows.
"""

from __future__ import annotations

from dataclasses import replace

from protocols.cipher.keys import HOLDER_MARGIN
from protocols.glm.gram_layout import BASE, KEY, PRODUCT, Layout
from protocols.glm.plan import FEATURE
from vfl.cost.machine import Machine
from vfl.cost.network import Network
from vfl.cost.powers import covered
from vfl.cost.prepared import LARGEST, OPEN, PRECONDITIONED, Counts, encryptions, matrix, seconds_of
from vfl.models.workload import Workload

MESSAGE = 64  # bytes of a message beside its ciphertexts
VERDICT = 10  # iterations
CHECKED = 3  # products of a ciphertext that is received


def counts(layout: Layout, work: Workload, key_bits: int) -> Counts:
    """All iterations of all its models, with what is computed once."""
    size, rows, host, d = key_bits / 4, float(work.rows), layout.host, layout.weights
    groups, whole = len(layout.groups), len(layout.product_groups)
    first = sum(group.start < layout.plain for group in layout.groups)
    second = sum(group.stop > layout.plain for group in layout.groups)
    results, made = host * (first + second), float(work.passes * layout.models)
    blocks = (
        encryptions(rows * groups, key_bits)
        + first * matrix(rows, host, PRECONDITIONED)
        + second * matrix(rows, host, FEATURE + LARGEST.bit_length())
    )
    blocks += CHECKED * rows * groups + OPEN[key_bits] * results
    blocks += covered(key_bits + HOLDER_MARGIN, results, key_bits)
    shares, product = encryptions(whole * d, key_bits), PRODUCT * key_bits / 2048 + BASE * d
    every = blocks + 2 * shares + 2 * whole * made * product
    path = blocks + shares + whole * made * product
    sent = size * (rows * groups + results + 2 * whole * d) + 2 * made * (size * whole + MESSAGE)
    path_sent = size * (rows * groups + results + whole * d) + made * (size * whole + MESSAGE)
    return Counts(every, path, sent, path_sent, 6 + made * (1 + 4 / VERDICT))


def seconds(layout: Layout, work: Workload, key_bits: int, machine: Machine, network: Network, cores: int) -> float:
    """As `cost.part_seconds`, of a training: what comes before its iterations, each party's own key, and these."""
    key = KEY * (key_bits / 2048) ** 2 * machine.product_s
    short = replace(work, passes=min(work.passes, 2))
    return key + seconds_of(counts(layout, work, key_bits), short, key_bits, machine, network, cores)
