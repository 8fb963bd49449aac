"""The alignment by itself, one function per role: which rows all parties have in common, or how many."""

from __future__ import annotations

from dataclasses import dataclass

from protocols import alignment
from protocols.alignment import Alignment, Ids, MemorySpool, Scratch
from protocols.session import Session


@dataclass(frozen=True)
class AlignmentPlan:
    """What the parties agreed on, beyond who they are; scratch: where this party keeps 16 bytes per row of each list."""

    min_intersection: int = 1
    keys: int = 1
    size_only: bool = False
    scratch: Scratch = MemorySpool


def data_party(session: Session, keys: tuple[Ids, ...], plan: AlignmentPlan) -> Alignment:
    """The guest's and each host's side.  Learns which of its rows are common and by which key, or with `size_only` how many."""
    with session.phase("align"):
        return alignment.align(session, keys, plan.min_intersection, size_only=plan.size_only, scratch=plan.scratch)


def arbiter(session: Session, plan: AlignmentPlan) -> None:
    """The arbiter's side; with one host there is none."""
    with session.phase("align"):
        alignment.serve(session, plan.min_intersection, keys=plan.keys, size_only=plan.size_only, scratch=plan.scratch)
