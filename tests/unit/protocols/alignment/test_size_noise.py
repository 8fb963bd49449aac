"""Noise on the size of an intersection: both parties add rows of which a hidden number is common; what each learns of
the other's ids is as uncertain as promised, and half the noise is flagged."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from protocols.alignment import Alignment, Ids, SizeNoise, align, size_noise
from protocols.cipher import Identity
from protocols.errors import ConfigError, LocalProtocolError
from protocols.local import run_local
from protocols.noise import discrete_gaussian
from protocols.randomness import Seed
from protocols.session import Roles
from tests.unit.protocols.glm.test_label_noise import Resuming

NOISE = SizeNoise(Fraction(4))
BANK, SHOP = ([b"c%d" % k for k in rows] for rows in (range(40), range(15, 60)))


def sizes(
    bank: list[bytes], shop: list[bytes], hosts: tuple[str, ...] = ("shop",), **given: Any
) -> dict[str, Alignment]:
    roles = Roles("bank", hosts, "arbiter")
    programs: dict[str, Any] = {
        name: partial(align, ids=ids, min_intersection=1, **{"size_only": True, "noise": NOISE} | given)
        for name, ids in (("bank", bank), *((host, shop) for host in hosts))
    }
    found = run_local(roles, programs | {"arbiter": lambda _: None}, Identity())
    return {name: found[name] for name in ("bank", *hosts)}


def test_the_size_is_off_by_the_noise_of_both_parties(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, plain = list[int](), SizeNoise.drawn
    monkeypatch.setattr(SizeNoise, "drawn", lambda self, seed: drawn.append(plain(self, seed)) or drawn[-1])
    off = set[int]()
    for _ in range(3):
        drawn.clear()
        found = sizes(BANK, SHOP)
        assert found["bank"].by_key == found["shop"].by_key == (min(max(25 + sum(drawn), 0), 40),)
        assert found["bank"].sizes == {"bank": 40, "shop": 45}
        assert not len(found["bank"].rows)
        off.add(found["bank"].common - 25)
    assert len(drawn) == 2
    assert off != {0}


def test_a_size_is_never_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    for drawn, size in ((NOISE.half, 40), (-NOISE.half, 0)):
        monkeypatch.setattr(SizeNoise, "drawn", lambda self, seed, drawn=drawn: drawn)
        assert sizes(BANK, SHOP)["shop"].common == size


def test_lists_are_longer_by_the_same_number_whatever_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Ids.of(BANK)
    for drawn in (-NOISE.half, 0, NOISE.half):
        monkeypatch.setattr(SizeNoise, "drawn", lambda self, seed, drawn=drawn: drawn)
        session: Any = Resuming()
        session.roles, session.me = Roles("bank", ("shop",), ""), "bank"
        (found,) = size_noise.padded(session, (own,), NOISE)
        assert len(found) == len(set(found)) == len(own) + NOISE.added_rows
        assert len(set(found) & set(size_noise.pool("shop", 2 * NOISE.half))) == 2 * NOISE.half
        assert len(set(found) & set(size_noise.pool("bank", 2 * NOISE.half))) == NOISE.half + drawn


def test_two_sizes_are_as_hard_to_tell_apart_as_promised_and_half_the_noise_is_flagged() -> None:
    """What a party learns, without its own noise, of lists whose intersections differ by one id."""
    most, flagged = norm.cdf(1 / (math.sqrt(2) * float(NOISE.multiplier))), list[bool]()
    one_more = np.arange(6000) % 2
    for run in range(10):
        seed = Seed("shop", run.to_bytes(32, "big"))
        for noise in (NOISE, SizeNoise(NOISE.multiplier / 2)):
            drawn = discrete_gaussian(seed, 6000, noise.sigma)
            assert noise.drawn(seed) == discrete_gaussian(seed, 1, noise.sigma)[0]
            flagged.append(roc_auc_score(one_more, one_more + drawn) > most + 0.03)
    assert sum(flagged[::2]) <= 1
    assert sum(flagged[1::2]) >= 9


def test_one_run_draws_once() -> None:
    session: Any = Resuming()
    session.roles, session.me = Roles("bank", ("shop",), ""), "bank"
    size_noise.padded(session, (Ids.of(BANK),), NOISE)
    size_noise.padded(session, (Ids.of(BANK),), NOISE)
    session.number = 3
    with pytest.raises(LocalProtocolError, match="again under other noise"):
        size_noise.padded(session, (Ids.of(BANK),), NOISE)


def test_what_would_tell_the_size_otherwise_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not go with the rows"):
        sizes(BANK, SHOP, size_only=False)
    with pytest.raises(ConfigError, match="between two parties"):
        sizes(BANK, SHOP, ("shop", "store"))


def test_a_party_that_leaves_out_the_pool_counts_without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit that docs/protocols/noise.md states: only of parties that keep to the protocol is a size uncertain."""
    plain, off = size_noise.padded, set[int]()

    def deviating(session: Any, ids: tuple[Ids, ...], noise: SizeNoise) -> tuple[Ids]:
        if session.me == "shop":
            return plain(session, ids, noise)
        others = [size_noise.MARK + b"of no pool %d" % k for k in range(2 * noise.half)]
        return (Ids.joined([ids[0], size_noise.pool("bank", 2 * noise.half), others]),)

    monkeypatch.setattr("protocols.alignment.padded", deviating)
    for _ in range(3):
        found = sizes(BANK, SHOP)["bank"]
        off.add(found.common)
    assert off == {25}
