"""A toy model between a guest, hosts and an arbiter, whose epochs are published and asked in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.cipher import Identity, Scheme, key_offer
from protocols.cipher.keys import DecryptionKey
from protocols.glm.plan import FEATURE
from protocols.glm.scoring import UNIT
from protocols.glm.shares import NAME, Moved, WeightShares
from protocols.local import run_local
from protocols.online import asking, epoch, publishing, query
from protocols.online.epoch import GuestEpoch, Listed
from protocols.online.lists import Form
from protocols.session import Roles, Session
from tests.harness import Recording, Sent
from tests.parts import words

MODEL, FIRST = b"m" * 16, b"f" * NAME
Numbers = NDArray[np.int64]
Asks = Callable[[Session, GuestEpoch], Any]


def alone(moved: Mapping[str, Moved]) -> dict[str, WeightShares]:
    """What holders keep when all have theirs."""
    return {party: one.alone for party, one in moved.items()}


def everything(count: int) -> int:
    """A budget that is never used up."""
    return 1 << 30


@dataclass
class OnlineWorld:
    """Hosts that know `rows` ids each, all but one of them common; of the parties in `shared` the arbiter holds a
    share of the weights."""

    hosts: int = 1
    rows: int = 30
    width: int = 3
    models: int = 1
    shared: str = ""
    seed: int = 0
    meter: publishing.Meter = everything
    settle: Callable[[], None] = lambda: None
    x: dict[str, Numbers] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.roles = Roles("guest", tuple(f"h{k}" for k in range(self.hosts)), "arbiter")
        parties, width, models = self.roles.data_parties, self.width, self.models
        self.x = {p: rng.integers(-(6 << FEATURE), 6 << FEATURE, (self.rows, width)) for p in parties}
        self.w = {p: words(rng.normal(size=(models, width))) for p in parties}
        self.error = {p: rng.integers(-(1 << 29), 1 << 29, (self.rows, models)) for p in self.roles.hosts}
        self.ids = {
            h: [b"id %d" % i for i in range(1, self.rows)] + [b"only %d" % k] for k, h in enumerate(self.roles.hosts)
        }
        self.held, self.own = dict[str, WeightShares](), dict[str, WeightShares]()
        for p in parties:
            self.own[p] = WeightShares((), self.w[p][None])
            if p in self.shared.split():
                mine = rng.integers(0, 1 << 63, self.w[p].shape, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
                self.own[p] = WeightShares((FIRST,), mine[None])
                self.held[p] = WeightShares((FIRST,), (self.w[p] - mine)[None])

    @property
    def form(self) -> Form:
        return Form(self.models, 0)

    def wanted(self, own: Numbers, row: int) -> NDArray[np.float64]:
        """(models,) what the guest must get for its own columns and a row of the hosts, by integers in the clear."""
        total = own.astype(object) @ self.w["guest"].view(np.int64).astype(object).T
        for h in self.roles.hosts:
            total = total + self.x[h][row].astype(object) @ self.w[h].view(np.int64).astype(object).T
            total = total + self.error[h][row].astype(object)
        return np.asarray(total.astype(np.float64) / 2.0**UNIT)

    def run(
        self,
        asks: Asks,
        scheme: Scheme | None = None,
        transcript: list[Sent] | None = None,
        taps: Mapping[str, Sequence[Any]] | None = None,
        **changed: Callable[[Session], Any],
    ) -> Any:
        """What `asks` returned at the guest; changed: another program of a party."""
        key: list[DecryptionKey] = []

        def guest(session: Session) -> Any:
            if not self.own["guest"].whole:
                key_offer.accept(session)
            shared = tuple(self.held)
            begun = epoch.guest(
                session, MODEL, self.own["guest"], self.form, shared, lambda m: self.own.update(alone(m))
            )
            found = asks(session, begun)
            for channel in (*session.hosts, session.arbiter):
                channel.send(asking.OnlineEnd(True))
            return found

        def host(session: Session) -> Any:
            me = session.me
            if not self.own[me].whole:
                key_offer.accept(session)
            start: publishing.EpochStart | None = session.guest.recv(publishing.EpochStart)
            while start is not None:
                listed = Listed(MODEL, self.ids[me], self.x[me], self.own[me], self.error[me], self.form)
                begun = epoch.host(session, start, listed, keep=lambda m: self.own.update(alone(m)))
                start = query.serve_host(session, begun, self.meter, self.settle)

        def arbiter(session: Session) -> Any:
            if self.held:
                key.append(session.scheme.generate("arbiter", session.seed("key")))
                key_offer.offer(session, key[0], list(self.held))
            start: publishing.EpochStart | None = session.guest.recv(publishing.EpochStart)
            while start is not None:
                own = key[0] if key else None
                model = MODEL if self.held else None
                begun = epoch.arbiter(session, start, own, model, self.held, lambda m: self.held.update(alone(m)))
                start = query.serve_arbiter(session, begun, own)

        programs = {"guest": guest, "arbiter": arbiter} | dict.fromkeys(self.roles.hosts, host) | changed
        recording = {} if transcript is None else {p: [Recording(p, transcript)] for p in self.roles.all}
        return run_local(self.roles, programs, scheme or Identity(), taps=taps or recording, deadline=3600)["guest"]
