"""Networks that tests train between parties of one process."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols import network
from protocols._native import PlainVec
from protocols.channel import Tap
from protocols.cipher import Scheme
from protocols.glm.plan import WEIGHT
from protocols.local import run_local
from protocols.network import training
from protocols.network.descent import Descent
from protocols.network.plan import Terms
from protocols.session import Roles, Session
from tests.harness import ContextFree
from tests.unit.protocols.network.twin import Twin

Floats = NDArray[np.float64]
TERMS = Terms((3,), "tanh", "logistic", 4, 20, 0.5)


def run(
    blocks: list[Floats],
    y: Floats,
    terms: Terms,
    scheme: Scheme,
    taps: dict[str, list[Tap]] | None = None,
    *,
    fixed: bool = False,
    weights: Floats | None = None,
) -> dict[str, Any]:
    """By party what it has of the trained model; fixed: every run draws the same numbers; weights: of rows."""
    hosts = tuple(f"host{k}" for k in range(1, len(blocks)))

    def arbiter(session: Session) -> network.Kept:
        return network.arbiter(session, scheme.generate("arbiter", session.seed("key")), terms)

    programs: dict[str, Any] = {
        "guest": partial(network.guest, x=blocks[0], y=y, terms=terms, model_id=bytes(16), weights=weights)
    }
    programs |= {h: partial(network.host, x=b, terms=terms) for h, b in zip(hosts, blocks[1:], strict=True)}
    roles = Roles("guest", hosts, "arbiter")
    randomness = {party: ContextFree(party) for party in roles.all} if fixed else None
    return run_local(roles, programs | {"arbiter": arbiter}, scheme, taps=taps, randomness=randomness)


class Started:
    """What all parties held when training began."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.shares, self.plan, self.order = dict[tuple[str, str], PlainVec](), None, None
        honest = training.turns

        def turns(session: Session, plan: Any, order: Any, descent: Descent, *rest: Any) -> Any:
            self.shares |= {(session.me, name): share.weights for name, share in descent.shares.items()}
            if session.me == "guest":
                self.plan, self.order = plan, order
            return honest(session, plan, order, descent, *rest)

        patch.setattr(training, "turns", turns)

    def whole(self, owner: str, name: str) -> NDArray[Any]:
        total = self.shares[owner, name] + self.shares["arbiter", name]
        return np.array(total.to_ints(), dtype=object)

    def twin(self, hosts: list[str]) -> Twin:
        """In the clear, from the same initial weights."""
        assert self.plan is not None
        terms = self.plan.terms
        first = [self.whole(party, party).reshape(terms.units, -1) for party in ("guest", *hosts)]
        own = np.concatenate([first[0][:, :-1], *first[1:], first[0][:, -1:]], axis=1)
        further = [
            (self.whole("guest", f"W{k}").reshape(shape), self.whole("guest", f"C{k}"))
            for k, shape in enumerate(terms.further, 1)
        ]
        return Twin(self.plan, own, further)


def opened(found: dict[str, Any], terms: Terms) -> Floats:
    """All weights of a trained network, as numbers: what no party knows."""
    kept, hosts = found["arbiter"], sorted(party for party in found if party.startswith("host"))
    whole = {
        p: (found[p].shares.latest + kept.shares[p].latest).view(np.int64) / 2.0**WEIGHT for p in ("guest", *hosts)
    }
    extra = training.further_width(terms)
    guest, behind = whole["guest"][:, :-extra], whole["guest"][:, -extra:].ravel()
    first = np.concatenate([guest[:, :-1], *(whole[h] for h in hosts), guest[:, -1:]], axis=1)
    count = sum(units * inputs + units for units, inputs in terms.further)
    return np.concatenate([first.ravel(), behind[:count]])
