"""How the iterations of a regression or scorecard are made, before anything is sent: in which chunks they are prepared,
or on shares of Gram matrices."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.cipher import HEAD_ROOM
from protocols.glm import Terms, chunks, gram
from protocols.glm.gram_layout import Layout
from protocols.glm.plan import Plan, rows_log2
from protocols.glm.slots import Slots
from protocols.glm.terms import NO_SCALE, scaled
from vfl.models.workload import Workload


def chunks_of(terms: Terms, parties: int, rows: int, passes: int, key_bits: int) -> Sequence[Slots]:
    """Over this number of rows, where labels' means and weights of rows are 1; none where none are prepared.  passes:
    where terms leave them open.

    Raises ConfigError where a plaintext has no room for one masked gradient, or one prepared iteration."""
    plan = plan_of(terms, parties, rows, passes, key_bits)
    return chunks.layouts(plan, scaled(terms, NO_SCALE), terms.stopping) if terms.prepared else ()


def gram_of(terms: Terms, work: Workload, key_bits: int) -> Layout | None:
    """The layout of shares of Gram matrices; None where a training computes without them."""
    if not gram.may(terms, work.hosts):
        return None
    plan = plan_of(terms, 1 + work.hosts, work.rows, work.passes, key_bits)
    models = work.classes if work.classes > 2 else 1
    layout = Layout.of(plan, max(1, work.guest_columns + terms.intercept), max(1, work.host_columns), models)
    return layout if layout.pays(plan) else None


def plan_of(terms: Terms, parties: int, rows: int, passes: int, key_bits: int) -> Plan:
    """Raises ConfigError where a plaintext has no room for one masked gradient."""
    link, plain_bits = scaled(terms, NO_SCALE), key_bits - HEAD_ROOM - 1
    return link.plan(
        rows_log2(rows), terms.penalty, terms.passes or passes, parties, plain_bits, terms.sgd, settles=terms.settles
    )
