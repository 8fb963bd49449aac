"""A guest that dies at the very end of a prediction, when its scores are already where --out says."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from protocols.errors import ConfigError
from protocols.session import Observer
from tests.promises.processes.institutions import Institutions
from tests.promises.processes.test_batches import NAMES, trained
from vfl.job import load_job, load_party
from vfl.run import scores_file
from vfl.run.predict import predict
from vfl.run.scoring import prepare
from vfl.run.stored_run import Run


class DiedError(BaseException):
    """The process ends here."""


def asks(parties: Institutions, models: dict[str, Path], name: str, out: Path, errors: list[BaseException]) -> Any:
    own = out if name == "bank" else None
    scoring = prepare(load_job(parties.job), load_party(parties.file(name)), models[name], None, own)

    def work() -> None:
        try:
            predict(scoring, Observer(), connect_timeout=10)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.parametrize("last", ["the scores are in both places", "the scores are moved"])
def test_it_resumes(parties: Institutions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    models, out, errors = trained(parties), tmp_path / "out.csv", list[BaseException]()
    over, move = Run.over, scores_file.move

    def dies(run: Run) -> None:
        if run.ready.party.name == "bank":
            run.leave()  # as the end of a process does
            raise DiedError
        over(run)

    def moves(folder: Path, to: Path) -> None:
        data = (folder / "scores.csv").read_bytes()
        move(folder, to)
        if last == "the scores are in both places":
            (folder / "scores.csv").write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "over", dies)
        patch.setattr(scores_file, "move", moves)
        for thread in [asks(parties, models, name, out, errors) for name in NAMES]:
            thread.join()
    assert [type(error) for error in errors] == [DiedError]
    scores, errors = out.read_bytes(), []
    asks(parties, models, "bank", out, errors).join()
    assert errors == []
    assert out.read_bytes() == scores
    (folder,) = (parties.folder / "bank" / "runs").glob("predict-*")
    assert not list(folder.glob("scores.*"))
    assert not (folder / "run.sqlite").exists()
    assert pd.read_csv(out)["score"].notna().any()
    with pytest.raises(ConfigError, match="exists, and is not overwritten"):
        asks(parties, models, "bank", out, errors)
