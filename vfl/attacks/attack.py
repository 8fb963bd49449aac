"""What every attack of the audit says and does.

An attack reads what one party, or a named coalition, received.  It uses the ground truth for scoring only.  It ships
with a control: the same attack on a twin of the run in which a leak is planted.  At full size the control must succeed,
or the attack shows nothing; the smallest leak that it finds says how much it shows.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from vfl.attacks.scene import Run, Scene

SEEDS = 20
LEAST = 5  # repetitions: without a leak a mean is above its bound once in a thousand audits (ADR 49)
FURTHER = 100  # repetitions, where chance may explain why a mean of fewer is above its bound


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95% interval; of a single value, which nothing random decides, the value."""

    mean: float
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """Student's interval of the mean."""
        mean = float(np.mean(values))
        if len(values) < 2:
            return cls(mean, mean, mean, len(values))
        from scipy.stats import t  # takes a second to import

        half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
        return cls(mean, mean - half, mean + half, len(values))

    def surely_above(self, bound: float) -> bool:
        """Whether chance would put a mean this far above the bound once in a thousand times, or less often."""
        if self.seeds < 2:
            return self.mean > bound
        from scipy.stats import t

        spread = (self.mean - self.low) / float(t.ppf(0.975, self.seeds - 1))
        return self.mean - spread * float(t.ppf(0.999, self.seeds - 1)) > bound

    def as_dict(self) -> dict[str, float | int]:
        return asdict(self)


class Attack(ABC):
    """Base of the attacks.

    number: in the audit's list.  measure: what its result is; chance: what a guess gets.  bound: the largest result
    that this product may give, fixed before any run, and reason: where it comes from.  succeeds: the least result of
    the control.  sizes: of planted leaks, the largest (an unprotected twin) first, and size_of: what a size is.  found:
    the smallest of them that is found at each of 20 seeds, on the first public table that it fits
    (benchmarks/privacy.py).
    """

    number: ClassVar[int]
    name: ClassVar[str]
    who: ClassVar[str]
    needs: ClassVar[str]
    setting: ClassVar[str]
    sentence: ClassVar[str]
    measure: ClassVar[str]
    chance: ClassVar[float]
    bound: ClassVar[float]
    reason: ClassVar[str]
    succeeds: ClassVar[float]
    sizes: ClassVar[tuple[float, ...]]
    size_of: ClassVar[str]
    textbook_is: ClassVar[str]
    found: ClassVar[float | None] = None
    random: ClassVar[bool] = True  # whether a run with other random numbers can give another result
    on: ClassVar[tuple[type[Run], ...]] = (Scene,)  # kinds of runs that the methods take

    def unfit(self, scene: Any) -> str:
        """Why this attack says nothing about a run; empty where it does."""
        return ""

    def texts(self, scene: Any) -> dict[str, str]:
        """Of its texts those that are other for this run; and `expected`: why a result above the bound is what the job
        permits, where it is."""
        return {}

    @abstractmethod
    def product(self, scene: Any, seed: int) -> float:
        """The result on what this product sent; seed 0: in the run itself, others: in repetitions of it."""

    @abstractmethod
    def planted(self, scene: Any, seed: int, size: float) -> float:
        """The result on a twin with a leak of this size."""

    @abstractmethod
    def textbook(self, scene: Any, seed: int) -> float:
        """The result on the textbook protocol with the same data."""

    def untried(self, scene: Run) -> str:
        """Why it is not tried on a run of any kind; empty where it is."""
        return self.unfit(scene) if isinstance(scene, self.on) else scene.reasons.get(self.number, scene.without)

    def repetitions(self, seeds: int) -> int:
        """How many are asked for: at least LEAST, and one where nothing random decides."""
        return max(LEAST, seeds) if self.random else 1

    def over(self, scene: Any, seeds: int, until: float = math.inf) -> Estimate:
        """On a run that it fits.  Where the mean is above the bound, and chance may explain it, FURTHER repetitions
        decide.  until: when, on the monotonic clock, none begins any more beyond the first LEAST."""
        asked, values = self.repetitions(seeds), list[float]()
        self._extend(values, asked, scene, until)
        found = Estimate.of(values)
        if found.mean > self.bound and not found.surely_above(self.bound):
            self._extend(values, FURTHER, scene, until)
        return Estimate.of(values)

    def _extend(self, values: list[float], asked: int, scene: Any, until: float) -> None:
        while len(values) < asked and (len(values) < LEAST or time.monotonic() < until):
            values.append(self.product(scene, len(values)))

    def finds(self, scene: Any, seeds: int, size: float) -> bool:
        """Whether a leak of this size is found in every one of `seeds` twins: the result is above the bound."""
        return all(self.planted(scene, seed, size) > self.bound for seed in range(seeds))

    def smallest(self, scene: Any, seeds: int) -> float | None:
        """The smallest planted leak that is found at every seed, down from the largest; None where none is."""
        found = None
        for size in self.sizes:
            if not self.finds(scene, seeds, size):
                break
            found = size
        return found


@dataclass(frozen=True)
class Tried:
    """What one attack did to one run.  asked: how many repetitions were; the time may have ended before.  texts: as
    `Attack.texts`."""

    attack: Attack
    product: Estimate
    control: Estimate
    textbook: Estimate
    smallest: float | None
    asked: int = 1
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether the result is at or under the bound, and the control succeeded."""
        return self.product.mean <= self.attack.bound and self.works

    @property
    def verdict(self) -> str:
        """In words, with what the interval says of it."""
        if not self.works:
            return "control failed"
        if self.holds:
            return "holds"
        if self.texts.get("expected"):
            return "above the bound, as the job permits"
        return "above the bound" if self.product.surely_above(self.attack.bound) else "above the bound, or by chance"

    @property
    def works(self) -> bool:
        """Whether the control succeeded, without which the result means nothing."""
        return self.control.mean >= self.attack.succeeds

    def as_dict(self) -> dict[str, Any]:
        one = self.attack
        texts = ("name", "who", "needs", "setting", "sentence", "measure", "reason", "size_of", "textbook_is")
        numbers = {"number": one.number, "chance": one.chance, "bound": one.bound, "succeeds": one.succeeds}
        results = {name: getattr(self, name).as_dict() for name in ("product", "control", "textbook")}
        return (
            numbers
            | {name: self.texts.get(name, getattr(one, name)) for name in texts}
            | results
            | {"smallest": self.smallest, "asked": self.asked}
            | {"holds": self.holds, "works": self.works, "verdict": self.verdict}
            | {"expected": "" if self.holds else self.texts.get("expected", "")}
        )
