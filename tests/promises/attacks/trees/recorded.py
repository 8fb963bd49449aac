"""Recorded trainings and scorings of sealed trees, which numbers of a message must be uniform, and builds in which some
of them are not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare

from protocols import look_up
from protocols._native import PlainVec
from protocols.boosting import exact_cut, factors, gradients, keys, leaves, prepare, product, rings, rounding, sealed
from protocols.boosting.blocks import Layout
from protocols.boosting.keys import PairKeys
from protocols.boosting.params import Params
from protocols.cipher import DecryptionKey, Keyring
from protocols.curves import TABLE_BITS
from protocols.message import Disclosure, Message
from protocols.parts import Part
from protocols.randomness import Seed
from protocols.session import Session
from tests.harness import TOY, Escrow, Recording, Sent
from tests.promises.leakage import audit
from tests.unit.protocols.boosting.samples import drawn_from
from tests.unit.protocols.boosting.world import Floats, Trained, bin_blocks, roles_of, score, train

ROWS, DEPTH = 160, 3


@dataclass
class Run:
    """memberships: of each tree, the arbiter's own share of which leaf each row is in."""

    transcript: list[Sent]
    scored: list[Sent]
    keys: Keyring
    key: DecryptionKey | None
    trained: Trained
    memberships: list[Any]

    def of(self, kind: type[Message]) -> list[Any]:
        return [s.message(self.keys) for s in [*self.transcript, *self.scored] if s.kind is kind]

    @property
    def layout(self) -> Layout:
        scale = self.trained.opened.scale
        assert scale is not None
        return Layout(ROWS, DEPTH, scale.slots, TOY.bits)


def data(flip: bool = False) -> tuple[Floats, Floats]:
    """flip: with other labels, equally many of each."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(ROWS, 6))
    y = (x[:, 4] + x[:, 5] + 0.5 * rng.logistic(size=ROWS) > 0).astype(np.float64)
    return x, rng.permutation(y) if flip else y


def record(membership: str = "sealed", hosts: int = 1, flip: bool = False, *, every: bool = False) -> Run:
    """every: with weights and early stopping, so that all kinds of messages are sent."""
    x, y = data(flip)
    p = Params(n_estimators=2, max_depth=DEPTH, max_bin=6, membership=membership, min_bin_rows=5)  # type: ignore[arg-type]
    more: dict[str, Any] = {}
    if every:
        p = replace(p, early_stopping_rounds=5, n_estimators=3)
        more = {"weight": np.arange(ROWS) % 3 + 0.5, "held_out": np.arange(ROWS) % 4 == 0}
    blocks = bin_blocks([x[:, :2], x[:, 2:]] if hosts == 1 else [x[:, :2], x[:, 2:4], x[:, 4:]], p)
    scheme, transcript, scored, memberships = Escrow(TOY), list[Sent](), list[Sent](), list[Any]()
    roles, honest = roles_of(hosts), leaves.arbiter

    def arbiter(session: Session, pairs: PairKeys, label: str, rows: int, u: Any, values: Any) -> Any:
        memberships.append(u(Part(0, 1, 0, rows)))
        return honest(session, pairs, label, rows, u, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaves, "arbiter", arbiter)
        taps = {q: [Recording(q, transcript)] for q in roles.all}
        trained = train(blocks, y, p, scheme, taps=taps, randomness=drawn_from(7, hosts), **more)
        score(trained, blocks, TOY, taps={q: [Recording(q, scored)] for q in roles.all})
    keyring, key = Keyring(), scheme.keys[0] if scheme.keys else None
    if key:
        keyring.add(key.public)
    return Run(transcript, scored, keyring, key, trained, memberships)


# -- what must be uniform

Nibbles = NDArray[np.uint8]


def nibbles(data: bytes) -> Nibbles:
    whole = np.frombuffer(data, dtype=np.uint8)
    return np.concatenate([whole & 15, whole >> 4])


def of_integers(values: PlainVec, bits: int) -> Nibbles:
    """Of integers modulo 2^bits, whole bytes only."""
    size = bits // 8
    return nibbles(b"".join((v % (1 << bits)).to_bytes(size + 1, "little")[:size] for v in values.to_ints()))


def first_bytes(data: bytes, count: int) -> Nibbles:
    """Of numbers of 6 bytes, of which the last ones may be 0."""
    return nibbles(np.frombuffer(data, dtype=np.uint8).reshape(-1, rings.BYTES)[:, :count].tobytes())


def of_levels(values: list[PlainVec], layout: Layout) -> Nibbles:
    """Of one message for each level, again and again."""
    return np.concatenate([of_integers(v, layout.bits(k % layout.depth)) for k, v in enumerate(values)])


def joined_memberships(run: Run) -> Nibbles:
    """With the arbiter's own share added, which it knows: what it learns from the guest's masked share."""
    found = []
    for message, own in zip(run.of(leaves.MaskedMembership), run.memberships, strict=True):
        theirs = rings.from_bytes(message.u, own.shape, "guest")
        found.append(nibbles(rings.to_bytes(own + theirs)))
    return np.concatenate(found)


def low_bits(run: Run) -> Nibbles:
    index = np.concatenate([m.index for m in run.of(look_up.LookupIndex)]).astype(np.int64)
    return ((index >> (TABLE_BITS - 4)) & 15).astype(np.uint8)


UNIFORM: dict[type[Message], Callable[[Run], list[Nibbles]]] = {
    keys.PairKey: lambda r: [np.concatenate([nibbles(m.key) for m in r.of(keys.PairKey)])],
    sealed.TreeRowOrder: lambda r: [nibbles(r.of(sealed.TreeRowOrder)[0].seed)],
    look_up.Deal: lambda r: [
        np.concatenate([nibbles(m.seed) for m in r.of(look_up.Deal)]),
        np.concatenate([of_integers(m.products, 128) for m in r.of(look_up.Deal)]),
    ],
    look_up.LookupIndex: lambda r: [low_bits(r)],
    look_up.MaskedFactors: lambda r: [
        np.concatenate([of_integers(getattr(m, name), 128) for m in r.of(look_up.MaskedFactors)])
        for name in ("rest", "factors")
    ],
    gradients.Reshared: lambda r: [
        np.concatenate([of_integers(getattr(m, n), 128) for m in r.of(gradients.Reshared)]) for n in "gh"
    ],
    gradients.CutShare: lambda r: [
        np.concatenate([of_integers(getattr(m, n), 128) for m in r.of(gradients.CutShare)]) for n in "gh"
    ],
    factors.FactorLessPad: lambda r: [np.concatenate([of_integers(m.v, 128) for m in r.of(factors.FactorLessPad)])],
    factors.FactorShare: lambda r: [np.concatenate([of_integers(m.w, 128) for m in r.of(factors.FactorShare)])],
    factors.FactorProduct: lambda r: [
        np.concatenate([of_integers(m.v, bits) for m in r.of(factors.FactorProduct)]) for bits in (8, 128)
    ],
    sealed.LevelShares: lambda r: [of_levels([m.shares for m in r.of(sealed.LevelShares)], r.layout)],
    sealed.Blocks: lambda r: [of_levels([m.xi for m in r.of(sealed.Blocks)[:: len(r.trained.hosts)]], r.layout)],
    product.ShareLessPad: lambda r: pairs(r, product.ShareLessPad),
    product.ProductShare: lambda r: pairs(r, product.ProductShare),
    product.DirectionShare: lambda r: [
        np.concatenate([of_integers(m.s, 64) for m in r.of(product.DirectionShare)]),
        np.concatenate([nibbles(m.low) for m in r.of(product.DirectionShare)]),
    ],
    leaves.DealtLeaves: lambda r: [np.concatenate([nibbles(m.rest) for m in r.of(leaves.DealtLeaves)])],
    leaves.MaskedMembership: lambda r: [
        np.concatenate([nibbles(m.u) for m in r.of(leaves.MaskedMembership)]),
        joined_memberships(r),
    ],
    leaves.MaskedLeaves: lambda r: [np.concatenate([nibbles(m.values) for m in r.of(leaves.MaskedLeaves)])],
    rounding.DealtRounding: lambda r: [
        np.concatenate([nibbles(m.seed) for m in r.of(rounding.DealtRounding)]),
        *(nibbles(getattr(m, name)) for m in r.of(rounding.DealtRounding)[:1] for name in ("upper", "products")),
    ],
    rounding.MaskedNumbers: lambda r: [nibbles(m.numbers) for m in r.of(rounding.MaskedNumbers)],
    rounding.MaskedKey: lambda r: [nibbles(m.numbers) for m in r.of(rounding.MaskedKey)],
    exact_cut.CutOpening: lambda r: [first_bytes(m.masked, 3) for m in r.of(exact_cut.CutOpening)],
}


def pairs(run: Run, kind: type[Message]) -> list[Nibbles]:
    messages = run.of(kind)
    return [np.concatenate([of_integers(m.x, 128) for m in messages]), np.concatenate([nibbles(m.u) for m in messages])]


def chance(values: Nibbles) -> float:
    """The p-value of equally many of each of 16."""
    return float(chisquare(np.bincount(values, minlength=16)).pvalue)


def not_uniform(run: Run) -> set[str]:
    """The kinds of messages whose numbers are not."""
    sent = blinded(run)
    found = {
        kind.kind for kind, numbers in UNIFORM.items() if kind in sent and min(chance(v) for v in numbers(run)) < 1e-6
    }
    assert run.key is not None
    sums = [v for m in run.of(prepare.MaskedPadSums) for v in run.key.open_whole(m.sums).to_ints()]
    return found | ({prepare.MaskedPadSums.kind} if audit.not_uniform_modulo(sums, run.key.public) else set())


def blinded(run: Run) -> set[type[Message]]:
    return {s.kind for s in [*run.transcript, *run.scored] if s.kind.disclosure is Disclosure.BLINDED}


# -- builds in which some random numbers are missing


KEY = "key: "


@dataclass(frozen=True)
class Silent(Seed):
    """A seed that knows its label; all its numbers are 0 where `missing` matches that; its secret alone where `missing`
    begins with KEY."""

    label: str = ""
    missing: str = "$^"

    @property
    def here(self) -> bool:
        return not self.missing.startswith(KEY) and re.search(self.missing, self.label) is not None

    def child(self, label: str) -> Silent:
        made = super().child(label)
        return silent(made, f"{self.label}/{label}", self.missing)

    def words_between(self, first: int, last: int) -> NDArray[np.uint64]:
        return np.zeros(last - first, dtype=np.uint64) if self.here else super().words_between(first, last)

    def ring(self, length: int) -> PlainVec:
        return PlainVec.zeros(length) if self.here else super().ring(length)

    def integers(self, length: int, bits: int) -> PlainVec:
        return PlainVec.zeros(length) if self.here else super().integers(length, bits)


def silent(seed: Seed, label: str, missing: str) -> Silent:
    secret = bytes(32) if re.search(missing.removeprefix(KEY), label) else seed.secret
    return Silent(seed.maker, secret, label, missing)


@contextmanager
def without(missing: str) -> Iterator[None]:
    """A build that draws nothing for labels that match."""
    pair, own = PairKeys.with_, Session.seed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PairKeys, "with_", lambda self, party, label: silent(pair(self, party, label), label, missing))
        patch.setattr(Session, "seed", lambda self, label, value=b"": silent(own(self, label, value), label, missing))
        yield
