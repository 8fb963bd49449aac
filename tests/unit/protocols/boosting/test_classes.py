"""Classes of open trees that share a row's ciphertext: the same trees bit for bit, nothing of other classes in what is
opened, and only where it costs less."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols._native import PlainVec
from protocols.boosting import open, opening, packing
from protocols.boosting.packing import GAP, Packing, shared_by
from protocols.boosting.params import Params
from protocols.cipher import DecryptionKey, Identity, Keyring, Paillier, Scheme
from protocols.cipher.vector import CipherVec
from protocols.errors import PlaintextOverflow
from protocols.randomness import Seed
from tests.harness import TOY, Escrow, Recording, Sent
from tests.promises.leakage import audit
from tests.promises.leakage.trees.test_transcript import PRESCRIBED
from tests.unit.protocols.boosting.samples import tables
from tests.unit.protocols.boosting.world import Trained, joined, roles_of, same, score, train, twin_trees
from tools.leakage_page import declared

CLASSES = 4


def params(**change: Any) -> Params:
    small = {"n_estimators": 2, "max_depth": 3, "max_bin": 8, "min_bin_rows": 2}
    return Params(objective="multi:softprob", num_class=CLASSES, membership="open", **(small | change))


def together() -> Any:
    """As many classes as fit share a ciphertext, whatever it costs."""
    return patch.object(packing, "ENCRYPTION", 1e9)


def fit(scheme: Scheme, *, seed: int = 1, rows: int = 90, hosts: int = 1, **change: Any) -> Trained:
    """Trained with shared ciphertexts, and equal to the twin."""
    p = params(**change)
    blocks, y = tables(p, [2, *[3] * hosts], seed=seed, rows=rows)
    expected, rounds = twin_trees(blocks, y, p)
    with together():
        trained = train(blocks, y, p, scheme)
    assert same(joined(trained), expected)
    assert np.array_equal(trained.rounds.margin, rounds.margin)
    assert np.array_equal(score(trained, blocks, scheme), rounds.margin)
    return trained


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 500),
    st.integers(20, 120),
    st.integers(1, 2),
    st.fixed_dictionaries(
        {
            "max_depth": st.integers(1, 3),
            "gradient_bits": st.sampled_from([3, 8]),
            "min_bin_rows": st.sampled_from([1, 4]),
            "subsample": st.sampled_from([1.0, 0.7]),
            "colsample_bytree": st.sampled_from([1.0, 0.6]),
            "guest_only_trees": st.integers(0, 1),
        }
    ),
)
def test_equals_the_twin(seed: int, rows: int, hosts: int, change: dict[str, Any]) -> None:
    for scheme in (
        Identity(),
        TOY,
    ):  # of 512 bits: at lower levels fewer classes fit, and the last ciphertext holds fewer
        fit(scheme, seed=seed, rows=rows, hosts=hosts, **change)


def test_a_larger_key_takes_all_classes_at_once() -> None:
    fit(Paillier(1024), n_estimators=1)


def test_a_row_is_encrypted_once_for_all_classes() -> None:
    def sent() -> int:
        p, transcript = params(n_estimators=1), list[Sent]()
        blocks, y = tables(p, [2, 3], seed=1, rows=90)
        train(blocks, y, p, Identity(), taps={"guest": [Recording("guest", transcript)]})
        return sum(s.kind is opening.RowGradients for s in transcript)

    assert sent() == CLASSES  # with so few rows it does not pay
    with together():
        assert sent() == 1


@contextmanager
def opened() -> Iterator[list[tuple[Packing, int, PlainVec]]]:
    """What the guest decrypts: groups of slots, with their layout and the place of the class that was asked for."""
    seen: list[tuple[Packing, int, PlainVec]] = []
    honest = Packing.slots

    def slots(self: Packing, place: int, values: PlainVec) -> PlainVec:
        seen.append((self, place, values))
        return honest(self, place, values)

    with patch.object(Packing, "slots", slots):
        yield seen


def readable() -> float:
    """The part of the slots of *other* classes that lie within the range of a sum, and are so no masks."""
    with opened() as seen:
        fit(TOY, n_estimators=1)
    small = total = 0
    for layout, place, values in seen:
        every = (
            values.unpack(layout.stride, layout.classes, len(values) * layout.classes).to_ints()
            if layout.classes > 1
            else []
        )
        others = [v for k, v in enumerate(every) if k % layout.classes != place]
        small += sum(abs(v) < 1 << (layout.stride - GAP + 20) for v in others)
        total += len(others)
    assert total > 100
    return small / total


def test_sums_of_other_classes_are_masked_and_planted_plain_ones_are_found() -> None:
    assert readable() == 0
    with patch.object(CipherVec, "add_plain", lambda self, plain: self):
        assert readable() == 1


@pytest.mark.parametrize("place", range(3))
def test_a_mask_leaves_its_class_alone(place: int) -> None:
    layout, rng = Packing(1000, 8, 2000, 2, 3), np.random.default_rng(0)
    g, h = rng.integers(-(1 << 17), 1 << 17, (3, 40)), rng.integers(0, 1 << 17, (3, 40))
    each = [
        layout.rows_plain(g[k, ::2], h[k, ::2]) + layout.rows_plain(g[k, 1::2], h[k, 1::2]).shift_left(layout.width)
        for k in range(3)
    ]
    packed = layout.side_by_side(each).pack(layout.group_width, layout.groups)
    masked = packed + layout.masks(place, Seed("host1", b"1" * 32), Seed("host1", b"2" * 32), 20)
    found = layout.split(layout.slots(place, masked.unpack(layout.group_width, layout.groups, 20)))
    assert np.array_equal(found[0], g[place])
    assert np.array_equal(found[1], h[place])


def test_a_spilled_class_is_noticed() -> None:
    p = params(n_estimators=1)
    blocks, y = tables(p, [2, 3], seed=1, rows=90)
    honest = DecryptionKey.open_packed

    def spilled(self: DecryptionKey, ciphers: CipherVec, width: int, slots: int, length: int, most: int) -> PlainVec:
        return honest(self, ciphers, width, slots, length, most) + PlainVec.from_i64(
            np.ones(length, dtype=np.int64)
        ).shift_left(GAP)

    with (
        together(),
        patch.object(DecryptionKey, "open_packed", spilled),
        pytest.raises(PlaintextOverflow, match="Ask host1"),
    ):
        train(blocks, y, p, TOY)


def test_classes_share_ciphertexts_where_that_costs_less_and_fits() -> None:
    def chosen(rows: int, columns: int, bits: int = 2048, **change: Any) -> int:
        layout = open.layout(params(max_depth=5, max_bin=32, **change), rows, bits, [1, columns])
        assert layout.groups >= 1
        return layout.classes

    assert chosen(30_000, 13) == 1
    assert chosen(10**6, 10) == 4
    assert chosen(10**6, 10, 2048, gradient_bits=16) <= 4
    one = Packing(1000, 3, 2000)
    assert shared_by(one, 1, 10, 320, added=True) == one


def transcript_of() -> tuple[list[Sent], Keyring]:
    """Of a training with shared ciphertexts."""
    p, scheme, sent = params(min_bin_rows=5), Escrow(TOY), list[Sent]()
    blocks, y = tables(p, [2, 3], seed=3, rows=120)
    with together():
        train(blocks, y, p, scheme, taps={q: [Recording(q, sent)] for q in roles_of(1).all})
    keys = Keyring()
    keys.add(scheme.keys[0].public)
    return sent, keys


def test_a_transcript_of_shared_ciphertexts_has_no_finding() -> None:
    sent, keys = transcript_of()
    assert audit.undeclared(sent, declared()) == []
    assert audit.unrandomised(sent, keys) == []
    assert audit.repeated(sent, keys) == []
    assert audit.in_clear(sent, PRESCRIBED["open"]) == []
