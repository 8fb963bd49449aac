"""Classes that share a row's ciphertext: the same trees bit for bit, nothing of other classes in what is opened, and only where it costs less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols._native import PlainVec
from protocols.boosting import hidden, opening, packing, shared
from protocols.boosting.packing import GAP, Packing, shared_by
from protocols.boosting.params import Params
from protocols.cipher import DecryptionKey, Identity, Keyring, Paillier, Scheme
from protocols.cipher.vector import CipherVec
from protocols.errors import PlaintextOverflow
from protocols.randomness import Seed
from tests.boosting.test_equality import labels, table
from tests.boosting.test_transcript import PRESCRIBED, shapes
from tests.boosting.world import Floats, Trained, bin_blocks, joined, roles_of, same, score, train, twin_trees
from tests.harness import TOY, Escrow, Recording, Sent
from tests.leakage import audit
from vfl.docs import declared

CLASSES = 4


def params(membership: str, **change: Any) -> Params:
    small = {"n_estimators": 2, "max_depth": 3, "max_bin": 8, "min_bin_rows": 2}
    return Params(objective="multi:softprob", num_class=CLASSES, membership=membership, **(small | change))  # type: ignore[arg-type]


def together() -> Any:
    """As many classes as fit share a ciphertext, whatever it costs."""
    return patch.object(packing, "ENCRYPTION", 1e9)


def data(seed: int, rows: int, widths: list[int], p: Params) -> tuple[list[Any], Floats]:
    x, z = table(seed, rows, sum(widths), 0.1)
    return bin_blocks(np.split(x, np.cumsum(widths)[:-1], axis=1), p), labels(p, z)


def fit(scheme: Scheme, membership: str = "hidden", *, seed: int = 1, rows: int = 90, hosts: int = 1, **change: Any) -> Trained:
    """Trained with shared ciphertexts, and equal to the twin."""
    p = params(membership, **change)
    blocks, y = data(seed, rows, [2, *[3] * hosts], p)
    expected, rounds = twin_trees(blocks, y, p)
    with together():
        trained = train(blocks, y, p, scheme)
    assert same(joined(trained), expected)
    assert np.array_equal(trained.rounds.margin, rounds.margin)
    assert np.array_equal(score(trained, blocks, scheme), rounds.margin)
    return trained


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["shared", "hidden"]),
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
def test_equals_the_twin(membership: str, seed: int, rows: int, hosts: int, change: dict[str, Any]) -> None:
    for scheme in (Identity(), TOY):  # of 512 bits: at lower levels fewer classes fit, and the last ciphertext holds fewer
        fit(scheme, membership, seed=seed, rows=rows, hosts=hosts, **change)


@pytest.mark.parametrize("membership", ["shared", "hidden"])
def test_a_larger_key_takes_all_classes_at_once(membership: str) -> None:
    fit(Paillier(1024), membership, n_estimators=1)


@pytest.mark.parametrize(("membership", "expected"), [("shared", 1), ("hidden", 3)])
def test_a_row_is_encrypted_once_for_all_classes(membership: str, expected: int) -> None:
    def sent() -> int:
        p, transcript = params(membership, n_estimators=1), list[Sent]()
        blocks, y = data(1, 90, [2, 3], p)
        train(blocks, y, p, Identity(), taps={"guest": [Recording("guest", transcript)]})
        return sum(s.kind is opening.RowGradients for s in transcript)

    assert sent() == CLASSES * expected  # with so few rows it does not pay
    with together():
        assert sent() == expected


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


def readable(membership: str) -> float:
    """The part of the slots of *other* classes that lie within the range of a sum, and are so no masks."""
    with opened() as seen:
        fit(TOY, membership, n_estimators=1)
    small = total = 0
    for layout, place, values in seen:
        every = values.unpack(layout.stride, layout.classes, len(values) * layout.classes).to_ints() if layout.classes > 1 else []
        others = [v for k, v in enumerate(every) if k % layout.classes != place]
        small += sum(abs(v) < 1 << (layout.stride - GAP + 20) for v in others)
        total += len(others)
    assert total > 100
    return small / total


@pytest.mark.parametrize("membership", ["shared", "hidden"])
def test_sums_of_other_classes_are_masked_and_planted_plain_ones_are_found(membership: str) -> None:
    assert readable(membership) == 0
    with patch.object(CipherVec, "add_plain", lambda self, plain: self):
        assert readable(membership) == 1


@pytest.mark.parametrize("place", range(3))
def test_a_mask_leaves_its_class_alone(place: int) -> None:
    layout, rng = Packing(1000, 8, 2000, 2, 3), np.random.default_rng(0)
    g, h = rng.integers(-(1 << 17), 1 << 17, (3, 40)), rng.integers(0, 1 << 17, (3, 40))
    each = [layout.rows_plain(g[k, ::2], h[k, ::2]) + layout.rows_plain(g[k, 1::2], h[k, 1::2]).shift_left(layout.width) for k in range(3)]
    packed = layout.side_by_side(each).pack(layout.group_width, layout.groups)
    masked = packed + layout.masks(place, Seed("host1", b"1" * 32), Seed("host1", b"2" * 32), 20)
    found = layout.split(layout.slots(place, masked.unpack(layout.group_width, layout.groups, 20)))
    assert np.array_equal(found[0], g[place])
    assert np.array_equal(found[1], h[place])


def test_a_spilled_class_is_noticed() -> None:
    p = params("hidden", n_estimators=1)
    blocks, y = data(1, 90, [2, 3], p)
    honest = DecryptionKey.open_packed

    def spilled(self: DecryptionKey, ciphers: CipherVec, width: int, slots: int, length: int, most: int) -> PlainVec:
        return honest(self, ciphers, width, slots, length, most) + PlainVec.from_i64(np.ones(length, dtype=np.int64)).shift_left(GAP)

    with together(), patch.object(DecryptionKey, "open_packed", spilled), pytest.raises(PlaintextOverflow, match="Ask host1"):
        train(blocks, y, p, TOY)


def test_classes_share_ciphertexts_where_that_costs_less_and_fits() -> None:
    def chosen(rows: int, columns: int, bits: int = 2048, **change: Any) -> list[int]:
        p = params(change.pop("membership", "hidden"), max_depth=5, max_bin=32, **change)
        layouts = hidden.packings(p, rows, bits, [1, columns]) if p.membership == "hidden" else [shared.layout(p, rows, bits, [1, columns])]
        assert all(layout.groups >= 1 for layout in layouts)
        return [layout.classes for layout in layouts]

    assert chosen(600, 9) == [1] * 5
    assert chosen(30_000, 13) == [4, 4, 4, 4, 2]  # 16 nodes of two classes fill a plaintext
    assert chosen(30_000, 13, membership="shared") == [1]
    assert chosen(10**6, 10, membership="shared") == [4]
    assert max(chosen(10**6, 10, 2048, gradient_bits=16)) <= 4
    one = Packing(1000, 3, 2000)
    assert shared_by(one, 1, 10, 320, added=True) == one


def transcript_of(membership: str, flip: bool = False) -> tuple[list[Sent], Keyring]:
    """Of a training with shared ciphertexts; flip: with other labels."""
    p, scheme, sent = params(membership, min_bin_rows=5), Escrow(TOY), list[Sent]()
    blocks, y = data(3, 120, [2, 3], p)
    with together():
        train(
            blocks,
            np.random.default_rng(0).permutation(y) if flip else y,
            p,
            scheme,
            taps={q: [Recording(q, sent)] for q in roles_of(1).all},
        )
    keys = Keyring()
    keys.add(scheme.keys[0].public)
    return sent, keys


@pytest.mark.parametrize("membership", ["shared", "hidden"])
def test_a_transcript_of_shared_ciphertexts_has_no_finding(membership: str) -> None:
    sent, keys = transcript_of(membership)
    assert audit.undeclared(sent, declared()) == []
    assert audit.unrandomised(sent, keys) == []
    assert audit.repeated(sent, keys) == []
    assert audit.in_clear(sent, PRESCRIBED[membership]) == []


def test_hidden_classes_look_the_same_to_a_host_and_the_arbiter_whatever_the_labels() -> None:
    first, second = transcript_of("hidden")[0], transcript_of("hidden", flip=True)[0]
    for receiver in ("host1", "arbiter"):
        assert Counter(shapes(first, receiver)) == Counter(shapes(second, receiver))
