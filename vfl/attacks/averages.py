"""An averaging of members under attack: what aggregator and members received, and everybody's tables."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from vfl.api.members import Members
from vfl.attacks.scene import Run
from vfl.models.averaging.course import SCALE
from vfl.models.averaging.spec import Averaging
from vfl.models.privacy import Privacy
from vfl.taps.transcript import Entry, Transcript, TranscriptTap


@dataclass
class Averaged(Run):
    """members: with their tables; estimator, privacy: as they were averaged."""

    without = "every member has the labels of its own rows, and no message is about single rows"
    reasons: ClassVar[Mapping[int, str]] = {
        1: "members compare no ids",
        2: "members compare no ids",
        7: "no product is made of one party's columns and another's weights",
        8: "averagings train no trees",
        9: "averagings train no trees",
        10: "averagings train no trees",
        11: "each member scores its own rows, and sends no score",
        12: "no ciphertext is under a public key that adds: updates are under masks, and shares of masks in boxes",
        14: "every member trains the whole model on its own columns: no embedding is sent",
        15: "made for logistic regressions of parties with different columns: of an averaged model it was not tried",
        16: "made for alignments and for parties with different columns: of an averaging it was not tried",
        17: "no column is binned by labels of another party",
    }
    members: Members
    estimator: Averaging
    privacy: Privacy | None = None
    _again: dict[int, Averaged] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return "averaging"

    @property
    def rows(self) -> int:
        return sum(len(table) for table in self.members._tables.values())

    @property
    def columns(self) -> dict[str, int]:
        return dict.fromkeys(self.roles.members, len(self.members.columns))

    def again(self, seed: int) -> Averaged:
        """The same with other random numbers."""
        if seed == 0:
            return self
        if seed not in self._again:
            self._again[seed] = record_averaging(self.members, self.estimator, self.privacy)
        return self._again[seed]

    def first_numbers(self, member: str) -> list[int]:
        """What a member adds to the first sum, in units of 2^-SCALE: sums of its columns and its label, and of their
        squares."""
        table = self.members._tables[member][[*self.members.columns, self.members._label]].to_numpy(np.float64)
        return [round(float(one) * 2**SCALE) for one in (*table.sum(axis=0), *(table**2).sum(axis=0))]


def record_averaging(members: Members, estimator: Averaging, privacy: Privacy | None = None) -> Averaged:
    """Averages, and keeps what every party received."""
    kept: dict[str, list[Entry]] = {party: [] for party in members.roles.all}
    taps = {party: [TranscriptTap(entries.append)] for party, entries in kept.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `Members.fit` gives them; an audit repeats the run
        members.fit(estimator, privacy=privacy, taps=taps)
    seen = {party: Transcript(party, entries) for party, entries in kept.items()}
    return Averaged(members.roles, seen, {}, members, estimator, privacy)
