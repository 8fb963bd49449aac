"""An alignment by itself under attack: what every party received, and everybody's ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

from protocols.alignment import Alignment
from protocols.cipher import Identity
from protocols.ids import Ids
from protocols.local import run_local
from protocols.session import Roles
from vfl.attacks.scene import Run
from vfl.steps import alignment
from vfl.steps.alignment import AlignmentPlan
from vfl.taps.transcript import Entry, Transcript, TranscriptTap

Lists = Mapping[str, tuple[Ids, ...]]  # by data party, its ids under each key


@dataclass
class Aligning(Run):
    """keys: by data party, its ids under each key; plan: what was agreed."""

    without = "an alignment trains no model"
    reasons: ClassVar[Mapping[int, str]] = {
        12: "an alignment sends no ciphertext under a public key: its lists are what attack 1 reads"
    }
    keys: Lists
    plan: AlignmentPlan
    common: int
    kept: dict[int, Any] = field(default_factory=dict)  # by seed, what attack 16 keeps of repetitions

    @property
    def kind(self) -> str:
        return "alignment"

    @property
    def rows(self) -> int:
        return self.common

    @property
    def columns(self) -> dict[str, int]:
        return {}

    def of(self, keys: Lists) -> Aligning:
        """The same agreement on other lists."""
        return record_alignment(self.roles, keys, self.plan)


def record_alignment(roles: Roles, keys: Lists, plan: AlignmentPlan) -> Aligning:
    """Aligns, and keeps what every party received."""
    kept: dict[str, list[Entry]] = {party: [] for party in roles.all}
    taps = {party: [TranscriptTap(entries.append)] for party, entries in kept.items()}
    programs: dict[str, Any] = {
        party: partial(alignment.data_party, keys=own, plan=replace(plan, min_intersection=0))
        for party, own in keys.items()
    }
    programs[roles.arbiter] = partial(alignment.arbiter, plan=replace(plan, min_intersection=0))
    found: dict[str, Alignment] = run_local(roles, programs, Identity(), taps=taps)
    seen = {party: Transcript(party, entries) for party, entries in kept.items()}
    return Aligning(roles, seen, {party: own[0] for party, own in keys.items()}, keys, plan, found[roles.guest].common)
