"""The verdict on the weights: the bit is that of the weights themselves, whoever holds which share, and the number that
the arbiter opens tells it little more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols import glm
from protocols._native import PlainVec
from protocols.cipher import Identity, Keyring, Scheme
from protocols.errors import ConfigError, DataError, RemoteProtocolError
from protocols.glm import settling, signs
from protocols.glm.links import IDENTITY, LOGISTIC_LINKS, POISSON, Link
from protocols.glm.plan import WEIGHT, Penalty, nu_method
from protocols.glm.progress import Judging
from protocols.glm.sealed_link import Edge
from protocols.glm.settling import EVERY, FLOOR, HALF, PACE, Look, Settled, SettlingSign
from protocols.local import run_local
from protocols.randomness import Seed
from protocols.session import Roles
from tests.harness import TOY, Recording, Sent
from tests.unit.protocols.glm.test_stopping import problem

EXACT, TAYLOR = LOGISTIC_LINKS["exact"], LOGISTIC_LINKS["taylor"]


class Run:
    """One training; points: by party and number of iterations, its weights where there was a verdict."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        link: Link,
        widths: tuple[int, ...],
        passes: int,
        scheme: Scheme | None = None,
        models: int = 1,
        n: int = 120,
        alpha: float = 1.0,
    ) -> None:
        blocks, y = problem(link, n, widths, models)
        self.roles, self.sent = Roles("guest", tuple(f"h{k}" for k in range(len(widths) - 1)), "arbiter"), list[Sent]()
        self.points: dict[tuple[str, int], list[Any]] = {}
        opened = settling.arbiter

        def watched(session: Any, key: Any, plan: Any, progress: Any, step: Any, penalised: Any) -> None:
            for party, share in progress.shares.items():
                self.points.setdefault((party, step.number + 1), []).append(np.array(share.point.to_ints(), object))
            opened(session, key, plan, progress, step, penalised)

        def own(role: Any) -> Any:
            def follows(session: Any, plan: Any, progress: Any, step: Any, *rest: Any) -> None:
                share = progress.shares[session.me]
                mine = np.array(share.point.to_ints(), object)
                self.points.setdefault((session.me, step.number + 1), []).append(mine)
                role(session, plan, progress, step, *rest)

            return follows

        monkeypatch.setattr(settling, "arbiter", watched)
        monkeypatch.setattr(settling, "guest", own(settling.guest))
        monkeypatch.setattr(settling, "host", own(settling.host))
        terms = glm.Terms(link, Penalty(alpha, mean=link is POISSON), passes, settles=True)
        programs: dict[str, Any] = {"guest": lambda s: glm.guest(s, blocks[0], y, terms, bytes(16))}
        for k, host in enumerate(self.roles.hosts):
            programs[host] = lambda s, k=k: glm.host(s, blocks[k + 1], terms)
        programs["arbiter"] = lambda s: glm.arbiter(s, s.scheme.generate("arbiter", s.seed("key")), terms)
        taps = {name: [Recording(name, self.sent)] for name in (*self.roles.data_parties, "arbiter")}
        self.results = run_local(self.roles, programs, scheme or Identity(), taps=taps)
        self.guest: glm.Trained = self.results["guest"]

    def weights(self, made: int) -> NDArray[np.float64]:
        """All parties', the guest's intercept first, after so many iterations."""
        found = [sum(self.points[party, made]) for party in self.roles.data_parties]
        return np.concatenate([np.roll(found[0], 1), *found[1:]]).astype(float) / 2**WEIGHT

    def codes(self) -> list[int]:
        found = [one for one in self.sent if one.kind is Settled and one.receiver == "guest"]
        return [one.message(Keyring()).code for one in found]  # type: ignore[attr-defined]

    def expected(self) -> list[int]:
        """The verdicts by the weights in the clear, of one model."""
        made = sorted({k for _, k in self.points})
        points = {k: self.weights(k) for k in made}
        start = np.zeros_like(points[made[0]])
        start[0] = self.start
        points[0] = start
        found = []
        for k, before in zip(made, [0, *made], strict=False):
            half = max(j for j in points if 2 * j <= k)
            length = (points[k][1:] ** 2).sum() + (len(start) - 1) * 2.0 ** (-2 * FLOOR)
            pace = PACE * EVERY * k // (k - before)
            moved = [((points[k] - points[j]) ** 2).sum() for j in (half, before)]
            found.append(int(length >= HALF**2 * moved[0] + pace**2 * moved[1]))
        return found

    start = 0.0


@pytest.mark.parametrize("widths", [(2, 3), (2, 2, 2)])
@pytest.mark.parametrize("link", [EXACT, TAYLOR, IDENTITY, POISSON], ids=["exact", "taylor", "identity", "poisson"])
def test_the_bit_is_that_of_the_weights(monkeypatch: pytest.MonkeyPatch, link: Link, widths: tuple[int, ...]) -> None:
    run = Run(monkeypatch, link, widths, 160, alpha=0.1 if link is POISSON else 1.0)
    _, y = problem(link, 120, widths)
    run.start = link.start(y[0], None)
    assert run.codes() == run.expected() == [0] * (len(run.codes()) - 1) + [1]
    assert run.guest.ends == ("settled",)
    assert run.guest.passes == (10 * len(run.codes()),)
    assert all(run.results[host].passes == run.guest.passes for host in run.roles.hosts)
    assert run.guest.passes[0] <= 150


def test_a_party_that_adds_up_wrongly_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: how far the weights moved is left out of the sum."""
    monkeypatch.setattr(Look, "factors", property(lambda look: (1, 0, 0)))
    run = Run(monkeypatch, TAYLOR, (2, 3), 60)
    run.start = TAYLOR.start(problem(TAYLOR, 120, (2, 3))[1][0], None)
    assert run.codes() != run.expected()


def test_it_is_the_same_under_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        plain = Run(patch, TAYLOR, (1, 2), 30, n=30)
    with monkeypatch.context() as patch:
        sealed = Run(patch, TAYLOR, (1, 2), 30, scheme=TOY, n=30)
    assert sealed.codes() == plain.codes()
    assert sealed.guest.ends == plain.guest.ends == ("settled",)


def test_every_class_settles_by_itself_and_the_last_iteration_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, TAYLOR, (2, 2), 15, models=3)
    assert run.guest.ends == ("unsettled",) * 3
    assert run.guest.passes == (15,) * 3
    assert run.codes() == [0, 0] * 3


def test_without_it_nothing_of_it_is_sent() -> None:
    sent: list[Sent] = []
    blocks, y = problem(TAYLOR, 60, (2, 2))
    terms = glm.Terms(TAYLOR, Penalty(1.0), 12)
    programs: dict[str, Any] = {
        "guest": lambda s: glm.guest(s, blocks[0], y, terms, bytes(16)),
        "h0": lambda s: glm.host(s, blocks[1], terms),
        "arbiter": lambda s: glm.arbiter(s, s.scheme.generate("arbiter", s.seed("key")), terms),
    }
    taps = {name: [Recording(name, sent)] for name in ("guest", "h0", "arbiter")}
    trained = run_local(Roles("guest", ("h0",), "arbiter"), programs, Identity(), taps=taps)["guest"]
    assert not {one.kind.__name__ for one in sent if "Settl" in one.kind.__name__}
    assert trained.ends == ("planned",)


class Seeds:
    """Stands in for a session: another seed for every call."""

    def __init__(self) -> None:
        self.drawn = 0

    def seed(self, label: str, value: bytes = b"") -> Any:
        self.drawn += 1
        return Seed("guest", self.drawn.to_bytes(32, "little"))


def opened(value: int, times: int, monkeypatch: pytest.MonkeyPatch | None = None) -> list[int]:
    session: Any = Seeds()
    key = Identity().generate("arbiter", session.seed("key"))
    total = key.encrypt(PlainVec.from_ints([value]), session.seed("value"))
    multiple = signs.multiple_bits(key.public, 120, 140)
    found = list[int]()
    for _ in range(times):
        noise = key.encrypt(PlainVec.from_ints([(-1) ** times << (multiple + 168)]), session.seed("noise"))
        blinded = signs.blinded(session, total, noise, 120, multiple, "settling")
        found += key.open(blinded, key.public.plain_bits).to_ints()
    return found


@pytest.mark.parametrize("value", [0, 1, 5, 2**100, -1, -7, -(2**100)])
def test_the_factor_keeps_the_sign(value: int) -> None:
    assert {found >= 0 for found in opened(value, 100)} == {value >= 0}


def test_the_factor_hides_the_size() -> None:
    """Sizes 30 bits apart: their lengths are as good as equally distributed.  The control is a factor of fixed
    length."""
    small, large = (np.array([one.bit_length() for one in opened(value, 300)]) for value in (2**20, 2**50))
    assert distance(small, large) < 0.2  # 30 bits of 320, and the noise of 300 draws
    fixed = [np.array([(value << 500).bit_length() for _ in range(300)]) for value in (2**20, 2**50)]
    assert distance(*fixed) == 1.0


def test_the_factor_hides_the_leading_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes in the ratio 1 to 1.5: the leading digits of what is opened are equally distributed.  The control is a
    factor that is uniform between two powers of two."""

    def digits(value: int) -> NDArray[np.int64]:
        return np.array([found >> (found.bit_length() - 40) for found in opened(value, 1500)])

    assert distance(digits(2 * 2**40), digits(3 * 2**40)) < 0.07  # the noise of 1,500 draws each: .05 once in twenty

    def even(seed: Any, length: int) -> int:
        return (1 << length) + seed.child("number").integers(1, length + 1).to_ints()[0] % (1 << length)

    monkeypatch.setattr(signs, "log_uniform", even)
    assert distance(digits(2 * 2**40), digits(3 * 2**40)) > 0.1


def distance(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Kolmogorov and Smirnov's."""
    at = np.unique(np.concatenate([first, second]))
    return float(np.abs((first[:, None] <= at).mean(0) - (second[:, None] <= at).mean(0)).max())


def test_a_key_without_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "LEAST_RANGE", 10_000)
    with pytest.raises(ConfigError, match="too small to hide a number of which only the sign is opened"):
        opened(1, 1)


def test_the_table_of_the_link_ends_training_late_and_the_run_early() -> None:
    """From iteration 30 on a predictor near the edge waits for the verdict; before, or without one, the run stops."""
    session: Any = type("Session", (), {"roles": Roles("guest", ("h0",), "arbiter")})()
    steps = nu_method(40)
    late, early = replace(steps[35], number=35), replace(steps[5], number=5)
    progress = Judging({}, settles=True)
    settling.meet(session, progress, Edge(2, 0), late)
    assert progress.near == 2
    with pytest.raises(DataError, match="left the range"):
        settling.meet(session, progress, Edge(1, 0), early)
    with pytest.raises(DataError, match="left the range"):
        settling.meet(session, Judging({}), Edge(1, 0), late)


def test_a_verdict_that_does_not_exist_is_refused() -> None:
    def recv(kind: Any) -> Settled:
        return Settled(3)

    arbiter = type("Channel", (), {"recv": staticmethod(recv)})()
    session: Any = type("Session", (), {"roles": Roles("guest", ("h0",), "arbiter"), "arbiter": arbiter})()
    with pytest.raises(RemoteProtocolError, match="unknown verdict"):
        settling.receive_verdict(session)


def test_the_messages_are_declared() -> None:
    assert SettlingSign.permit == Settled.permit == "convergence-to-parties"
