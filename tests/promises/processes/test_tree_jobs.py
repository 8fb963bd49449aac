"""What boosted trees can do, asked for by a job file: several hosts, early stopping, sampling of rows and columns,
importance by party, one row to score.

The role functions that `vfl run` and `vfl predict` call run in one process here, without encryption: real processes are
in test_trees.py.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from protocols.local import run_local
from protocols.session import Observer, Session
from tests.harness import scores_some_rows
from tests.promises.processes.institutions import KEY, Institutions, tables
from tests.promises.processes.test_three_processes import prepared, randomness
from tests.promises.processes.test_trees import POLICY, check_same
from vfl.data import read_source
from vfl.job import Job, load_job, load_party
from vfl.models.fitted import Scored
from vfl.models.part_files import save_part
from vfl.models.plan import Role
from vfl.models.registry import kind_of
from vfl.run.scoring import Scoring, prepare
from vfl.run.train import program

ROLES = {"guest": "guest", "telecom": "host", "utility": "host", "arbiter": "arbiter"}
MODEL: dict[str, Any] = {
    "n_estimators": 12,
    "max_depth": 3,
    "max_bin": 8,
    "min_bin_rows": 2,
    "learning_rate": 1.0,
    "subsample": 0.8,
}
MODEL |= {"colsample_bytree": 0.8, "validation": 0.3, "early_stopping_rounds": 2}


GOSS = {"subsample": 1.0, "top_rate": 0.3, "other_rate": 0.3}


@pytest.mark.parametrize(
    ("membership", "more"), [("open", {}), ("sealed", {}), ("open", GOSS)], ids=["open", "sealed", "open-goss"]
)
@scores_some_rows
def test_a_job_of_two_hosts_equals_the_federation_and_scores_one_row(
    parties: Institutions, membership: str, more: dict[str, Any]
) -> None:
    data = tables(rows=160)
    host = data["telecom"]
    frames = {
        "guest": data["bank"],
        "telecom": host[[KEY, "canarybill"]],
        "utility": host[[KEY, "canarylate"]].iloc[5:],
    }
    settings = POLICY | {"min_intersection": 1}
    parties.lay_out(
        frames,
        roles=ROLES,
        settings=settings,
        kind="boosted-trees",
        membership=membership,
        test=0.0,
        seed=0,
        **(MODEL | more),
        min_intersection=1,
    )
    ready = prepared(parties)
    roles = ready["guest"].roles
    fitted = run_local(roles, {n: program(one) for n, one in ready.items()}, Identity(), randomness=randomness(ready))
    read = {name: read_source(parties.folder / name / "customers.csv", keys=[KEY]) for name in frames}
    federation = vfl.Federation.local(
        read["guest"],
        {h: read[h] for h in roles.hosts},
        on=KEY,
        label="canarylabel",
        pos_label="canarygood",
        min_intersection=1,
        cipher=Identity(),
    )
    model = federation.fit(vfl.BoostedTrees(membership=membership, **(MODEL | more)), randomness=randomness(ready))  # type: ignore[arg-type]
    for name in frames:
        check_same(fitted[name].part, model.parts[name])
    assert model.best_iteration + 1 < 12
    told = kind_of(ready["guest"].job.model).fitted_summary(fitted["guest"])
    splits = model.feature_importances()
    for k, name in enumerate(("guest", *roles.hosts)):
        assert sum(row["splits"] for row in told["importance"] if row["party"] == k) == splits[name].sum()
        save_part(
            fitted[name].part, parties.folder / name / "model", kind="boosted-trees", job_digest=ready[name].job.digest
        )
    assert splits["guest"].sum() > 0 < sum(splits[h].sum() for h in roles.hosts)
    if membership == "sealed":
        arbiter, folder = ready["arbiter"], parties.folder / "arbiter" / "model"
        save_part(
            fitted["arbiter"], folder, kind="leaf-values", job_digest=arbiter.job.digest, identity=arbiter.identity
        )
    one = frames["utility"][KEY].iloc[3]
    scores = model.predict_score(read["guest"], {h: read[h] for h in roles.hosts})
    found = scored(parties, {name: frame[frame[KEY] == one] for name, frame in frames.items()})
    assert found == [scores[one]]


def _score(job: Job, role: Role, scoring: Scoring, session: Session) -> Scored:
    return kind_of(job.model).score(
        role, session, scoring.ready.table, scoring.part, job.align.min_intersection, len(job.align.keys)
    )


def scored(parties: Institutions, new: dict[str, pd.DataFrame]) -> list[float]:
    """What `vfl predict` gives the guest for these tables."""
    job, programs = load_job(parties.job), {}
    for name, role in parties.roles.items():
        party, path = load_party(parties.file(name)), parties.folder / name / "new.csv"
        if role != "arbiter":
            new[name].to_csv(path, index=False)
        model = path.parent / "model" if role != "arbiter" or job.arbiter_keeps else None
        scoring = prepare(job, party, model, None if role == "arbiter" else str(path), None)
        programs[name] = partial(_score, job, party.role, scoring)
        if role == "guest":
            roles, part = scoring.ready.roles, scoring.part
    (_, margins), _ = run_local(roles, programs, Identity(), observers={name: Observer() for name in programs})["guest"]
    return [float(p) for p in kind_of(job.model).predictions(part, margins)]
