"""In which chunks the iterations of a regression or scorecard are prepared, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.cipher import HEAD_ROOM
from protocols.glm import Terms, chunks
from protocols.glm.plan import rows_log2
from protocols.glm.slots import Slots
from protocols.glm.terms import NO_SCALE, scaled


def chunks_of(terms: Terms, parties: int, rows: int, passes: int, key_bits: int) -> Sequence[Slots]:
    """Over this number of rows, where labels' means and weights of rows are 1; none where none are prepared.  passes:
    where terms leave them open.

    Raises ConfigError where a plaintext has no room for one masked gradient, or one prepared iteration."""
    link = scaled(terms, NO_SCALE)
    plain_bits = key_bits - HEAD_ROOM - 1
    plan = link.plan(rows_log2(rows), terms.penalty, terms.passes or passes, parties, plain_bits, terms.sgd)
    return chunks.layouts(plan, link) if terms.prepared else ()
