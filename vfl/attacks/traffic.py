"""Attack 16: sizes and numbers of messages, which everybody on the wire sees.

Two runs on the same rows, with as many events, that differ only in who is one, must have messages of the same sizes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from protocols.message import REVEALED
from vfl.attacks import textbook
from vfl.attacks.attack import Attack
from vfl.attacks.gradients import own_of
from vfl.attacks.received import kind_of
from vfl.attacks.scene import Scene
from vfl.taps.transcript import Entry

TOLD = {"ShareLessPad", "DirectionShare", "ProductShare"}
"""Of sealed trees: their length is the number of a party's splits at a level, which Owners and Wins tell their
receivers (tests/promises/audit/test_attacks.py counts it).  Nobody tells it to others, who can see lengths on the wire:
docs/threat-model.md says so."""
LIMB = 8  # a single uniform number is now and then a limb shorter
Sizes = Mapping[tuple[str, str, str], Sequence[int]]  # by sender, receiver and kind, in order


class Traffic(Attack):
    number = 16
    name = "Labels from sizes"
    who = "each party; of regressions and scorecards also others who see the wire"
    needs = "the sizes of all messages"
    setting = "none: a message's size follows from the sizes of tables and from what its receiver learns anyway"
    sentence = "Does the volume of traffic give away who defaulted?"
    measure = "kinds of messages whose sizes change when other rows are events"
    chance = 0.0
    bound = 0.0
    reason = "every message that is not declared as revealing has a size that rows, columns and the job determine"
    succeeds = 1.0
    sizes = (64.0, 32.0, 16.0)
    size_of = "the bytes by which a message is longer for each additional event among the first half of the rows"
    textbook_is = "lists of the rows of every node sent to the hosts (SecureBoost)"

    def product(self, scene: Scene, seed: int) -> float:
        run = scene.again(seed + 1)
        found = [differing(sizes(run), sizes(other)) for other in relabelled(run)]
        return float(len(set().union(*found)))

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        run = scene.again(seed + 1)
        runs = (run, *relabelled(run))
        seen = [dict(sizes(one)) for one in runs]
        for found, one in zip(seen, runs, strict=True):
            label = one.asked.federation._tables[one.guest].label
            assert label is not None
            y = (label == label.max()).to_numpy()
            found["guest", "host", "planted"] = [1000 + int(size) * int(y[: len(y) // 2].sum())]
        return float(len(set().union(*(differing(seen[0], other) for other in seen[1:]))))

    def textbook(self, scene: Scene, seed: int) -> float:
        run = scene.again(seed + 1)
        found = [differing(nodes(run), nodes(other)) for other in relabelled(run)]
        return float(len(set().union(*found)))


def relabelled(run: Scene) -> list[Scene]:
    """The same rows with the labels of others: all events last, and all first, so that half of them change sides.  Two
    of them, as rows come in another secret order each time, and one count may be the same by chance."""
    tables = dict(run.asked.federation._tables)
    own = tables[run.guest]
    label = own.label
    assert label is not None
    found = list[Scene]()
    for step in (1, -1):
        mixed = pd.Series(np.sort(label.to_numpy())[::step].copy(), name=label.name)
        found.append(run.with_tables(tables | {run.guest: dataclasses.replace(own, label=mixed)}))
    return found


def sizes(run: Scene) -> Sizes:
    """Of everything whose content stays hidden from its receiver."""
    found = dict[tuple[str, str, str], list[int]]()
    for receiver, transcript in run.seen.items():
        for entry in transcript.received():
            if hidden(entry):
                found.setdefault((entry.peer, receiver, entry.message), []).append(entry.size)
    return found


def hidden(entry: Entry) -> bool:
    kind = kind_of(entry)
    return kind is not None and kind.disclosure < REVEALED and kind.kind not in TOLD


def differing(first: Sizes, second: Sizes) -> list[tuple[str, str, str]]:
    """Kinds of messages of which two runs have other sizes; how many there are of a kind follows from what all learn
    (when training ends, who wins splits)."""
    found = []
    for key in first.keys() | second.keys():
        one, two = sorted(set(first.get(key, ()))), sorted(set(second.get(key, ())))
        if not one or not two or max(abs(one[k] - two[k]) for k in (0, -1)) > LIMB:
            found.append(key)
    return found


def nodes(run: Scene) -> Sizes:
    """Of the lists of rows that textbook trees send."""
    x, own = own_of(run, run.guest)
    seen = textbook.boosting(x, run.y, own, trees=2, depth=3, bins=8)
    return {(run.guest, host, "rows of a node"): [4 * len(one.rows) for one in seen[2:]] for host in run.hosts}
