"""The guest's desk: takes queries of its own systems, charges budgets, hands them to the thread that asks the partners,
and answers by the fallback where they do not.

     system --> node --> ask()  queue --> the thread of the session: take(), then answered()
                          |  budgets charged before anything leaves; at the deadline: the fallback
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import VFLError
from protocols.online.asking import MOST_AT_ONCE, Asked
from vfl.job.node import Online
from vfl.job.policy import Policy
from vfl.models.content import Part
from vfl.models.kind import Kind
from vfl.node.online.asked import Answered, Ask, Reason, Score, Why
from vfl.node.online.customer import Customers, Refusal
from vfl.node.online.meeting import Lists
from vfl.run.budget.queries import PER_DAY, Queries, until_tomorrow, utc_now

MOST_WAITING = 256  # queries at once


@dataclass(eq=False, repr=False)
class Query:
    """One query on its way.  name: the canonical id; x (1, width): the own columns, as integers."""

    name: bytes | None
    x: NDArray[np.int64]
    done: threading.Event = field(default_factory=threading.Event)
    cancelled: bool = False
    predictors: NDArray[np.float64] | None = None  # (models,), where all partners know the customer
    refused: bool = False  # by a partner's budget


class Bucket:
    """At most `rate` queries per second on average, and `burst` at once."""

    def __init__(self, rate: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._now = rate, burst, now
        self._tokens, self._last, self._lock = float(burst), now(), threading.Lock()

    def take(self) -> float:
        """Takes a token: 0; or, where there is none, the seconds until there is one."""
        with self._lock:
            now = self._now()
            self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate)
            self._last = now
            if self._tokens < 1:
                return (1 - self._tokens) / self._rate
            self._tokens -= 1
            return 0.0


class Desk:
    """See the module.  Safe to use from every thread."""

    def __init__(
        self,
        part: Part,
        kind: Kind[Any, Any],
        customers: Customers,
        fallback: Any,
        queries: Queries,
        hosts: Sequence[str],
        policy: Policy,
        online: Online,
    ) -> None:
        self._part, self._kind, self._customers, self._fallback = part, kind, customers, fallback
        self._queries, self._hosts, self._policy, self._online = queries, list(hosts), policy, online
        self._bucket = Bucket(online.per_second, online.burst)
        self._waiting: deque[Query] = deque()
        self._taken: list[Query] = []  # the partners are asked about them
        self._changed = threading.Condition()
        self._epoch: Lists | None = None
        self._left = "", 0  # on a day, what the hosts still answer, less what waits

    # -- towards this party's systems

    def line(self, data: bytes) -> bytes:
        """The answer to a line: an `Answered` for an `Ask`, as JSON."""
        try:
            return msgspec.json.encode(Answered(score=self.ask(msgspec.json.decode(data, type=Ask))))
        except Refusal as refusal:
            return msgspec.json.encode(Answered(refused=refusal.answer))
        except msgspec.MsgspecError:
            return msgspec.json.encode(Answered(refused=Refusal(422, "this is no query").answer))
        except VFLError as error:
            return msgspec.json.encode(Answered(refused=Refusal(503, error.what).answer))

    def ask(self, ask: Ask) -> Score:
        """The score of a customer, by the fallback where the partners do not answer in time.  Raises Refusal."""
        if wait := self._bucket.take():
            raise Refusal(429, "more queries per second than node.online.per_second", int(wait) + 1)
        deadline = time.monotonic() + self._online.seconds
        name, row = self._customers.name(ask), self._customers.row(ask.features)
        if self._epoch is None:
            return self._partial(row, "closed")
        query = Query(name, self._kind.online_row(self._part, row))
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                raise Refusal(429, "too many queries wait for an answer", 1)
            self._charge(name)
            self._waiting.append(query)
            self._changed.notify_all()
        query.done.wait(max(0.0, deadline - time.monotonic()))
        with self._changed:
            query.cancelled = not query.done.is_set()
        if query.refused:
            raise Refusal(429, f"a partner's policy.{PER_DAY} is used up", until_tomorrow(utc_now()))
        if query.cancelled or (self._epoch is None and query.predictors is None):
            return self._partial(row, "silent")
        self._queries.settle()
        if query.predictors is None:
            return self._partial(row, "unknown")
        return self._score(row, self._kind.online_scores(self._part, query.predictors[np.newaxis]), None)

    def _charge(self, name: bytes | None) -> None:
        now = utc_now()
        day, left = self._left
        if day == f"{now:%Y-%m-%d}" and left <= 0:
            raise Refusal(429, f"a partner's policy.{PER_DAY} is used up", until_tomorrow(now))
        limits = self._policy.queries_per_partner_per_day, self._policy.queries_per_id_per_month
        refused = self._queries.ask(self._hosts, name, *limits, now)
        if refused is not None:
            raise Refusal(429, f"policy.{refused.key} of this party is used up", refused.seconds)
        self._left = day, left - 1

    def _partial(self, row: pd.DataFrame, why: Why) -> Score:
        if self._fallback is None:
            raise Refusal(503, "no partner answers, and the training of this model kept no fallback")
        return self._score(row, self._kind.alone(self._part, self._fallback, row), why)

    def _score(self, row: pd.DataFrame, scores: NDArray[np.float64], why: Why | None) -> Score:
        found = self._kind.predictions(self._part, scores)
        columns, epoch = self._kind.columns(self._part, scores), self._epoch
        classes = None
        if found.ndim > 1:
            names = [str(c) for c in self._part.classes or ()]
            classes = dict(zip(names, map(float, found[0]), strict=True))
        return Score(
            score=None if found.ndim > 1 else float(found[0]),
            classes=classes,
            points=int(columns["points"][0]) if "points" in columns else None,
            reasons=self._reasons(row),
            model_id=self._part.model_id.hex(),
            epoch=None if epoch is None or why is not None else epoch.name.hex(),
            partial=why is not None,
            why=why,
        )

    def _reasons(self, row: pd.DataFrame) -> list[Reason] | None:
        """Only where this party knows its own points."""
        found = self._kind.explained(self._part, row)
        if found is None:
            return None
        line, reasons = found.iloc[0], list[Reason]()
        for name in (str(c) for c in found.columns if str(c).startswith("reason_")):
            if line[name] is not None:
                reasons.append(Reason(bin=str(line[name]), lost=int(line[f"lost_{name.removeprefix('reason_')}"])))
        return reasons

    # -- towards the thread that asks the partners

    def opens(self, epoch: Lists) -> None:
        """Queries are answered from now on."""
        self._heard(epoch.left)
        self._epoch = epoch

    def closes(self) -> None:
        """They are not; those that wait get the fallback."""
        self._epoch = None
        with self._changed:
            for query in (*self._taken, *self._waiting):
                query.done.set()
            self._waiting.clear()
            self._taken = []

    def take(self, seconds: float) -> list[Query]:
        """Those that wait, the oldest first; none where none comes in this time."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting), seconds)
            found = list[Query]()
            while self._waiting and len(found) < MOST_AT_ONCE:
                query = self._waiting.popleft()
                if not query.cancelled:
                    found.append(query)
            self._taken = found
            return found

    def answered(self, queries: Sequence[Query], asked: Asked) -> None:
        """What came of those that were taken."""
        self._heard(asked.left)
        for at, query in enumerate(queries):
            query.refused = asked.left < 0
            if asked.known[at]:
                query.predictors = asked.predictors[at]
            query.done.set()
        self._taken = []

    def _heard(self, left: int) -> None:
        with self._changed:
            self._left = f"{utc_now():%Y-%m-%d}", left - len(self._waiting)
