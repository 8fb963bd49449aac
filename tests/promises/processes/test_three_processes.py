"""Three processes give what one process gives, in whatever order they start: direct iterations bit for bit, prepared
ones, whose pads are random in each attempt, within the documented units."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Paillier
from protocols.local import run_local
from protocols.randomness import Randomness
from tests.promises.processes.institutions import KEY, Ended, Institutions
from vfl.data import read_source
from vfl.job import load_job, load_party
from vfl.ledger import verify_ledger
from vfl.models.part_files import load_part
from vfl.models.regression.part import GlmPart
from vfl.run.session import Ready
from vfl.run.train import prepare, program
from vfl.transport.identity import Identity


def seed(name: str) -> bytes:
    """A run seed for a test."""
    return name.encode().ljust(32, b".")


def by_seed(parties: Institutions, order: list[str], wait: float) -> dict[str, Ended]:
    """Runs the parties with known seeds, started in this order, `wait` seconds apart."""
    started = {}
    for name in order:
        started[name] = parties.run(
            ["-m", "tests.promises.processes.seeded", seed(name).hex(), str(parties.job), str(parties.file(name))], name
        )
        time.sleep(wait)
    results = {name: process.wait(100) for name, process in started.items()}
    assert [r.code for r in results.values()] == [0] * len(order), results
    return results


def prepared(parties: Institutions) -> dict[str, Ready]:
    return {name: prepare(load_job(parties.job), load_party(parties.file(name))) for name in parties.roles}


def randomness(ready: dict[str, Ready]) -> dict[str, Randomness]:
    return {name: Randomness(name, seed(name), one.input_digest()) for name, one in ready.items()}


def check_same(found: Path, expected: GlmPart) -> None:
    """The model part in a folder equals this one in every bit."""
    part, _ = load_part(found)
    assert isinstance(part, GlmPart)
    assert part.model_id == expected.model_id
    assert part.shares.names == expected.shares.names
    np.testing.assert_array_equal(part.shares.values, expected.shares.values)
    np.testing.assert_array_equal(part.standardiser.mean, expected.standardiser.mean)
    np.testing.assert_array_equal(part.standardiser.scale, expected.standardiser.scale)
    assert (part.score_key, part.classes) == (expected.score_key, expected.classes)


@pytest.mark.slow
def test_processes_equal_one_process_bit_for_bit(parties: Institutions) -> None:
    """The same job by three processes and by three threads, guest first; with a held-out part."""
    parties.lay_out(preparation="none")
    results = by_seed(parties, ["bank", "telecom", "trustco"], 0.5)
    ready = prepared(parties)
    programs = {name: program(one) for name, one in ready.items()}
    local = run_local(ready["bank"].roles, programs, Paillier(2048), randomness=randomness(ready))
    for name in ("bank", "telecom"):
        check_same(results[name].folder / "model", local[name].part)
    own = parties.folder / "trustco" / "identity"
    kept, _ = load_part(results["trustco"].folder / "model", Identity.load(own / "key.pem", own / "cert.pem"))
    assert {p: one.latest.tolist() for p, one in kept.shares.items()} == {
        p: one.latest.tolist() for p, one in local["trustco"].shares.items()
    }
    sealed = (results["trustco"].folder / "model" / "weights.safetensors").read_bytes()
    assert not any(one.latest.tobytes() in sealed for one in kept.shares.values())
    shown = parties.here("model", "show", results["trustco"].folder / "model")
    assert (shown.code, "bank" in shown.out, "sealed by this party's key" in " ".join(shown.out.split())) == (
        0,
        True,
        True,
    )
    report = json.loads(results["bank"].report.read_text())
    assert report["alignment"]["intersection"] == len(local["bank"].aligned) == 64
    assert report["model"]["weights_known"] is False
    assert not {"coefficients", "intercept"} & set(report["model"])
    assert 0 < report["metrics"]["test"]["joint"]["log_loss"] < 1
    for name, result in results.items():
        certificate = (parties.folder / name / "identity" / "cert.pem").read_bytes()
        check = verify_ledger(result.folder / "ledger.jsonl", certificate)
        assert (check.party, check.outcome, check.signed) == (name, "done", True)
        assert not (result.folder / "unconfirmed").exists()


def test_processes_equal_one_process_within_the_documented_units(parties: Institutions) -> None:
    """Iterations that are prepared, as they are by default."""
    parties.lay_out(max_iter=6)
    results = by_seed(parties, ["telecom", "trustco", "bank"], 0.5)
    ready = prepared(parties)
    programs = {name: program(one) for name, one in ready.items()}
    local = run_local(ready["bank"].roles, programs, Paillier(2048), randomness=randomness(ready))
    own = parties.folder / "trustco" / "identity"
    kept, _ = load_part(results["trustco"].folder / "model", Identity.load(own / "key.pem", own / "cert.pem"))
    for name in ("bank", "telecom"):
        part, _ = load_part(results[name].folder / "model")
        weights, expected = (
            (ours.shares.latest + theirs.shares[name].latest).view(np.int64)
            for ours, theirs in ((part, kept), (local[name].part, local["trustco"]))
        )
        assert not np.array_equal(part.shares.latest, local[name].part.shares.latest)
        assert np.abs(weights - expected).max() <= 3 * 6 < np.abs(expected).min()


def federation_equals(
    parties: Institutions, results: dict[str, Ended], frames: dict[str, pd.DataFrame], label: str, key: str
) -> None:
    """Parties called as in a local federation, and the federation with the same seeds: the same model."""
    federation = vfl.Federation.local(
        frames["guest"],
        {"telecom": frames["telecom"]},
        on=key,
        label=label,
        min_intersection=5,
        preparation="none",
    )
    with pytest.warns(UserWarning, match="112-bit"):
        model = federation.fit(
            vfl.LogisticRegression(max_iter=5, key_bits=2048, link="taylor"), randomness=randomness(prepared(parties))
        )
    for name in ("guest", "telecom"):
        check_same(results[name].folder / "model", model.parts[name])


LOCAL_ROLES = {"guest": "guest", "telecom": "host", "arbiter": "arbiter"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*the later one in the alphabet", "ignore:.*the weights had not settled")
def test_processes_equal_the_federation_bit_for_bit(parties: Institutions) -> None:
    """As `Federation.local` of a notebook, started in the opposite order: who dials waits for who listens."""
    from tests.promises.processes.institutions import tables

    data = tables()
    parties.lay_out(
        {"guest": data["bank"], "telecom": data["telecom"]}, roles=LOCAL_ROLES, test=0.0, preparation="none"
    )
    results = by_seed(parties, ["telecom", "arbiter", "guest"], 0.5)
    frames = {name: read_source(parties.folder / name / "customers.csv", keys=[KEY]) for name in ("guest", "telecom")}
    federation_equals(parties, results, frames, "canarylabel", KEY)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:.*the weights had not settled")
def test_uci_credit_equals_the_federation_bit_for_bit(parties: Institutions, data_folder: Path) -> None:
    """30,000 real clients; the bank's columns and the partner's."""
    table = pd.read_csv(data_folder / "uci_credit_card.csv").rename(
        columns={"default.payment.next.month": "canarylabel"}
    )
    own = ["LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"]
    data = {"guest": table[["ID", "canarylabel", *own]], "telecom": table.drop(columns=[*own, "canarylabel"])}
    parties.lay_out(data, roles=LOCAL_ROLES, test=0.0, keys=["ID"], normalise={"ID": "text"}, preparation="none")
    results = by_seed(parties, ["arbiter", "guest", "telecom"], 0.5)
    frames = {name: read_source(parties.folder / name / "customers.csv", keys=["ID"]) for name in ("guest", "telecom")}
    federation_equals(parties, results, frames, "canarylabel", "ID")
