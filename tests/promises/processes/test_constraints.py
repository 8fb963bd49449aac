"""Boosted trees with monotone constraints by files: each party names its own columns in its own file."""

from __future__ import annotations

from typing import Any

import pytest

import vfl
from protocols.cipher import Identity, Paillier
from protocols.errors import ConfigError, DataError
from protocols.local import run_local
from tests.promises.processes.institutions import KEY, Institutions, tables
from tests.promises.processes.test_three_processes import by_seed, prepared
from tests.promises.processes.test_trees import POLICY, SMALL, part_of
from vfl.job import cross_check, load_job, load_party
from vfl.run.train import prepare, program

ROLES = {"bank": "guest", "telecom": "host", "trustco": "arbiter"}
OWN = {"bank": "canaryage = -1", "telecom": "canarybill = 1, canarylate = 0"}


def laid_out(parties: Institutions, **job: Any) -> None:
    given = SMALL | {"monotone_constraints": True} | job
    parties.lay_out(tables(), roles=ROLES, settings=POLICY, test=0.25, **given)
    for name, signs in OWN.items():
        parties.change(name, "[data]\n", f"[data]\nmonotone_constraints = {{ {signs} }}\n")


def test_files_and_python_say_the_same(parties: Institutions) -> None:
    """And no party's names of columns reach another one's files."""
    laid_out(parties)
    ready = prepared(parties)
    found = run_local(ready["bank"].roles, {n: program(one) for n, one in ready.items()}, Identity())
    signs = {name: found[name].part.monotone for name in OWN}
    assert signs == {"bank": (-1, 0), "telecom": (1, 0)}
    assert "canaryage" not in parties.job.read_text()
    data = tables()
    options: dict[str, Any] = {"on": KEY, "label": "canarylabel", "pos_label": "canarygood", "cipher": Identity()}
    federation = vfl.Federation.local(data["bank"], {"telecom": data["telecom"]}, **options)
    spec = {name: value for name, value in SMALL.items() if name != "kind"}
    model = federation.fit(vfl.BoostedTrees(**spec, monotone_constraints={"canaryage": -1, "canarybill": 1}))
    assert list(signs.values()) == [part.monotone for part in model.parts.values()]


def test_what_does_not_fit_is_refused_before_a_run(parties: Institutions) -> None:
    laid_out(parties)
    told = " ".join(parties.here("check", parties.job, parties.file("bank")).out.split())
    assert "monotone in the columns that their owners name" in told
    job, text = load_job(parties.job), parties.job.read_text()
    parties.change("telecom", "canarylate = 0", "canarylatest = 0")
    with pytest.raises(DataError, match=r"telecom: data.monotone_constraints names 'canarylatest', which is no"):
        prepare(job, load_party(parties.file("telecom")))
    parties.job.write_text(text.replace("monotone_constraints = true\n", ""))
    with pytest.raises(
        ConfigError, match="the job's model has no monotone_constraints: the constraints would have no effect"
    ):
        cross_check(load_job(parties.job), load_party(parties.file("bank")))


@pytest.mark.slow
def test_real_processes_keep_them(parties: Institutions) -> None:
    laid_out(parties)
    results = by_seed(parties, list(ROLES), 0.1)
    ready = prepared(parties)
    assert part_of(results["telecom"]).monotone == (1, 0)
    shown = parties.here("model", "show", results["bank"].folder / "model")
    assert "never rises with canaryage" in " ".join(shown.out.split())
    for name in ROLES:
        page = "".join(file.read_text() for file in results[name].folder.glob("report.*"))
        assert ("canarybill" in page) == (name == "telecom")
    local = run_local(ready["bank"].roles, {n: program(one) for n, one in ready.items()}, Paillier(2048))
    assert part_of(results["bank"]).monotone == local["bank"].part.monotone
