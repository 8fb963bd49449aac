"""A run under attack: what every party received, and, for scoring alone, everybody's tables.

Only where one person has all tables is there ground truth: in a federation of `vfl.Federation.local`, or in a twin with
the shapes of a run.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.boosting.sealed import TreeRowOrder
from protocols.cipher import DecryptionKey, Paillier
from protocols.ids import Ids
from protocols.randomness import Seed
from protocols.session import Roles
from vfl.api.federation import Federation
from vfl.api.training import train
from vfl.attacks.opened import KeysKept
from vfl.attacks.received import fields, moduli
from vfl.data import Table
from vfl.models.joint import Trained
from vfl.models.network.spec import Network
from vfl.models.regression.base import Regression
from vfl.models.trees.spec import BoostedTrees
from vfl.schema.spec import Spec
from vfl.taps.transcript import Entry, Transcript, TranscriptTap

Floats = NDArray[np.float64]
EPOCHS = 5  # of repetitions of a network
TREES = 40  # of repetitions: what a message tells, it tells in each
ROWS = 400  # of repetitions: with fewer unknowns an attacker has it easier
SHORT = Paillier(512)  # of repetitions: random numbers are attacked, not the length of a key
LONGER = Paillier(1024)  # where signs of losses are opened, which a shorter key cannot hide
BATCH = 50  # rows at most of a network's batch that is kept: any repetition is trained on more
DECIDE = 0.45  # of the rows of a repetition at least, where held-out rows decide when training ends: 30 are needed


@dataclass(frozen=True)
class Asked:
    """What is trained, and how."""

    federation: Federation
    estimator: Spec
    more: Mapping[str, Any] = field(default_factory=dict)  # preprocess, split, privacy, as `Federation.fit`


@dataclass(frozen=True)
class Rows:
    """The ground truth about some rows: what a planted leak needs that no run determines.  guest, hosts: the parties;
    blocks: by party, its columns, standardised (rows, columns); y (rows,): the labels."""

    guest: str
    hosts: tuple[str, ...]
    blocks: Mapping[str, Floats]
    y: Floats

    @property
    def rows(self) -> int:
        return len(self.y)

    def x(self, party: str) -> Floats:
        return self.blocks[party]


@dataclass
class Run(ABC):
    """A run of any kind.  seen: by party, what it received; ids: by data party, its whole list, in the form that is
    compared."""

    without: ClassVar[str]  # why attacks on runs of other kinds mean nothing here
    reasons: ClassVar[Mapping[int, str]] = {}  # by number of an attack, a reason of its own
    roles: Roles
    seen: Mapping[str, Transcript]
    ids: Mapping[str, Ids]

    @property
    @abstractmethod
    def kind(self) -> str:
        """Of what it made."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """That all parties have in common."""

    @property
    @abstractmethod
    def columns(self) -> dict[str, int]:
        """By data party, how many take part; none where none do."""

    @property
    def guest(self) -> str:
        return self.roles.guest

    @property
    def hosts(self) -> tuple[str, ...]:
        return self.roles.hosts

    def entries(self, *parties: str) -> list[Entry]:
        return [entry for party in parties for entry in self.seen[party].received()]


@dataclass
class Scene(Run):
    """A training."""

    without = "parties with different columns add up no numbers of members"
    asked: Asked
    trained: Trained[Any]
    made: Mapping[str, Sequence[DecryptionKey]]  # by party, the keys that it made
    kept: dict[int, Any] = field(default_factory=dict)  # by seed, what attack 16 keeps of repetitions
    _again: dict[int, Scene] = field(default_factory=dict)

    # -- the ground truth

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

    @property
    def columns(self) -> dict[str, int]:
        return {party: self.x(party).shape[1] for party in self.roles.data_parties}

    # -- what was received

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
        if seed == 0 and self.rows <= ROWS and not isinstance(self.asked.estimator, Network):
            return self
        if seed not in self._again:
            self._again[seed] = self.with_tables(self.sample(seed))
        return self._again[seed]

    def drawn(self, seed: int) -> Rows:
        """At most ROWS of its training rows."""
        chosen = np.random.default_rng([seed, self.rows]).permutation(self.rows)[:ROWS]
        blocks = {party: scaled(self.x(party)[chosen]) for party in self.roles.data_parties}
        return Rows(self.guest, self.hosts, blocks, self.y[chosen])

    def sample(self, seed: int, rows: int = ROWS) -> dict[str, Table]:
        """The parties' tables, with at most `rows` of the common rows and no other."""
        aligned = {party: self.trained.fitted[party].aligned for party in self.trained.roles.data_parties}
        common = len(aligned[self.guest])
        chosen = np.random.default_rng([seed, common]).permutation(common)[:rows]
        found = {}
        for party, table in self.asked.federation._tables.items():
            names = set(aligned[party].take(chosen).names)
            found[party] = table.take(np.flatnonzero([name in names for name in table.names]))
        return found

    def with_tables(self, tables: Mapping[str, Table], **more: Any) -> Scene:
        """A run of the same agreement on other tables, with short keys; more: as `Asked.more`, `reveal` and
        `estimator`."""
        changes = {"reveal": more.pop("reveal")} if "reveal" in more else {}
        estimator = more.pop("estimator", self.asked.estimator)
        federation, more = self.asked.federation._on(tables, key_for(estimator), **changes), {**self.asked.more, **more}
        rows = len(tables[self.guest]) if more.get("split") is None else 0
        return record(Asked(federation, repeated(estimator, rows), more))


def repeated(estimator: Spec, rows: int) -> Spec:
    """As repetitions train it: a network for a few epochs, and where the number of training rows is known on all of
    them at once, since a message that is about all rows tells most; of trees at most TREES that hosts take part in."""
    estimator = of_few_rows(estimator)
    if isinstance(estimator, BoostedTrees):
        trees = min(estimator.n_estimators, estimator.guest_only_trees + TREES)
        return estimator.model_copy(update={"n_estimators": trees})
    if not isinstance(estimator, Network):
        return estimator
    whole = {"batch_size": rows} if rows and not estimator.early_stopping else {}
    return estimator.model_copy(update={"max_iter": min(estimator.max_iter, EPOCHS), **whole})


def of_few_rows(estimator: Spec) -> Spec:
    """As at most ROWS rows can train it: no batch is larger than all of them, and enough decide when training ends."""
    changes = dict[str, object]()
    if isinstance(estimator, Network) and estimator.batch_size != "auto" and estimator.batch_size > BATCH:
        changes["batch_size"] = "auto"
    if isinstance(estimator, Network | Regression) and estimator.early_stopping:
        changes["validation_fraction"] = max(estimator.validation_fraction, DECIDE)
    return estimator.model_copy(update=changes)


def key_for(estimator: Spec) -> Paillier:
    """The shortest key under which it can be repeated."""
    by_sign = isinstance(estimator, Network | Regression) and "loss-verdict-to-parties" in estimator.permits
    return LONGER if by_sign else SHORT


def open_trees(scene: Scene) -> bool:
    """Whether rows of nodes are sent on purpose."""
    estimator = scene.asked.estimator
    return isinstance(estimator, BoostedTrees) and estimator.membership == "open"


def standardised(features: pd.DataFrame) -> Floats:
    """(rows, columns) float64 of any table's columns."""
    texts = features.select_dtypes(exclude=["number", "bool"]).columns
    whole = pd.get_dummies(features, columns=list(texts), dtype=np.float64).to_numpy(np.float64)
    return scaled(np.where(np.isnan(whole), np.nanmean(whole, axis=0), whole))


def scaled(x: Floats) -> Floats:
    """Each column less its mean, over its standard deviation."""
    scale = x.std(axis=0)
    return np.asarray((x - x.mean(axis=0)) / np.where(scale > 0, scale, 1.0))


def record(asked: Asked) -> Scene:
    """Trains, and keeps what every party received."""
    federation = asked.federation
    steps, split, privacy = (asked.more.get(name) for name in ("preprocess", "split", "privacy"))
    request = federation._request(asked.estimator, steps, split, privacy, None)
    kept: dict[str, list[Entry]] = {party: [] for party in federation.roles.all}
    taps = {party: [TranscriptTap(entries.append)] for party, entries in kept.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `Federation.fit` gives them; an audit repeats the run many times
        arguments = federation._arguments(request)
        scheme = KeysKept(arguments["scheme"])
        trained, _ = train(**arguments | {"scheme": scheme}, watched={"taps": taps})
    seen = {party: Transcript(party, entries) for party, entries in kept.items()}
    ids = {party: table.ids for party, table in federation._tables.items()}
    return Scene(trained.roles, seen, ids, asked, trained, scheme.kept)
