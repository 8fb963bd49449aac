"""A run under attack: what every party received, and, for scoring alone, everybody's tables.

Only where one person has all tables is there ground truth: in a federation of `vfl.Federation.local`, or in a twin with
the shapes of a run.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.boosting.sealed import TreeRowOrder
from protocols.cipher import Paillier
from protocols.randomness import Seed
from vfl.api.federation import Federation
from vfl.api.training import train
from vfl.attacks.received import fields, moduli
from vfl.data import Table
from vfl.models.joint import Trained
from vfl.schema.spec import Spec
from vfl.taps.transcript import Entry, Transcript, TranscriptTap

Floats = NDArray[np.float64]
ROWS = 400  # of repetitions: with fewer unknowns an attacker has it easier
SHORT = Paillier(512)  # of repetitions: random numbers are attacked, not the length of a key


@dataclass(frozen=True)
class Asked:
    """What is trained, and how."""

    federation: Federation
    estimator: Spec
    more: Mapping[str, Any] = field(default_factory=dict)  # preprocess, split, privacy, as `Federation.fit`


@dataclass
class Scene:
    """One run.  seen: by party, what it received."""

    asked: Asked
    trained: Trained[Any]
    seen: Mapping[str, Transcript]
    _again: dict[int, Scene] = field(default_factory=dict)

    # -- who, and the ground truth

    @property
    def guest(self) -> str:
        return self.trained.roles.guest

    @property
    def hosts(self) -> tuple[str, ...]:
        return self.trained.roles.hosts

    @property
    def arbiter(self) -> str:
        return self.trained.roles.arbiter

    @property
    def kind(self) -> str:
        return self.trained.kind.name

    def table(self, party: str) -> Table:
        """A data party's training rows, in the order that all share."""
        fitted = self.trained.fitted[party]
        inside = ~fitted.held_out
        if (validation := getattr(fitted, "validation", None)) is not None:
            inside = inside & ~validation
        table: Table = fitted.aligned.take(np.flatnonzero(inside))
        return table

    def x(self, party: str) -> Floats:
        """(rows, columns) its columns, standardised; categories as 0/1 columns, gaps as the mean."""
        return standardised(self.table(party).features)

    @cached_property
    def y(self) -> Floats:
        label = self.table(self.guest).label
        assert label is not None
        return label.to_numpy(np.float64)

    @property
    def rows(self) -> int:
        return len(self.y)

    # -- what was received

    def entries(self, *parties: str) -> list[Entry]:
        return [entry for party in parties for entry in self.seen[party].received()]

    @cached_property
    def keys(self) -> dict[bytes, int]:
        """The public keys, which everybody knows."""
        return moduli(self.entries(*self.seen))

    @cached_property
    def order(self) -> NDArray[np.int64] | None:
        """The secret order of rows of sealed trees, which guest and hosts know; None where there is none."""
        for entry in self.entries(*self.hosts):
            if entry.message == TreeRowOrder.kind:
                (seed,) = (value for _, _, value in fields(entry))
                return Seed(self.guest, seed).permutation(self.rows)
        return None

    # -- runs like it

    def again(self, seed: int) -> Scene:
        """A repetition with other random numbers, on at most ROWS rows; seed 0: the run itself if it is that small."""
        if seed == 0 and self.rows <= ROWS:
            return self
        if seed not in self._again:
            self._again[seed] = self.with_tables(self.sample(seed))
        return self._again[seed]

    def sample(self, seed: int) -> dict[str, Table]:
        """The parties' tables, with at most ROWS of the common rows and no other."""
        aligned = {party: self.trained.fitted[party].aligned for party in self.trained.roles.data_parties}
        common = len(aligned[self.guest])
        chosen = np.random.default_rng([seed, common]).permutation(common)[:ROWS]
        found = {}
        for party, table in self.asked.federation._tables.items():
            names = set(aligned[party].index[chosen])
            found[party] = table.take(np.flatnonzero([name in names for name in table.index]))
        return found

    def with_tables(self, tables: Mapping[str, Table], **more: Any) -> Scene:
        """A run of the same agreement on other tables, with short keys; more: as `Asked.more`, and `reveal`."""
        changes = {"reveal": more.pop("reveal")} if "reveal" in more else {}
        federation = self.asked.federation._on(tables, SHORT, **changes)
        return record(Asked(federation, self.asked.estimator, {**self.asked.more, **more}))


def standardised(features: pd.DataFrame) -> Floats:
    """(rows, columns) float64 of any table's columns."""
    texts = features.select_dtypes(exclude=["number", "bool"]).columns
    whole = pd.get_dummies(features, columns=list(texts), dtype=np.float64).to_numpy(np.float64)
    whole = np.where(np.isnan(whole), np.nanmean(whole, axis=0), whole)
    scale = whole.std(axis=0)
    return np.asarray((whole - whole.mean(axis=0)) / np.where(scale > 0, scale, 1.0))


def record(asked: Asked) -> Scene:
    """Trains, and keeps what every party received."""
    federation = asked.federation
    steps, split, privacy = (asked.more.get(name) for name in ("preprocess", "split", "privacy"))
    request = federation._request(asked.estimator, steps, split, privacy, None)
    kept: dict[str, list[Entry]] = {party: [] for party in federation.roles.all}
    taps = {party: [TranscriptTap(entries.append)] for party, entries in kept.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `Federation.fit` gives them; an audit repeats the run many times
        trained, _ = train(**federation._arguments(request), watched={"taps": taps})
    return Scene(asked, trained, {party: Transcript(party, entries) for party, entries in kept.items()})
