"""Masks that hosts share two by two: they cancel in the sum, and hide each host from guest and arbiter together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity, Keyring
from protocols.glm import pair_masks, predictors
from protocols.local import run_local
from protocols.parts import parts
from protocols.session import Roles, Session
from tests.harness import TOY, Escrow, Recording, Sent
from tests.promises.leakage import audit


@pytest.mark.parametrize("hosts", [2, 3])
def test_masks_in_training_cancel_in_the_sum_and_hide_each_host(hosts: int) -> None:
    def host(session: Session) -> list[list[int]]:
        masks = pair_masks.agree(session, "predictor")
        return [masks.integers(use, parts(200)[0], 126).to_ints() for use in (0, 1)]

    names = tuple(f"h{i}" for i in range(hosts))
    programs: Mapping[str, Any] = {"guest": pair_masks.relay, "arbiter": lambda s: None} | dict.fromkeys(names, host)
    results = run_local(Roles("guest", names, "arbiter"), programs, Identity())
    for use in (0, 1):
        assert [sum(column) for column in zip(*(results[h][use] for h in names), strict=True)] == [0] * 200
    if hosts == 2:
        assert audit.not_uniform(results["h0"][0], 126) == []
        assert audit.not_uniform(results["h0"][1], 126) == []
    assert results["h0"][0] != results["h0"][1]


def test_guest_and_arbiter_together_read_no_single_hosts_predictors(
    small_tables: tuple[pd.DataFrame, dict[str, pd.DataFrame]],
) -> None:
    """What the arbiter's key opens of the guest's mail: with one host its predictors, the positive control; with two,
    numbers as large as masks."""
    guest, others = small_tables
    for hosts in (1, 2):
        scheme, transcript = Escrow(TOY), list[Sent]()
        federation = vfl.Federation.local(
            guest, dict(list(others.items())[:hosts]), on="id", label="default", cipher=scheme, convergence=False
        )
        federation.fit(
            vfl.LogisticRegression(max_iter=5, link="taylor"),
            taps={p: [Recording(p, transcript)] for p in federation.roles.all},
        )
        (key,), keys = scheme.keys, Keyring()
        keys.add(key.public)
        sent = [s.vectors(keys)[0] for s in transcript if s.kind is predictors.Predictor]
        values = [v for z in sent for v in key.open(z, key.public.plain_bits).to_ints()]
        large = sum(abs(v) > 2 ** (predictors.MASK - 40) for v in values)
        assert large == (0 if hosts == 1 else len(values))
