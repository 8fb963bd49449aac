"""Weights of a linear link that have overflowed are noticed, although nothing that is opened in training is checked for
its size, and there is no table whose edge predictors could leave: scores are beyond their range (docs/adr/0039-masks.md)."""  # noqa: E501

from __future__ import annotations

from functools import partial

import pytest

from protocols import glm
from protocols._native import PlainVec
from protocols.cipher import Identity
from protocols.errors import DataError
from protocols.glm.block import Share, fixed_point
from protocols.glm.links import IDENTITY, Link
from protocols.glm.plan import Penalty, Step, rows_log2
from protocols.glm.slots import LIFT
from protocols.local import run_local
from protocols.session import Roles, Session
from tests.harness import TOY
from tests.unit.protocols.glm.scoring_world import MODEL, World
from tests.unit.protocols.glm.test_glm import TAYLOR, problem

ROWS, WIDTHS, PASSES = 40, (2, 3), 6
SCHEMES = {True: Identity(), False: TOY}  # the identity refuses direct gradients that leave their slots


def trained(link: Link, *, prepared: bool) -> World:
    """What guest, host and arbiter hold after a training whose weights stay shared, and the rows that they score."""
    blocks, y = problem(n=ROWS, widths=WIDTHS)
    terms = glm.Terms(link, Penalty(1.0), PASSES, prepared=prepared, reveal=())

    def arbiter(session: Session) -> glm.Kept:
        return glm.arbiter(session, session.scheme.generate("arbiter", session.seed("key")), terms)

    programs = {
        "guest": partial(glm.guest, x=blocks[0], targets=y[None], terms=terms, model_id=MODEL),
        "h0": partial(glm.host, x=blocks[1], terms=terms),
        "arbiter": arbiter,
    }
    found = run_local(Roles("guest", ("h0",), "arbiter"), programs, SCHEMES[prepared])  # type: ignore[arg-type]
    world = World(1, ROWS)
    world.x = {party: fixed_point(x, party == "guest") for party, x in zip(("guest", "h0"), blocks, strict=True)}
    world.own = {party: found[party].shares for party in ("guest", "h0")}
    world.held = dict(found["arbiter"].shares)
    return world


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("link", [TAYLOR, IDENTITY], ids=["taylor", "linear"])
def test_weights_that_overflowed_are_noticed(link: Link, prepared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: one share of a gradient that leaves its modulus once, before the last iterations."""
    assert abs(trained(link, prepared=prepared).score()).max() < 100
    plan = link.plan(rows_log2(ROWS), Penalty(1.0), PASSES, len(WIDTHS), SCHEMES[prepared].bits - 41)
    modulus, honest = 1 << (plan.gradient_bits + 1 + LIFT if prepared else plan.width), Share.step
    planted = list[int]()

    def step(self: Share, gradient: PlainVec, shift: int, how: Step) -> None:
        if how.number == 2 and not planted:
            planted.append(how.number)
            gradient = gradient + PlainVec.from_ints([modulus, *[0] * (len(gradient) - 1)])
        honest(self, gradient, shift, how)

    monkeypatch.setattr(Share, "step", step)
    world = trained(link, prepared=prepared)
    assert planted
    with pytest.raises(DataError, match="beyond 2\\^20"):
        world.score()
