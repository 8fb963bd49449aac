"""The alignment by itself, one function per role: which rows all parties have in common, or how many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocols import alignment
from protocols.alignment import Alignment, Ids, IdsAway, MemorySpool, Scratch, SizeNoise
from protocols.session import Session
from vfl.data.keys import KeyLists

JOINED = " + "  # between the columns of one key


@dataclass(frozen=True)
class AlignmentPlan:
    """What the parties agreed on, beyond who they are; scratch: where this party keeps 16 bytes per row of each
    list."""

    min_intersection: int = 1
    keys: int = 1
    size_only: bool = False
    scratch: Scratch = MemorySpool
    noise: SizeNoise | None = None  # where the size alone is opened


def data_party(session: Session, keys: tuple[Ids | IdsAway, ...], plan: AlignmentPlan) -> Alignment:
    """The guest's and each host's side.  Learns which of its rows are common and by which key, or with `size_only` how
    many."""
    with session.phase("align"):
        return alignment.align(
            session,
            keys,
            plan.min_intersection,
            size_only=plan.size_only,
            scratch=plan.scratch,
            noise=plan.noise,
        )


def arbiter(session: Session, plan: AlignmentPlan) -> None:
    """The arbiter's side; with one host there is none."""
    with session.phase("align"):
        alignment.serve(session, plan.min_intersection, keys=plan.keys, size_only=plan.size_only, scratch=plan.scratch)


@dataclass(frozen=True, repr=False)
class MatchReport:
    """Sizes, as every data party may know them; repeated is each party's own business, and holds those that are known
    here."""

    rows: dict[str, int]  # by party, the rows that took part
    common: int
    by_key: dict[str, int]  # rows by the key that matched them, "phone + birth_date"; in the order of the keys
    repeated: dict[str, int]  # by party, rows left out because an earlier row had their id
    size_only: bool

    @classmethod
    def of(cls, found: Alignment, keys: KeyLists, repeated: dict[str, int], size_only: bool) -> MatchReport:
        """The report of one party's outcome."""
        by_key = {JOINED.join(key): matched for key, matched in zip(keys, found.by_key, strict=True)}
        return cls(dict(found.sizes), found.common, by_key, repeated, size_only)

    @property
    def match_rate(self) -> dict[str, float]:
        """By party, the part of its rows that is common to all."""
        return {party: self.common / rows if rows else 0.0 for party, rows in self.rows.items()}

    def content(self, party: str) -> dict[str, Any]:
        """What alignment.json of this party says of it."""
        return {
            "rows": self.rows,
            "common": self.common,
            "match_rate": self.match_rate,
            "by_key": [{"columns": key.split(JOINED), "matched": matched} for key, matched in self.by_key.items()],
            "repeated": self.repeated[party],
        }

    def lines(self) -> list[tuple[str, str]]:
        """(what, how much) of everything in it, for people."""
        found = [(f"rows of {party}", f"{rows:,}") for party, rows in self.rows.items()]
        found += [
            (f"rows of {party} left out, id repeated", f"{rows:,}") for party, rows in self.repeated.items() if rows
        ]
        found += [("common to all", f"{self.common:,}")]
        found += [(f"  by {key}", f"{matched:,}") for key, matched in self.by_key.items() if len(self.by_key) > 1]
        return found + [(f"match rate of {party}", f"{rate:.1%}") for party, rate in self.match_rate.items()]

    def __repr__(self) -> str:
        width = max(len(what) for what, _ in self.lines())
        return "\n".join(f"{what:<{width}}  {much:>11}" for what, much in self.lines())
