"""A guest, hosts and an arbiter that score rows of whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.cipher import Identity, Scheme, key_offer
from protocols.glm import scoring
from protocols.glm.plan import FEATURE
from protocols.glm.scoring import UNIT, Own
from protocols.glm.shares import NAME, WeightShares
from protocols.local import run_local
from protocols.session import Roles, Session
from tests.harness import Recording, Sent
from tests.parts import words

MODEL, FIRST = b"m" * 16, b"f" * NAME
Numbers = NDArray[np.int64]


class World:
    """A guest and hosts with integer columns and weights of `models` models; of the parties in `shared` the arbiter
    holds a share."""

    def __init__(
        self,
        hosts: int = 1,
        rows: int = 30,
        width: int = 3,
        models: int = 1,
        shared: str = "guest h0 h1 h2",
        seed: int = 0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.roles = Roles("guest", tuple(f"h{k}" for k in range(hosts)), "arbiter")
        parties = self.roles.data_parties
        self.x = {p: rng.integers(-(6 << FEATURE), 6 << FEATURE, (rows, width)) for p in parties}
        self.w = {p: words(rng.normal(size=(models, width))) for p in parties}
        self.error = {p: rng.integers(-(1 << 29), 1 << 29, (rows, models)) for p in self.roles.hosts}
        self.held: dict[str, WeightShares] = {}
        self.own: dict[str, WeightShares] = {}
        for p in parties:
            if p in shared.split():
                mine = rng.integers(0, 1 << 63, self.w[p].shape, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
                self.own[p], self.held[p] = (
                    WeightShares((FIRST,), mine[None]),
                    WeightShares((FIRST,), (self.w[p] - mine)[None]),
                )
            else:
                self.own[p] = WeightShares((), self.w[p][None])

    @property
    def wanted(self) -> NDArray[np.float64]:
        """(rows, models) what the guest must get, by integers in the clear."""
        total = sum(
            self.x[p].astype(object) @ self.w[p].view(np.int64).astype(object).T for p in self.roles.data_parties
        )
        return np.asarray((total + sum(self.error.values())).astype(np.float64) / 2.0**UNIT)

    def part(self, party: str, rows: Numbers | slice = slice(None)) -> Own:
        error = self.error.get(party)
        x = np.ascontiguousarray(self.x[party][rows])
        return Own(MODEL, x, self.own[party], bool(self.held), None if error is None else error[rows])

    def score(
        self,
        scheme: Scheme | None = None,
        transcript: list[Sent] | None = None,
        rows: Any = slice(None),
        **changed: Any,
    ) -> Any:
        """The guest's scores; all shares move on.  changed: another program of a party."""

        def data_party(session: Session) -> Any:
            me = session.me
            if not self.own[me].whole:
                key_offer.accept(session)
            return (scoring.guest if me == "guest" else scoring.host)(session, self.part(me, rows))

        def arbiter(session: Session) -> Any:
            if not self.held:
                return {}
            key = session.scheme.generate("arbiter", session.seed("key"))
            key_offer.offer(session, key, list(self.held))
            return scoring.arbiter(session, key, MODEL, self.held)

        programs = dict.fromkeys(self.roles.data_parties, data_party) | {"arbiter": arbiter} | changed
        taps = None if transcript is None else {p: [Recording(p, transcript)] for p in self.roles.all}
        results = run_local(self.roles, programs, scheme or Identity(), taps=taps)
        found, moved = results["guest"]
        for party in self.held:
            own = moved if party == "guest" else results[party]
            self.own[party], self.held[party] = own.alone, results["arbiter"][party].alone
        return found
