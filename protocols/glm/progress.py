"""What a training changes from step to step, at every party: its shares of the weights, where the loss was lowest so
far, and what the verdicts (stopping.py, settling.py) have decided.  It is what a checkpoint stores.

Verdict on a loss.  It is lower than the lowest so far by `tol` or more: continue.  Otherwise the better of this point
and the best so far is taken, and momentum restarts from there; if it had just restarted, training ends there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.cipher import CipherVec, EncryptionKey
from protocols.glm.block import Share
from protocols.glm.plan import Step, nesterov
from protocols.recovery.checkpoint import Arrays

MOST_VERDICTS = 100  # on a loss, in one training: each answers a question of an arbiter that deviates
# how a training ended: by the limit of its iterations; its loss did not improve; by the limit, before its weights
# settled; its weights settled; its predictors left the link's table; all planned iterations, unwatched
End = Literal["limit", "loss", "unsettled", "settled", "edge", "planned"]
ENDS: tuple[End, ...] = get_args(End)
GO_ON, ANEW_HERE, ANEW_AT_BEST, END_HERE, END_AT_BEST = range(5)


@dataclass(frozen=True)
class Stopping:
    """Training ends when the loss has not improved by `tol` in `every` iterations.  validation: it is that of rows held
    out, not of those trained on."""

    tol: float
    every: int
    validation: bool = False

    def within(self, passes: int) -> Stopping:
        """The same with at most MOST_VERDICTS in this number of iterations: there are more of them between two."""
        return replace(self, every=max(self.every, -(-passes // MOST_VERDICTS)))

    def due(self, step: Step) -> bool:
        """Whether the loss is evaluated when this iteration is over."""
        return (step.number + 1) % self.every == 0


@dataclass
class Progress:
    """Shares of weights by their owner's name, and what decides the next step: what an iteration changes, and what a
    checkpoint stores."""

    shares: dict[str, Share]
    stopping: Stopping | None = None
    best: dict[str, PlainVec] = field(
        default_factory=dict
    )  # the shares where the loss was lowest, when it has been evaluated
    anew: int = 0  # the number of the step with which momentum began
    over: bool = False
    settles: bool = False  # a verdict on the weights may end training (settling.py)
    ends: End = "limit"  # how it ends, if this step is its last
    earlier: dict[int, dict[str, PlainVec]] = field(default_factory=dict)  # shares, by the iterations made
    name: tuple[bytes, int] = (b"", 0)  # at guest and arbiter, of the model and its number: no other training has it

    def __post_init__(self) -> None:
        if self.settles:
            self._keep(0)

    def evaluation(self, what: str, step: Step) -> bytes:
        """The name of the verdict on `what` after this step, whatever attempt it is."""
        model_id, number = self.name
        return f"{what}|{step.number}|{number}|".encode() + model_id

    def step(self, planned: Step) -> Step:
        """The factors of this iteration: the plan's, or Nesterov's since momentum began."""
        if self.stopping is None:
            return planned
        since = planned.number - self.anew
        return replace(nesterov(since + 1)[since], number=planned.number, last=planned.last)

    def tried(self, step: Step) -> bool:
        """Whether momentum had just restarted when the iterations before this verdict began."""
        assert self.stopping is not None
        return self.anew > 0 and step.number + 1 - self.anew == self.stopping.every

    def possible(self, step: Step) -> tuple[int, ...]:
        """The verdicts on a loss that there can be after this step."""
        if not self.best:
            return (GO_ON,)
        return (GO_ON, END_HERE, END_AT_BEST) if self.tried(step) else (GO_ON, ANEW_HERE, ANEW_AT_BEST)

    def follow(self, code: int, step: Step) -> None:
        """What a verdict means, after this step."""
        if code in (ANEW_AT_BEST, END_AT_BEST):
            for party, share in self.shares.items():
                share.point = self.best[party]
        self.best = {party: share.point for party, share in self.shares.items()}
        if code != GO_ON:
            self.anew = step.number + 1
            for share in self.shares.values():
                share.trail = share.point
        self.over = code in (END_HERE, END_AT_BEST)
        self.ends = "loss" if self.over else self.ends

    def conclude(self, end: End | None, step: Step) -> None:
        """What a verdict on the weights means, after this step."""
        if end is None:
            self._keep(step.number + 1)
        else:
            self.over, self.ends, self.anew = True, end, step.number + 1

    def _keep(self, made: int) -> None:
        """Remembers the shares after this iteration, and forgets those before half of it but the last."""
        least = max((k for k in self.earlier if 2 * k <= made), default=0)
        self.earlier = {k: shares for k, shares in self.earlier.items() if k >= least}
        self.earlier[made] = {party: share.point for party, share in self.shares.items()}

    @property
    def ended(self) -> End:
        """How training ended."""
        if self.settles:
            return "unsettled" if self.ends == "limit" else self.ends
        return "planned" if self.stopping is None else self.ends

    def is_over(self) -> bool:
        """Whether the step before was the last."""
        return self.over

    def passes(self, planned: int) -> int:
        """How many were made of those planned, when training has ended."""
        return self.anew if self.over else planned

    def save(self) -> Arrays:
        parts = {
            f"{p} {name}": part
            for p, s in self.shares.items()
            for name, part in (("point", s.point), ("trail", s.trail))
        }
        parts |= {f"{party} best": point for party, point in self.best.items()}
        parts |= {f"{p} after {k}": point for k, shares in self.earlier.items() for p, point in shares.items()}
        arrays = {name: np.frombuffer(part.to_bytes(), np.uint8) for name, part in parts.items()}
        watched = self.settles or self.stopping is not None
        return arrays | {"stopping": np.array(self._numbers(), np.int64)} if watched else arrays

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        def part(name: str) -> PlainVec:
            return PlainVec.from_bytes(saved[name].tobytes())

        for party, share in self.shares.items():
            share.point, share.trail = part(f"{party} point"), part(f"{party} trail")
        self.best = {party: part(f"{party} best") for party in self.shares if f"{party} best" in saved}
        if self.settles:
            made = {int(name.rsplit(" ", 1)[1]) for name in saved if " after " in name}
            self.earlier = {k: {party: part(f"{party} after {k}") for party in self.shares} for k in sorted(made)}
        if self.settles or self.stopping is not None:
            self._take(saved["stopping"].tolist())

    def _numbers(self) -> list[int]:
        return [self.anew, int(self.over), ENDS.index(self.ends)]

    def _take(self, numbers: list[int]) -> None:
        self.anew, self.over, self.ends = numbers[0], bool(numbers[1]), ENDS[numbers[2]]


@dataclass
class Comparing(Progress):
    """The same at the guest, which holds the lowest loss so far under the arbiter's key."""

    key: EncryptionKey | None = None
    lowest: CipherVec | None = None

    def judged(self, code: int, loss: CipherVec, step: Step) -> None:
        """Follows the verdict on this loss."""
        if code not in (ANEW_AT_BEST, END_AT_BEST):
            self.lowest = loss
        self.follow(code, step)

    def save(self) -> Arrays:
        kept = {} if self.lowest is None else {"lowest": np.frombuffer(self.lowest.raw.to_bytes(), np.uint8)}
        return super().save() | kept

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        super().load(saved)
        self.lowest = None
        if "lowest" in saved:
            assert self.key is not None
            self.lowest = CipherVec(self.key, self.key.raw.ciphers_from_bytes(saved["lowest"].tobytes()))


@dataclass
class Judging(Progress):
    """The same at the arbiter, which alone opens how losses compare."""

    beyond: int = 0  # rows beyond the link's knee, when last counted, and at the best point
    best_beyond: int = 0
    near: int = 0  # rows that were near the edge of the link's table since the last verdict on the weights

    def judge(self, improved: bool, lower: bool, step: Step) -> int:
        """The verdict after this step, which is followed.  improved: the loss is lower than the lowest so far by `tol`;
        lower: at all; the first loss is both."""
        code = GO_ON
        if not improved:
            code = {
                (False, True): ANEW_HERE,
                (False, False): ANEW_AT_BEST,
                (True, True): END_HERE,
                (True, False): END_AT_BEST,
            }[self.tried(step), lower]
        if code in (ANEW_AT_BEST, END_AT_BEST):
            self.beyond = self.best_beyond
        else:
            self.best_beyond = self.beyond
        self.follow(code, step)
        return code

    def _numbers(self) -> list[int]:
        return [*super()._numbers(), self.beyond, self.best_beyond, self.near]

    def _take(self, numbers: list[int]) -> None:
        super()._take(numbers)
        self.beyond, self.best_beyond, self.near = numbers[3:]
