"""The guest learns the sum of the hosts' rounded predictors, and with several hosts no single one."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity, Keyring
from protocols.errors import DataError, ModelError, RemoteProtocolError
from protocols.glm import pair_masks, predictors, scoring
from protocols.session import Roles, Session
from tests.harness import TOY, Escrow, Recording, Sent
from tests.leakage.audit import not_uniform
from vfl.engine import run_local

MODEL = b"m" * 16


def score(parts: dict[str, np.ndarray], bits: int = 10, model: bytes = MODEL, transcript: list[Sent] | None = None) -> np.ndarray:
    roles = Roles("guest", tuple(parts), "arbiter")
    rows = len(next(iter(parts.values())))
    programs = {"guest": partial(scoring.guest, rows=rows, model_id=model, score_bits=bits), "arbiter": lambda s: None}
    programs |= {h: partial(scoring.host, predictor=z, model_id=MODEL, score_bits=bits) for h, z in parts.items()}
    taps = {p: [Recording(p, transcript)] for p in roles.all} if transcript is not None else None
    return run_local(roles, programs, Identity(), taps=taps)["guest"]


@pytest.mark.parametrize("hosts", [1, 2, 3])
@pytest.mark.parametrize("bits", [0, 4, 10])
def test_the_sum_of_rounded_predictors(hosts: int, bits: int) -> None:
    rng = np.random.default_rng(hosts)
    parts = {f"h{i}": rng.normal(size=50) * 20 for i in range(hosts)}
    expected = sum(np.rint(z * 2**bits) for z in parts.values()) / 2**bits
    assert np.array_equal(score(parts, bits), expected)


def test_one_host_among_several_is_masked() -> None:
    z = np.linspace(-3, 3, 400)
    transcript: list[Sent] = []
    score({"a": z, "b": -z}, transcript=transcript)
    for sent in (s for s in transcript if s.kind is scoring.Scores):
        words = np.frombuffer(sent.data[-8 * 400 :], dtype="<u8") / 2.0**64
        assert abs(words.mean() - 0.5) < 0.08
        assert abs(np.corrcoef(words, z)[0, 1]) < 0.2
    single: list[Sent] = []
    score({"a": z}, transcript=single)  # the planted fault: without masks the same check fails
    words = np.frombuffer(next(s for s in single if s.kind is scoring.Scores).data[-8 * 400 :], dtype="<i8")
    assert abs(np.corrcoef(words, z)[0, 1]) > 0.99


def test_parts_of_different_models_are_refused() -> None:
    with pytest.raises(ModelError, match="another model"):
        score({"a": np.zeros(3)}, model=b"x" * 16)


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0**20])
def test_a_score_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(DataError):
        score({"a": np.array([0.0, value])})


@pytest.mark.parametrize("relay", [b"", bytes(64), b"same" * 16])
def test_relayed_keys_that_are_not_the_hosts_own_are_refused(relay: bytes) -> None:
    def guest(session: Session) -> None:
        for channel in session.hosts:
            channel.send(scoring.ModelName(MODEL))
            channel.recv(pair_masks.MaskKey)
            channel.send(pair_masks.MaskKeys(relay))
        for channel in session.hosts:
            channel.recv(scoring.Scores)

    programs = {"guest": guest, "arbiter": lambda s: None}
    programs |= {h: partial(scoring.host, predictor=np.zeros(2), model_id=MODEL, score_bits=4) for h in ("a", "b")}
    with pytest.raises(RemoteProtocolError):
        run_local(Roles("guest", ("a", "b"), "arbiter"), programs, Identity())


@pytest.mark.parametrize("hosts", [2, 3])
def test_masks_in_training_cancel_in_the_sum_and_hide_each_host(hosts: int) -> None:
    def host(session: Session) -> list[list[int]]:
        masks = pair_masks.agree(session, "predictor")
        return [masks.integers(use, 200, 126).to_ints() for use in (0, 1)]

    names = tuple(f"h{i}" for i in range(hosts))
    programs = {"guest": pair_masks.relay, "arbiter": lambda s: None} | dict.fromkeys(names, host)
    results = run_local(Roles("guest", names, "arbiter"), programs, Identity())
    for use in (0, 1):
        assert [sum(column) for column in zip(*(results[h][use] for h in names), strict=True)] == [0] * 200
    if hosts == 2:
        assert not_uniform(results["h0"][0], 126) == []
        assert not_uniform(results["h0"][1], 126) == []
    assert results["h0"][0] != results["h0"][1]


def test_guest_and_arbiter_together_read_no_single_hosts_predictors(small_tables: tuple[pd.DataFrame, dict[str, pd.DataFrame]]) -> None:
    """What the arbiter's key opens of the guest's mail: with one host its predictors, the positive control; with two, numbers as large as masks."""
    guest, others = small_tables
    for hosts in (1, 2):
        scheme, transcript = Escrow(TOY), list[Sent]()
        federation = vfl.Federation.local(guest, dict(list(others.items())[:hosts]), on="id", label="default", cipher=scheme)
        federation.fit(
            vfl.LogisticRegression(max_iter=5, link="taylor"), taps={p: [Recording(p, transcript)] for p in federation.roles.all}
        )
        (key,), keys = scheme.keys, Keyring()
        keys.add(key.public)
        sent = [s.vectors(keys)[0] for s in transcript if s.kind is predictors.Predictor]
        values = [v for z in sent for v in key.open(z, key.public.plain_bits).to_ints()]
        large = sum(abs(v) > 2 ** (predictors.MASK - 40) for v in values)
        assert large == (0 if hosts == 1 else len(values))
