"""A model of an earlier release scores between processes as it did, also after its parties have renewed certificates
and keys: nothing is trained again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cryptography.hazmat.primitives import serialization

from tests.promises.compatibility.release import ARBITER, CASES, HERE, SCORES, tables
from tests.promises.processes.institutions import Ended, Institutions
from vfl.job import PERMITS
from vfl.transport import identity

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CASE = HERE / "0.1.0" / "logistic-preprocess"  # its host's weights are shared with the arbiter
ROLES = {"guest": "guest", "telecom": "host", "arbiter": "arbiter"}


def lay_out(parties: Institutions) -> None:
    """The parties of the earlier release: its job, its model parts, the key by which its arbiter sealed them."""
    parties.lay_out(tables(CASES[CASE.name], 12, 12), roles=ROLES, settings={"allow": tuple(PERMITS)})
    parties.job.write_bytes((CASE / "job.toml").read_bytes())
    own = parties.folder / "arbiter" / "identity"
    secret = ARBITER._key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate = identity._self_signed(ARBITER._key, "arbiter", 100).public_bytes(serialization.Encoding.PEM)
    (own / "key.pem").write_bytes(secret)
    (own / "cert.pem").write_bytes(certificate)
    for name in ROLES:
        if name != "arbiter":
            (parties.folder / name / "peers" / "arbiter.pem").write_bytes(certificate)
        model = parties.folder / name / "runs" / "logistic-preprocess-20260101-090000" / "model"
        model.parent.mkdir(parents=True)
        shutil.copytree(CASE / name, model)


def predictions(parties: Institutions) -> np.ndarray:
    """What the guest's file holds after a prediction by three processes."""
    started = {
        name: parties.start(
            name,
            "--model",
            str(parties.folder / name / "runs" / "logistic-preprocess-20260101-090000" / "model"),
            command="predict",
            timeout=90,
        )
        for name in ROLES
    }
    ended: dict[str, Ended] = {name: process.wait(120) for name, process in started.items()}
    assert [one.code for one in ended.values()] == [0, 0, 0], [one.err for one in ended.values()]
    return pd.read_csv(ended["guest"].folder / "scores.csv")["score"].to_numpy()


def pin(parties: Institutions, who: str, how: str) -> None:
    """All others pin the certificate that `who` has now."""
    sent = parties.folder / f"{who}.pem"
    shutil.copy(parties.folder / who / "identity" / "cert.pem", sent)
    for name in ROLES:
        if name != who:
            assert parties.here("trust", parties.folder / name, sent, how).code == 0


def test_an_old_model_and_a_new_certificate(parties: Institutions) -> None:
    lay_out(parties)
    recorded = np.array(json.loads((CASE / SCORES).read_text())["predictions"])
    np.testing.assert_allclose(predictions(parties), recorded, rtol=1e-12)
    assert parties.here("renew", parties.folder / "guest").code == 0
    pin(parties, "guest", "--add")
    assert parties.here("renew", parties.folder / "arbiter", "--new-key").code == 0
    pin(parties, "arbiter", "--replace")
    np.testing.assert_allclose(predictions(parties), recorded, rtol=1e-12)
    kept = next(Path(parties.folder / "arbiter" / "identity").glob("until-*"))
    shutil.copy(kept / "key.pem", parties.folder / "arbiter" / "identity" / "key.pem")  # the planted fault: the old key
    shutil.copy(kept / "cert.pem", parties.folder / "arbiter" / "identity" / "cert.pem")
    model = parties.folder / "arbiter" / "runs" / "logistic-preprocess-20260101-090000" / "model"
    parties.here("predict", parties.job, parties.file("arbiter"), "--model", model).says(7, "were not sealed by this")
