"""`vfl predict` between processes: right scores, the right refusals, and the run budget."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.harness import KNOWN
from tests.parts import predictor
from tests.promises.processes.institutions import KEY, Ended, Institutions, tables
from vfl.job import PERMITS
from vfl.ledger import read_ledger
from vfl.models.part_files import load_part, save_part
from vfl.transport.identity import create_identity


def new_tables(parties: Institutions) -> dict[str, pd.DataFrame]:
    """New customers of both, in files beside the old ones: no label, other rows, another order, a column more."""
    made = tables(rows=60, seed=8, overlap=0.7)
    made["bank"] = made["bank"].drop(columns="canarylabel").sample(frac=1, random_state=4).assign(extra="text")
    for name, table in made.items():
        table.to_csv(parties.folder / name / "new.csv", index=False)
    return made


def trained(parties: Institutions, **job: object) -> dict[str, Path]:
    """Each party's model folder after a short run."""
    parties.lay_out(**job)  # type: ignore[arg-type]
    return parties.models(parties.done())


def predicted(parties: Institutions, models: dict[str, Path], *more: str) -> dict[str, Ended]:
    started = {}
    for name, model in models.items():
        new = ["--data", str(parties.folder / name / "new.csv")] if parties.roles[name] != "arbiter" else []
        started[name] = parties.start(
            name, "--model", str(model), *new, *(more if name == "bank" else ()), command="predict"
        )
    return {name: process.wait(40) for name, process in started.items()}


def expected(parties: Institutions, models: dict[str, Path], data: dict[str, pd.DataFrame]) -> pd.Series:
    """Probabilities by id from both parts, in the clear."""
    total = pd.Series(0.0, index=data["bank"][KEY])
    for name, part in parties.whole(models).items():
        total = total + pd.Series(predictor(part, data[name])[:, 0], index=data[name][KEY])
    return 1 / (1 + np.exp(-total.reindex(data["bank"][KEY])))


def test_predict_and_what_it_refuses(parties: Institutions) -> None:
    """One training serves all: scores in the guest's order with gaps, then each fault with its exit code and nothing of
    ours sent."""
    models = trained(parties)
    data = new_tables(parties)
    results = predicted(parties, models)
    assert [r.code for r in results.values()] == [0, 0, 0], results
    *_, counts, file, _ = results["bank"].err.splitlines()
    empty = "the score of the other 18 is empty: 18 that a partner does not know, or cannot score either"
    assert counts == f"42 of 60 rows are scored; {empty}"
    path = Path(file.removeprefix("scores: "))
    assert path == results["bank"].folder / "scores.csv"
    assert path.stat().st_mode & 0o777 == 0o600
    scores = pd.read_csv(path)
    assert list(scores.columns) == [KEY, "score"]
    assert list(scores[KEY]) == list(data["bank"][KEY])
    np.testing.assert_allclose(scores["score"], expected(parties, models, data), atol=2.0**-11)
    kept = {name: shutil.copytree(model, parties.folder / name / "copy") for name, model in models.items()}
    report = json.loads(results["bank"].report.read_text())
    assert (report["purpose"], report["alignment"]["intersection"]) == ("predict", 42)
    assert not list((parties.folder / "telecom" / "runs").rglob("scores.csv"))
    assert set(report["model"]["shares"]["bank"]) == {"before", "now"}
    outside = parties.folder / "out.parquet"
    again = predicted(parties, models, "--out", str(outside))
    assert f"scores: {outside}" in again["bank"].err.splitlines()
    written = pd.read_parquet(outside)  # the same bits, though all shares have moved on
    assert written[KEY].tolist() == scores[KEY].tolist()
    assert written["score"].to_numpy().tobytes() == scores["score"].to_numpy().tobytes()
    assert outside.stat().st_mode & 0o777 == 0o600
    for name, model in models.items():
        assert (model / "weights.safetensors").read_bytes() != (kept[name] / "weights.safetensors").read_bytes()
        assert (model / "manifest.json").read_bytes() == (kept[name] / "manifest.json").read_bytes()
    assert not list(again["bank"].folder.glob("scores.*"))
    before = {name: parties.sent(name) for name in parties.roles}
    for fault in (
        lost_column,
        another_party,
        another_job,
        withheld_column,
        no_model,
        the_arbiter,
        no_such_folder,
        host_with_out,
        an_unknown_suffix,
        a_file_that_exists,
        a_torn_row,
        a_permit_withdrawn,
        another_identity,
    ):
        fault(parties, models)
    assert {name: parties.sent(name) for name in parties.roles} == before
    parts_of_two_models(parties, models)
    an_old_copy(parties, models, kept)


def alone(
    parties: Institutions, name: str, *options: object, code: int, words: tuple[str, ...], job: Path | None = None
) -> None:
    ended = parties.here("predict", "--progress", "none", *options, job or parties.job, parties.file(name))
    ended.says(code, *words)
    assert "CANARY-" not in ended.err


def lost_column(parties: Institutions, models: dict[str, Path]) -> None:
    changed = parties.folder / "changed.csv"
    pd.read_csv(parties.folder / "telecom" / "new.csv").rename(columns={"canarybill": "bill_2027"}).to_csv(
        changed, index=False
    )
    alone(
        parties, "telecom", "--model", models["telecom"], "--data", changed,
        code=3, words=("telecom: feature column 'canarybill' is not in the table, which has .*'bill_2027'", "Correct the name"),  # noqa: E501
    )  # fmt: skip


def another_party(parties: Institutions, models: dict[str, Path]) -> None:
    alone(
        parties,
        "bank",
        "--model",
        models["telecom"],
        code=7,
        words=("is the part of another party .expected bank, found telecom", "Name"),
    )


def another_job(parties: Institutions, models: dict[str, Path]) -> None:
    other = parties.folder / "other.toml"
    other.write_text(parties.job.read_text().replace("C = 1.0", "C = 2.0"))
    alone(
        parties,
        "bank",
        "--model",
        models["bank"],
        job=other,
        code=7,
        words=("trained by another job", "vfl job digest"),
    )


def withheld_column(parties: Institutions, models: dict[str, Path]) -> None:
    text = parties.file("telecom").read_text()
    parties.change("telecom", '# columns = ["limit", "age"]', 'columns = ["canarylate"]')
    alone(
        parties,
        "telecom",
        "--model",
        models["telecom"],
        code=6,
        words=("data.columns does not list: canarybill", "Train a model without"),
    )
    parties.file("telecom").write_text(text)


def no_model(parties: Institutions, models: dict[str, Path]) -> None:
    alone(parties, "bank", code=2, words=("--model is missing", "Name the model folder"))


def the_arbiter(parties: Institutions, models: dict[str, Path]) -> None:
    alone(parties, "trustco", code=2, words=("the arbiter's shares are needed to score", "Name the model folder"))
    alone(
        parties,
        "trustco",
        "--model",
        models["trustco"],
        "--data",
        "x.csv",
        code=2,
        words=("the arbiter holds no data", "Leave --data out"),
    )
    alone(
        parties,
        "trustco",
        "--model",
        models["bank"],
        code=7,
        words=("is the part of another party .expected trustco, found bank",),
    )
    alone(
        parties,
        "bank",
        "--model",
        models["trustco"],
        code=7,
        words=("is the part of another party .expected bank, found trustco",),
    )


def a_permit_withdrawn(parties: Institutions, models: dict[str, Path]) -> None:
    """Whoever takes a permission back that the model needs: its own process says so, and nothing leaves."""
    for name, model in models.items():
        text = parties.file(name).read_text()
        parties.change(name, '  "scores-to-guest",\n', "")
        alone(
            parties,
            name,
            "--model",
            model,
            code=6,
            words=(
                f"{name}: the job allows what this party's policy.allow does not: 'scores-to-guest'",
                "Remove it from the job",
            ),
        )
        parties.file(name).write_text(text)


def another_identity(parties: Institutions, models: dict[str, Path]) -> None:
    """The arbiter's shares are sealed by its key: under another one they are not to be read."""
    own, aside = parties.folder / "trustco" / "identity", parties.folder / "trustco" / "aside"
    own.rename(aside)
    create_identity(own, "trustco")
    alone(
        parties,
        "trustco",
        "--model",
        models["trustco"],
        code=7,
        words=("were not sealed by this party's key", "Use the identity"),
    )
    shutil.rmtree(own)
    aside.rename(own)


def no_such_folder(parties: Institutions, models: dict[str, Path]) -> None:
    alone(
        parties,
        "bank",
        "--model",
        parties.folder / "nowhere",
        code=7,
        words=("nowhere holds no readable model part", "Name the model folder"),
    )


def an_unknown_suffix(parties: Institutions, models: dict[str, Path]) -> None:
    for name, words in (("s.xlsx", "the suffix .xlsx is not known"), ("s", "has no suffix")):
        alone(
            parties, "bank", "--model", models["bank"], "--out", parties.folder / name,
            code=2, words=(words, r"End its name in \.csv, \.parquet, \.feather or \.arrow"),
        )  # fmt: skip


def a_torn_row(parties: Institutions, models: dict[str, Path]) -> None:
    lines = (parties.folder / "bank" / "new.csv").read_text().splitlines()
    lines[4] = lines[4].rpartition(",")[0]
    (parties.folder / "bank" / "torn.csv").write_text("\n".join(lines) + "\n")
    alone(
        parties, "bank", "--model", models["bank"], "--data", parties.folder / "bank" / "torn.csv",
        code=3, words=(r"row 4 \(line 5\) has fewer cells than the header", "export the table again"),
    )  # fmt: skip


def a_file_that_exists(parties: Institutions, models: dict[str, Path]) -> None:
    out = parties.folder / "out.parquet"
    before = out.read_bytes()
    alone(
        parties, "bank", "--model", models["bank"], "--out", out,
        code=2, words=("exists, and is not overwritten", "another name"),
    )  # fmt: skip
    assert out.read_bytes() == before


def host_with_out(parties: Institutions, models: dict[str, Path]) -> None:
    alone(
        parties,
        "telecom",
        "--model",
        models["telecom"],
        "--out",
        "x.csv",
        code=2,
        words=("only the guest gets scores", "Leave --out out"),
    )


def parts_of_two_models(parties: Institutions, models: dict[str, Path]) -> None:
    """The same job was run twice, and the host gives the part of the other run: both end before an id is sent."""
    part, _ = load_part(models["telecom"])
    digest = bytes.fromhex(json.loads((models["telecom"] / "manifest.json").read_text())["job_digest"])
    other = parties.folder / "other-run"
    save_part(
        type(part)(**(vars(part) | {"model_id": bytes(16)})), other, kind="logistic-regression", job_digest=digest
    )
    results = predicted(parties, models | {"telecom": other})
    results["bank"].says(
        7, "telecom holds a part of another model than bank", "Give every party the model folder of the same run"
    )
    results["telecom"].says(
        7, "bank holds a part of another model than telecom", "Give every party the model folder of the same run"
    )
    for name in models:
        last = max((parties.folder / name / "runs").glob("*/ledger.jsonl"), key=lambda p: p.stat().st_mtime)
        sent = {line["message"] for line in read_ledger(last) if line["type"] == "message"}
        allowed = {"Standing", "Agreed", "Counted", "ModelName"}  # the first three say where an interrupted run goes on
        assert sent - allowed <= ({"PublicKeyOffer"} if name == "trustco" else set())


def an_old_copy(parties: Institutions, models: dict[str, Path], kept: dict[str, Path]) -> None:
    """The arbiter's folder is put back from a copy that an earlier scoring had made stale: nobody gets a score, and all
    say why."""
    results = predicted(parties, models | {"trustco": kept["trustco"]})
    for name, ended in results.items():
        ended.says(
            7 if name == "trustco" else 4,
            "put the newest one back at bank and at trustco" if name == "trustco" else "trustco",
        )
    assert "bank and trustco hold shares of this model's weights that do not fit each other" in results["trustco"].err
    assert not list((parties.folder / "bank" / "runs").glob("*/scores.csv")) or len(predicted(parties, models)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("reveal", [(), KNOWN])
def test_two_hosts_need_the_arbiter_to_predict(parties: Institutions, reveal: tuple[str, ...]) -> None:
    data = tables()
    data["shop"] = data["telecom"][[KEY]].assign(canaryspend=np.arange(len(data["telecom"])) % 7)
    roles = {"bank": "guest", "telecom": "host", "shop": "host", "trustco": "arbiter"}
    parties.lay_out(data, roles=roles, settings={"allow": tuple(PERMITS)}, reveal=reveal)
    models = parties.models(parties.done())
    assert ("trustco" in models) == (reveal == ())
    started = {name: parties.start(name, "--model", str(model), command="predict") for name, model in models.items()}
    if reveal:
        started["trustco"] = parties.start("trustco", command="predict")
    results = {name: process.wait(40) for name, process in started.items()}
    assert [r.code for r in results.values()] == [0] * 4, results
    scores = pd.read_csv(results["bank"].folder / "scores.csv").set_index(KEY)["score"]
    np.testing.assert_allclose(scores, expected(parties, models, data), atol=2.0**-10)


@pytest.mark.slow
def test_a_model_whose_weights_are_known_needs_no_arbiter(parties: Institutions) -> None:
    models = trained(parties, settings={"allow": tuple(PERMITS)}, reveal=KNOWN)
    assert set(models) == {"bank", "telecom"}
    data = new_tables(parties)
    alone(
        parties,
        "trustco",
        code=2,
        words=("the arbiter takes no part in a prediction with one host", "Let the guest and the host run it"),
    )
    results = predicted(parties, models)
    assert [r.code for r in results.values()] == [0, 0], results
    scores = pd.read_csv(results["bank"].folder / "scores.csv")["score"]
    np.testing.assert_allclose(scores, expected(parties, models, data), atol=2.0**-11)


def test_a_partner_beyond_a_budget_is_refused(parties: Institutions) -> None:
    """One run and one prediction a month with each other party: the second ones are refused before anything is sent."""
    parties.lay_out()
    parties.change("telecom", "runs_per_partner_per_month = 20", "runs_per_partner_per_month = 1")
    parties.change("telecom", "predictions_per_partner_per_month = 200", "predictions_per_partner_per_month = 0")
    folders = parties.done()
    sent = parties.sent("telecom")
    files = parties.job, parties.file("telecom")
    for command in (("run", "--progress", "none"), ("check",)):
        words = (
            "telecom: 1 run with bank this month, and policy.runs_per_partner_per_month is 1",
            "Wait for the next month",
        )
        parties.here(*command, *files).says(6, *words)
    words = (
        "telecom: 0 predictions with bank this month, and policy.predictions_per_partner_per_month is 0",
        "Wait for the next month",
    )
    parties.here("predict", "--progress", "none", "--model", folders["telecom"].folder / "model", *files).says(
        6, *words
    )
    assert parties.sent("telecom") == sent
    parties.change("bank", "runs_per_partner_per_month = 20", "runs_per_partner_per_month = 3")
    said = " ".join(parties.here("check", parties.job, parties.file("bank")).out.split())
    assert "policy.runs_per_partner_per_month is 3: runs left this month: 2 with telecom, 2 with trustco" in said
