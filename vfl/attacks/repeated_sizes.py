"""Attack 2: membership by repeated sizes (Guo et al., USENIX Security 2022).

Whoever may ask for the size of the intersection with any list asks with many lists of the same ids: each size is an
equation in who is a member.
"""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.errors import DisclosureRefused
from protocols.ids import Ids
from vfl.attacks.alignments import Aligning
from vfl.attacks.attack import Attack
from vfl.attacks.received import Floats, fields, vectors
from vfl.attacks.referee import auc
from vfl.attacks.scene import Run, Scene
from vfl.job.party import Identity, Party
from vfl.job.party import Run as RunSection
from vfl.run.budget import Budget

LIST = 400  # ids whose membership is asked for
RIDGE = 1e-3
FEW = 8  # keys, at most, by each of which a size may be told
Bits = NDArray[np.bool_]


class RepeatedSizes(Attack):
    number = 2
    name = "Membership by repeated sizes"
    who = "each data party, by alignments that open the size alone, with lists of its choice"
    needs = "sizes of many intersections"
    setting = 'policy.runs_per_partner_per_month (20 by default); [privacy] unit = "id"'
    sentence = "Could a partner ask how many customers we share until it knows whether a certain person is one of them?"
    measure = "the area under the ROC curve (AUC) of what a month's sizes say of each of 400 ids, against the truth"
    chance = 0.5
    bound = 0.66
    reason = (
        "20 sizes are 20 equations in 400 unknowns and explain a twentieth, an AUC of .63; .03 for a mean over seeds"
    )
    succeeds = 0.95
    sizes = (800.0, 400.0, 200.0, 100.0, 50.0)
    found = 200.0
    size_of = "the number of sizes that are opened, of random halves of 400 ids"
    textbook_is = "sizes as often as the partner asks: 800 of them"

    on = (Scene, Aligning)

    def unfit(self, scene: Run) -> str:
        if isinstance(scene, Aligning) and scene.plan.size_only:
            return ""
        return "each data party learns which of its ids are common (intersection-to-parties): a size adds nothing"

    def product(self, scene: Run, seed: int) -> float:
        assert isinstance(scene, Aligning)
        attacker, rng = scene.hosts[0], np.random.default_rng([seed, 2])
        ids, truth = self._asked(scene, seed)
        halves, told = list[Bits](), list[dict[str, float]]()
        for _ in range(allowed(LIST)):
            halves.append(rng.random(LIST) < 0.5)
            lists = dict(scene.keys) | {attacker: (Ids.of([ids[k] for k in np.flatnonzero(halves[-1])]),)}
            told.append(numbers(scene.of(lists), attacker))
        names = [name for name in told[0] if all(name in one for one in told)]
        seen = [np.array([one[name] for one in told], np.float64) for name in names]
        return max((auc(truth, decoded(np.array(halves), sizes)) for sizes in seen if np.ptp(sizes)), default=0.5)

    def planted(self, scene: Run, seed: int, size: float) -> float:
        truth, rng = self._asked(scene, seed)[1], np.random.default_rng([seed, 22])
        halves = rng.random((int(size), LIST)) < 0.5
        return auc(truth, decoded(halves, halves @ truth))

    def textbook(self, scene: Run, seed: int) -> float:
        return self.planted(scene, seed, 800.0)

    @staticmethod
    def _asked(scene: Run, seed: int) -> tuple[list[bytes], Floats]:
        """Ids of the first host, of which about half are everybody's; and which are: where it has too few, it makes up
        others."""
        own, rng = list(scene.ids[scene.hosts[0]]), np.random.default_rng([seed, 222])
        others = [set(scene.ids[party]) for party in scene.ids if party != scene.hosts[0]]
        rng.shuffle(own)
        common = [name for name in own if all(name in theirs for theirs in others)][: LIST // 2]
        rest = [name for name in own if not all(name in theirs for theirs in others)]
        made_up = [b"made up %d" % k for k in range(LIST)]
        found = (common + rest + made_up)[:LIST]
        return found, np.array([1.0] * len(common) + [0.0] * (LIST - len(common)))


def allowed(most: int) -> int:
    """How many alignments of a month a party with the default policy takes part in, counted by its budget."""
    with tempfile.TemporaryDirectory() as folder:
        own = Identity(key=Path("key.pem"), certificate=Path("cert.pem"))
        where = RunSection(directory=Path(folder))
        party = Party(name="partner", role="arbiter", listen="127.0.0.1:7443", identity=own, run=where)
        budget, now = Budget(party, "align"), datetime.datetime.now(datetime.UTC)
        for number in range(most):
            try:
                budget.charge(("attacker",), number.to_bytes(32, "big"), now)
            except DisclosureRefused:
                return number
    return most


def numbers(run: Run, party: str) -> dict[str, float]:
    """Every number in the clear that a party received, by message and place; the last where there are several."""
    found = dict[str, float]()
    for entry in run.entries(party):
        single = [float(value) for _, _, value in fields(entry) if isinstance(value, int)]
        lists = [vector for vector in vectors(entry, {}) if len(vector) <= FEW]
        for k, number in enumerate([*single, *(float(v) for vector in lists for v in vector)]):
            found[f"{entry.message} {k}"] = number
    return found


def decoded(halves: Bits | Sequence[Bits], sizes: Floats) -> Floats:
    """Of each id, how much more often sizes were large with it: least squares, from the mean."""
    x = np.asarray(halves, np.float64) - 0.5
    rest = sizes - sizes.mean()
    return np.asarray(x.T @ np.linalg.solve(x @ x.T + RIDGE * len(x.T) * np.eye(len(x)), rest))
