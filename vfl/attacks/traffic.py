"""Attack 16: sizes and numbers of messages, which everybody on the wire sees.

Two runs on the same rows, with as many events, that differ only in who is one, must have messages of the same sizes; so
must two alignments of as many ids that differ only in which of them are common.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.ids import Ids
from protocols.message import REVEALED
from vfl.attacks import textbook
from vfl.attacks.alignments import Aligning
from vfl.attacks.attack import Attack
from vfl.attacks.gradients import own_of
from vfl.attacks.received import kind_of
from vfl.attacks.scene import Run, Scene
from vfl.taps.transcript import Entry

TOLD = {"ShareLessPad", "DirectionShare", "ProductShare"}
"""Of sealed trees: their length is the number of a party's splits at a level, which Owners and Wins tell their
receivers (tests/promises/audit/test_attacks.py counts it).  Nobody tells it to others, who can see lengths on the wire:
docs/threat-model.md says so."""
LIMB = 8  # a single uniform number is now and then a limb shorter
FAULT = ("guest", "host", "planted")
Sizes = Mapping[tuple[str, str, str], Sequence[int]]  # by sender, receiver and kind, in order


class Traffic(Attack):
    number = 16
    name = "Labels and members from sizes"
    who = "each party; of alignments, regressions and scorecards also others who see the wire"
    needs = "the sizes of all messages"
    setting = "none: a message's size follows from the sizes of tables and from what its receiver learns anyway"
    sentence = "Does the volume of traffic give away who defaulted, or who is a customer of both?"
    measure = "kinds of messages whose sizes change when other rows are events, or other ids are common"
    chance = 0.0
    bound = 0.0
    reason = "every message that is not declared as revealing has a size that rows, columns and the job determine"
    succeeds = 1.0
    sizes = (64.0, 32.0, 16.0)
    found = 16.0
    size_of = "the bytes by which a message is longer for each additional event, or common id, in the first half"
    textbook_is = (
        "lists of the rows of every node sent to the hosts (SecureBoost); of an alignment a zipped list of hits"
    )
    on = (Scene, Aligning)

    def unfit(self, scene: Run) -> str:
        if isinstance(scene, Aligning) and len(scene.hosts) > 1:
            return "made for alignments of two parties"
        every = isinstance(scene, Aligning) and scene.common == len(scene.ids[scene.guest])
        return "all ids of the guest are common: no others could be" if every else ""

    def product(self, scene: Scene | Aligning, seed: int) -> float:
        return changing([one.sizes for one in alike(scene, seed)])

    def planted(self, scene: Scene | Aligning, seed: int, size: float) -> float:
        longer = [{FAULT: [1000 + int(size) * one.half]} for one in alike(scene, seed)]
        return changing([{**one.sizes, **more} for one, more in zip(alike(scene, seed), longer, strict=True)])

    def textbook(self, scene: Scene | Aligning, seed: int) -> float:
        return changing([one.textbook for one in alike(scene, seed)])


@dataclass(frozen=True)
class Seen:
    """Of one run.  sizes: what is on the wire; half: how many of the guest's first half of rows are events, or common
    to both; textbook: what is on the wire of the textbook protocol."""

    sizes: Sizes
    half: int
    textbook: Sizes


def seen(run: Scene | Aligning) -> Seen:
    inside = marked(run)
    half = int(inside[: len(inside) // 2].sum())
    return Seen(sizes(run), half, nodes(run) if isinstance(run, Scene) else zipped(run))


def alike(scene: Scene | Aligning, seed: int) -> list[Seen]:
    """A run, and two that differ from it in what sizes must not tell."""
    if seed not in scene.kept:
        first = scene if isinstance(scene, Aligning) else scene.again(seed + 1)
        scene.kept[seed] = [seen(run) for run in (first, *varied(first))]
    found: list[Seen] = scene.kept[seed]
    return found


def changing(seen: Sequence[Sizes]) -> float:
    """How many kinds of messages have other sizes in the first run than in another one."""
    return float(len(set().union(*(differing(seen[0], other) for other in seen[1:]))))


def marked(run: Scene | Aligning) -> NDArray[np.bool_]:
    """Of each row of the guest, whether it is an event, or common to both."""
    if isinstance(run, Scene):
        label = run.asked.federation._tables[run.guest].label
        assert label is not None
        return np.asarray(label == label.max())
    theirs = set(run.ids[run.hosts[0]])
    return np.array([name in theirs for name in run.ids[run.guest]])


def regrouped(run: Aligning) -> list[dict[str, tuple[Ids, ...]]]:
    """Lists as long, of which as many ids are common: the first of the guest's, and some that are drawn."""
    host, found, count = run.hosts[0], list[dict[str, tuple[Ids, ...]]](), len(run.ids[run.guest])
    for order in (np.arange(count), np.random.default_rng(16).permutation(count)):
        keys = list[Ids]()
        for own, theirs in zip(run.keys[run.guest], run.keys[host], strict=True):
            mine, known = list(own), set(own)
            kept = [name for name in theirs if name not in known]
            keys.append(Ids.of(kept + [mine[k] for k in order[: len(theirs) - len(kept)]]))
        found.append(dict(run.keys) | {host: tuple(keys)})
    return found


def zipped(run: Aligning) -> Sizes:
    """Of a list that says of each of the guest's ids whether it is common."""
    return {(run.hosts[0], run.guest, "zipped hits"): [len(zlib.compress(np.packbits(marked(run)).tobytes()))]}


def varied(run: Scene | Aligning) -> Sequence[Scene | Aligning]:
    return relabelled(run) if isinstance(run, Scene) else [run.of(other) for other in regrouped(run)]


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


def sizes(run: Run) -> Sizes:
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
