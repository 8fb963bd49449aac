"""How many numbers computed from labels the wins of sealed trees count as, for the guest's budget of such numbers
(protocols/allowance.py).

A host that brings columns of noise knows which rows its winning splits send left; these vectors add up to the
gradients, and so to the labels (tests/promises/attacks/test_labels_from_wins.py).  The best split of a first tree
tells most.  The later trees of a model repeat each other, and the splits below the root add little, because the host
cannot name their nodes: a model tells about as much as the square root of its number of trees.  The factor is
measured, not proved.
"""

from __future__ import annotations

import math

PER_TREE = 5  # numbers that a model of one tree counts as


def label_numbers(rounds: int, classes: int) -> int:
    """Of a model of this number of rounds in which hosts take part: PER_TREE * sqrt(rounds) for each class, rounded
    up."""
    return classes * (math.isqrt(PER_TREE**2 * rounds - 1) + 1) if rounds else 0


def most_rounds(numbers: int, classes: int) -> int:
    """How many rounds a model may have that counts as `numbers` at most."""
    return (numbers // classes) ** 2 // PER_TREE**2
