"""`vfl predict` of batches of any size: one row, nineteen, unknown customers only, and against a partner's whole
table."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.channel import Tap
from protocols.errors import DataError, DisclosureRefused, PeerAborted, PeerClosed, TooFewCommon, VFLError
from protocols.glm.scoring import ScoringStart
from protocols.message import Message
from protocols.session import Observer
from tests.harness import KNOWN
from tests.promises.processes.institutions import KEY, MANY, Institutions, tables
from vfl.job import PERMITS, load_job, load_party
from vfl.models.baseline import load_baseline
from vfl.report import read_report
from vfl.run.predict import predict
from vfl.run.scoring import Scoring
from vfl.run.scoring import prepare as prepare_prediction
from vfl.run.train import prepare, run

NAMES = ("bank", "telecom")  # with all weights revealed, they score without the arbiter


def together(works: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """What each party's work returns or raises, all at once in threads of this process."""
    found: dict[str, Any] = {}

    def one(name: str) -> None:
        try:
            found[name] = works[name]()
        except VFLError as error:
            found[name] = error

    threads = [threading.Thread(target=one, args=(name,)) for name in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(found) == set(works)
    return found


def trained(parties: Institutions, more: str = "", **changes: Any) -> dict[str, Path]:
    """Each party's model folder after a short run of a job that wants 60 common rows; more: text of the job file."""
    settings = {"allow": tuple(PERMITS), "policy": MANY | changes.pop("policy", {})}
    data = changes.pop("data", tables(120, overlap=0.75))
    parties.lay_out(data, settings=settings, reveal=KNOWN, min_intersection=60, **changes)
    parties.job.write_text(parties.job.read_text() + more)
    job = load_job(parties.job)

    def work(name: str) -> Callable[[], Path]:
        return lambda: run(prepare(job, load_party(parties.file(name))), Observer(), connect_timeout=30)

    return {name: folder / "model" for name, folder in together({name: work(name) for name in parties.roles}).items()}


def scored(parties: Institutions, models: dict[str, Path], new: dict[str, pd.DataFrame], *taps: Tap) -> dict[str, Any]:
    """By party what `vfl predict` of new tables gives, or the error that it ends in; taps: of the guest."""
    job = load_job(parties.job)

    def work(name: str) -> Callable[[], Any]:
        file = parties.folder / name / "new.csv"
        new[name].to_csv(file, index=False)

        def predicted() -> tuple[Scoring, Path, int]:
            scoring = prepare_prediction(job, load_party(parties.file(name)), models[name], str(file), None)
            own = taps if name == "bank" else ()
            _, scores, rows = predict(scoring, Observer(), connect_timeout=30, taps=own)
            return scoring, scores or Path(), rows

        return predicted

    return together({name: work(name) for name in NAMES})


def scores_of(found: dict[str, Any]) -> pd.Series:
    _, file, _ = found["bank"]
    return pd.read_csv(file).set_index(KEY)["score"]


def test_batches_of_any_size_have_the_scores_of_the_whole_table(parties: Institutions) -> None:
    """One applicant, nineteen, and thirty whom the host does not know, each against the host's whole table of 90 rows,
    more than five times as long, though training wants 60 common rows."""
    models = trained(parties)
    assert load_baseline(models["bank"]).table_rows == 120
    bank, telecom = parties.data["bank"].drop(columns="canarylabel"), parties.data["telecom"]
    whole = scores_of(scored(parties, models, {"bank": bank, "telecom": telecom}))
    assert whole.isna().sum() == 30
    for batch in (bank.tail(1), bank.tail(19), bank.iloc[20:50]):
        found = scored(parties, models, {"bank": batch, "telecom": telecom})
        pd.testing.assert_series_equal(scores_of(found), whole[batch[KEY]], check_exact=True)
    unknown = bank.head(30).assign(**{KEY: [f"CANARY-new-{k}" for k in range(30)]})
    found = scored(parties, models, {"bank": unknown, "telecom": telecom})
    assert found["bank"][2] == 0
    assert scores_of(found).isna().all()
    assert list(scores_of(found).index) == list(unknown[KEY])


def test_rows_without_a_value_have_an_empty_score(parties: Institutions) -> None:
    """Each party is informed of its own, before anything is sent; the order and the ids of the file are kept."""
    models = trained(parties)
    bank, telecom = parties.data["bank"].drop(columns="canarylabel").tail(12), parties.data["telecom"].copy()
    lacking = bank.assign(canaryage=bank["canaryage"].where(np.arange(12) > 1))
    telecom["canarybill"] = telecom["canarybill"].where(telecom[KEY] != bank[KEY].iloc[5])
    found = scored(parties, models, {"bank": lacking, "telecom": telecom})
    scores = scores_of(found)
    assert list(scores.index) == list(bank[KEY])
    assert scores.isna().tolist() == [True, True, False, False, False, True, *[False] * 6]
    own, host = found["bank"][0], found["telecom"][0]
    assert own.cautions == ("2 of 12 rows have no score, because values are missing: 'canaryage' (2)",)
    assert host.cautions == ("1 of 90 rows have no score, because values are missing: 'canarybill' (1)",)
    told = read_report(found["bank"][1].parent)
    assert found["bank"][1].parent.name.startswith("predict-credit-risk-")
    assert told["prediction"] | {"scores": None} == {
        "rows": 12, "scored": 9, "left_out": 2, "unknown": 1, "missing": {"canaryage": 2}, "unseen": {}, "scores": None,
    }  # fmt: skip
    assert told["prediction"]["scores"]["max"] == scores.max()
    assert told["stability"]["score"]["rows"] == 9
    (hosts,) = (parties.folder / "telecom" / "runs").glob("predict-*")
    assert read_report(hosts)["prediction"] == {"rows": 90, "left_out": 1, "missing": {"canarybill": 1}, "unseen": {}}
    assert "The joint model scored 9 of bank’s 12 rows." in (found["bank"][1].parent / "report.html").read_text()
    empty = "2 in which a value is missing here and 1 that a partner does not know, or cannot score either"
    assert own.scored(found["bank"][2]) == f"9 of 12 rows are scored; the score of the other 3 is empty: {empty}"


class Breaks(Tap):
    """A connection that breaks before the rows are scored."""

    def check(self, peer: str, kind: type[Message]) -> None:
        if kind is ScoringStart:
            raise PeerClosed("the connection broke", remedy="Start again", party=peer)


def test_an_interrupted_prediction_resumes_in_its_folder(parties: Institutions) -> None:
    """With rows left out: they are as they were when the run began."""
    models = trained(parties)
    bank = parties.data["bank"].drop(columns="canarylabel").tail(6)
    new = {
        "bank": bank.assign(canaryage=bank["canaryage"].where(np.arange(6) != 2)),
        "telecom": parties.data["telecom"],
    }
    broken = scored(parties, models, new, Breaks())
    assert isinstance(broken["bank"], PeerClosed)
    assert isinstance(broken["telecom"], PeerAborted)
    assert "it resumes where it stopped" in broken["bank"].remedy
    scores = scores_of(scored(parties, models, new))
    assert scores.isna().tolist() == [False, False, True, False, False, False]
    for name in NAMES:
        (folder,) = (parties.folder / name / "runs").glob("predict-*")
        assert (folder / "report.json").exists()


@pytest.mark.slow
def test_a_job_may_want_more_rows(parties: Institutions) -> None:
    """With [predict] min_rows = 20: too few rows end at both parties, at the guest before anything is sent; none known
    to all is fine; and a policy refuses the default."""
    models = trained(parties, "\n[predict]\nmin_rows = 20\n", policy={"min_predict_rows": 20})
    bank, telecom = parties.data["bank"].drop(columns="canarylabel"), parties.data["telecom"]
    batch = bank.iloc[15:45]  # 15 of its 30 rows are known to the host
    found = scored(parties, models, {"bank": batch, "telecom": telecom})
    said = "only 15 of the rows to be scored are known to all parties, and this job wants at least 20"
    assert [type(found[name]) for name in NAMES] == [TooFewCommon, TooFewCommon], found
    assert all(said in str(found[name]) and "predict.min_rows" in found[name].remedy for name in NAMES)
    assert scored(parties, models, {"bank": bank.tail(20), "telecom": telecom})["bank"][2] == 20
    assert scored(parties, models, {"bank": bank.head(30), "telecom": telecom})["bank"][2] == 0
    bank.head(19).to_csv(parties.folder / "bank" / "new.csv", index=False)
    job, party = load_job(parties.job), load_party(parties.file("bank"))
    with pytest.raises(
        DataError, match=r"fewer rows than this job's predict\.min_rows .expected at least 20, found 19"
    ):
        prepare_prediction(job, party, models["bank"], str(parties.folder / "bank" / "new.csv"), None)
    parties.job.write_text(parties.job.read_text().replace("min_rows = 20", "min_rows = 19"))
    words = "the job's predict.min_rows is 19, this party's policy.min_predict_rows is 20"
    with pytest.raises(DisclosureRefused, match=words):
        prepare(load_job(parties.job), party)
    assert load_job(parties.job).digest != job.digest
