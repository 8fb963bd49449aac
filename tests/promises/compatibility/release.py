"""What one release wrote: a folder per case with its job file, the parts of a model and, from 0.1.0 on, the scores of
new rows.

`python -m tests.promises.compatibility.release` writes those of this release.  As long as a release is not published, a
change of a format writes its files anew; afterwards they stay, because they are what its users have on their disks.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cryptography.hazmat.primitives.asymmetric import ec
from numpy.typing import NDArray

from protocols.local import run_local
from protocols.session import Roles, Session
from tests.harness import TOY
from vfl.api.federation import Federation
from vfl.api.members import Members
from vfl.data.checked import table_from_frame
from vfl.job import job_from, load_agreement, starter_job
from vfl.job.starter import starter_members_job
from vfl.models.averaging import files
from vfl.models.averaging.spec import Averaging
from vfl.models.content import Head
from vfl.models.part_files import load_part, save_part
from vfl.models.registry import KINDS
from vfl.preprocessing import Preprocessing
from vfl.schema.section import read_toml
from vfl.transport.identity import Identity
from vfl.version import __version__

HERE = Path(__file__).parent
ROLES = Roles("guest", ("telecom",), "arbiter")
ARBITER = Identity(
    "arbiter", Path(), Path(), b"", ec.derive_private_key(7, ec.SECP256R1()), None
)  # seals and unseals the arbiter's parts
SCORES = "scores.json"


@dataclass(frozen=True)
class Case:
    """One model.  parameters: of the kind; reveal: whose weights; steps: the keys of [preprocess]; file_only: keys of
    [model] that Python takes from the table."""

    kind: str
    label: str
    parameters: Mapping[str, Any]
    reveal: tuple[str, ...] = ()
    steps: Mapping[str, Any] | None = None
    file_only: Mapping[str, Any] = field(default_factory=dict)


_SHORT = {"max_iter": 5, "key_bits": 2048}
_TREES = {"n_estimators": 2, "max_depth": 2, "max_bin": 4, "min_bin_rows": 5, "key_bits": 2048}
_NETWORK = {"hidden_layer_sizes": (3, 2), "max_iter": 2, "learning_rate_init": 0.05, "key_bits": 2048}
_BOTH = ("guest", "hosts")
CASES = {
    "logistic-exact": Case("logistic-regression", "binary", {**_SHORT, "link": "exact"}, _BOTH),
    "logistic-taylor": Case("logistic-regression", "binary", {**_SHORT, "link": "taylor"}),
    "logistic-preprocess": Case(
        "logistic-regression",
        "binary",
        {**_SHORT, "link": "taylor"},
        ("guest",),
        {"impute": "median", "encode": "onehot"},
    ),
    "logistic-classes": Case(
        "logistic-regression", "multiclass", {**_SHORT, "link": "taylor"}, file_only={"num_class": 3}
    ),
    "linear": Case("linear-regression", "numeric", _SHORT, _BOTH),
    "poisson": Case("poisson-regression", "count", _SHORT),
    "scorecard": Case("scorecard", "binary", {**_SHORT, "min_bin_rows": 5}, _BOTH),
    "scorecard-shared": Case("scorecard", "binary", {**_SHORT, "min_bin_rows": 5}),
    "trees-sealed": Case("boosted-trees", "binary", _TREES),
    "trees-classes": Case(
        "boosted-trees", "multiclass", {**_TREES, "objective": "multi:softprob"}, file_only={"num_class": 3}
    ),
    "network": Case("mlp-classifier", "binary", _NETWORK),
    "network-regressor": Case("mlp-regressor", "numeric", _NETWORK, steps={"impute": "median", "encode": "onehot"}),
    "trees-open": Case("boosted-trees", "binary", {**_TREES, "membership": "open"}),
}


def tables(case: Case, rows: int, seed: int) -> dict[str, pd.DataFrame]:
    """A guest's and a host's table by party; the host's has texts and missing numbers where the kind takes them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).round(3)
    z = x @ [1.0, -0.5, 0.8, 0.3]
    labels = {
        "binary": (z + rng.logistic(size=rows) > 0).astype(int),
        "multiclass": np.digitize(z, [-0.7, 0.7]),
        "numeric": (2 + z).round(3),
        "count": rng.poisson(np.exp(0.3 * z)),
    }
    ids = [f"c{i:03d}" for i in range(rows)]
    guest = pd.DataFrame({"id": ids, "label": labels[case.label], "age": x[:, 0], "limit": x[:, 1]})
    host = pd.DataFrame({"id": ids, "bill": x[:, 2], "late": x[:, 3]})
    if case.steps is not None or KINDS[case.kind].spec(**case.parameters).takes_texts:
        host = host.assign(bill=host["bill"].mask(rng.random(rows) < 0.2), plan=rng.choice(["flat", "metered"], rows))
    return {"guest": guest, "telecom": host}


def scored(
    kind: str, parts: Mapping[str, Any], new: Mapping[str, pd.DataFrame]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the guest computes for the new rows, and the predictions, as `vfl predict` does, in one process.  parts: by
    party, the arbiter's too where it has one."""
    score = partial(KINDS[kind].score, min_rows=1, keys=1)
    read = {
        party: table_from_frame(
            new[party], party=party, keys=(("id",),), normalise={"id": "text"}, duplicates="error", label=None, columns=parts[party].inputs,  # noqa: E501
            need_label=False, need_features=party != "guest", objective=None, missing=True, schema=parts[party].schema,
        )
        for party in ROLES.data_parties
    }  # fmt: skip

    def program(role: Any, party: str) -> Any:
        def run(session: Session) -> Any:
            return score(role, session, read.get(party), parts.get(party))

        return run

    programs = {
        "guest": program("guest", "guest"),
        "telecom": program("host", "telecom"),
        "arbiter": program("arbiter", "arbiter"),
    }
    rows, scores = run_local(ROLES, programs, TOY, inputs={p: t.digest() for p, t in read.items()})["guest"].found
    order = np.argsort(rows)
    return scores[order], KINDS[kind].predictions(parts["guest"], scores[order])


def load(case: Path) -> tuple[dict[str, Any], Head]:
    """The parts in a folder by party, and what they all say."""
    found = {folder.name: load_part(folder, ARBITER) for folder in sorted(case.iterdir()) if folder.is_dir()}
    return {party: part for party, (part, _) in found.items()}, found["guest"][1]


def write(folder: Path, name: str, case: Case) -> None:
    """Trains a model in one process, and writes its job file, its parts, and the scores of new rows that the parts as
    read back give."""
    training, new = tables(case, 90, 11), tables(case, 12, 12)
    federation = Federation.local(
        training["guest"], {"telecom": training["telecom"]}, "id", "label", reveal=case.reveal, convergence=False
    )
    steps = None if case.steps is None else Preprocessing(**case.steps)
    model = federation.fit(KINDS[case.kind].spec(**case.parameters), preprocess=steps)
    folder.mkdir(parents=True)
    bits = {"key_bits": case.parameters["key_bits"]}
    given = {key: value for key, value in case.parameters.items() if key not in bits}
    arbiter = "" if case.parameters.get("membership") == "open" else "arbiter"
    text = starter_job(
        name=name,
        guest="guest",
        arbiter=arbiter,
        keys=["id"],
        kind=case.kind,
        reveal=case.reveal,
        min_intersection=5,
        **bits,
        **given,
        **case.file_only,
    )
    if case.steps is not None:
        text += "\n[preprocess]\n" + "".join(f'{key} = "{value}"\n' for key, value in case.steps.items())
    (folder / "job.toml").write_text(text)
    digest = job_from(read_toml(folder / "job.toml")[1]).digest
    for party, part in model.parts.items():
        save_part(part, folder / party, kind=case.kind, job_digest=digest)
    if model.kept is not None:
        save_part(model.kept, folder / "arbiter", kind=model.kept.STORED, job_digest=digest, identity=ARBITER)
    scores, predictions = scored(case.kind, load(folder)[0], new)
    (folder / SCORES).write_text(
        json.dumps({"scores": scores.tolist(), "predictions": predictions.tolist()}, indent=1) + "\n"
    )


AVERAGED = {  # by case, the label and the parameters of an averaging
    "averaging-logistic": ("binary", {"rounds": 3}),
    "averaging-linear": ("numeric", {"estimator": "linear", "rounds": 2, "update_bits": 12, "max_rows": 100}),
    "averaging-mlp": ("binary", {"estimator": "mlp", "hidden": 3, "rounds": 2, "local_epochs": 2}),
}  # the aggregator and all members have one model
COLUMNS = ["age", "limit"]


def member_tables(case: str, rows: int, seed: int) -> dict[str, pd.DataFrame]:
    """The tables of three members."""
    label = AVERAGED[case][0]
    shown = Case("logistic-regression", label, _SHORT)
    names = ("north", "south", "west")
    return {n: tables(shown, rows, seed + k)["guest"].drop(columns="id") for k, n in enumerate(names)}


def averaged_scores(folder: Path, case: str) -> NDArray[np.float64]:
    """What the model in a folder predicts of new rows."""
    new = member_tables(case, 12, 12)["north"]
    return files.load(folder / "model").predict_score(new).to_numpy(np.float64)


def write_averaged(folder: Path, name: str) -> None:
    """Averages a model in one process, and writes its job file, the model and the predictions of new rows."""
    own, (_, parameters) = member_tables(name, 60, 11), AVERAGED[name]
    spec = Averaging(**parameters)
    text = starter_members_job(
        name=name, members=[*own], arbiter="arbiter", label="label", columns=COLUMNS, test=0.0, **parameters
    )
    folder.mkdir(parents=True)
    (folder / "job.toml").write_text(text)
    model = Members.local(own, label="label").fit(spec)
    files.save(model, folder / "model", load_agreement(folder / "job.toml").digest)
    (folder / SCORES).write_text(json.dumps({"predictions": averaged_scores(folder, name).tolist()}, indent=1) + "\n")


def main() -> None:
    """Writes all cases of this release."""
    shutil.rmtree(HERE / __version__, ignore_errors=True)
    for name, case in CASES.items():
        write(HERE / __version__ / name, name, case)
    for name in AVERAGED:
        write_averaged(HERE / __version__ / name, name)


if __name__ == "__main__":
    main()
