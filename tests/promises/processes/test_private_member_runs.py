"""`vfl run` of members with [privacy]: one promise at all parties, in the job's digest, in the report and in every
party's budget; a job that costs more than what is left is refused by each party before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import vfl
from protocols.channel import Tap
from protocols.errors import ConfigError, DisclosureRefused
from protocols.message import Message
from tests.members import SUM, THREE, MemberFolders, lay_out
from vfl.cli.members import checked, model_shown
from vfl.ledger import summarise
from vfl.models import accounting
from vfl.run.budget.used import budgets_used
from vfl.run.members.ready import prepare

PRIVACY = """
[privacy]
epsilon = 6
delta = 1e-6
clip = 2.0
bounds = { age = [0, 80], limit = [0, 2000] }
"""


def private(folder: Path, text: str = PRIVACY, **job: Any) -> MemberFolders:
    world = lay_out(folder, **job)
    world.job_file.write_text(world.job_file.read_text() + text)
    return world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> MemberFolders:
    return private(tmp_path_factory.mktemp("private"))


@pytest.fixture(scope="module")
def runs(world: MemberFolders) -> dict[str, Path]:
    return world.done()


class Everything(Tap):
    """What one party sends."""

    def __init__(self) -> None:
        self.kinds = list[type[Message]]()

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.kinds.append(kind)


def test_all_parties_report_the_same_promise(runs: dict[str, Path]) -> None:
    told = [json.loads((folder / "report.json").read_text()) for folder in runs.values()]
    assert all(one["privacy"] == told[0]["privacy"] for one in told)
    promise = told[0]["privacy"]
    assert (promise["unit"], promise["delta"], promise["sums"]) == ("row", 1e-6, 3)
    assert 5.9 < promise["epsilon"] <= 6
    assert promise["epsilon"] == accounting.epsilon([(promise["multiplier"], 3)], 1e-6)
    assert not any("over_members" in one["averaging"] for one in told)  # these means would have no noise
    assert all("All sums carry noise" in (folder / "report.html").read_text() for folder in runs.values())
    assert len({(folder / "model" / "model.json").read_bytes() for folder in runs.values()}) == 1
    opened = {line["message"]: line["count"] for line in summarise(runs["north"] / "ledger.jsonl")}
    assert opened["UnmaskingShares"] == promise["sums"]
    model = vfl.load_model(runs["north"] / "model")
    assert isinstance(model, vfl.AveragedModel)
    assert model.privacy_ is not None
    assert "epsilon = 5.9" in model_shown(runs["north"] / "model").part.facts["privacy"]


def test_the_promise_is_in_the_digest(world: MemberFolders, tmp_path: Path) -> None:
    text, digest = world.job_file.read_text(), world.job.digest
    try:
        for change in (("epsilon = 6", "epsilon = 7"), ("[0, 80]", "[0, 90]"), (PRIVACY, "")):
            world.job_file.write_text(text.replace(*change))
            assert world.job.digest != digest
    finally:
        world.job_file.write_text(text)


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("epsilon = 6\n", "", "privacy.epsilon", "missing"),
        ("epsilon = 6", "epsilon = 0", "privacy.epsilon", "from 0.001"),
        (", limit = [0, 2000]", "", "privacy.bounds", "lacks 'limit'"),
        ("[0, 80]", "[80, 0]", "privacy.bounds", "not below its upper"),
        ("clip = 2.0\n", 'clip = 2.0\nunit = "label"\n', "privacy", "label"),
        ("rounds = 2", "rounds = 2\nlocal_epochs = 3", "model.local_epochs", "a round is one step"),
        ("rounds = 2", "rounds = 2\nupdate_bits = 8\nmax_rows = 100", "model.update_bits", "carried over"),
    ],
)
def test_what_a_job_file_cannot_promise(tmp_path: Path, old: str, new: str, key: str, says: str) -> None:
    world = private(tmp_path)
    text = world.job_file.read_text()
    assert old in text
    world.job_file.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=says) as caught:
        _ = world.job
    assert key in str(caught.value)


def test_check_says_what_the_run_costs(tmp_path: Path) -> None:
    world = private(tmp_path)
    check, _ = checked(world.job, world.party("north"))
    assert "epsilon = 6" in check.facts["privacy"]
    (sentence,) = [each for each in check.bounds if each.startswith("policy.epsilon is 10")]
    assert "have cost 0 so far" in sentence
    assert check.facts["traffic"].startswith("3 sums")


def test_runs_add_up_and_a_job_over_the_budget_is_refused_by_every_party(tmp_path: Path) -> None:
    world = private(tmp_path)
    world.done()
    once = {(one.budget, one.partner): one for one in budgets_used(world.party("north"))}["epsilon", "south"]
    noise = world.job.noise
    assert noise is not None
    release = (noise.multiplier, noise.sums)
    assert once.used == pytest.approx(accounting.epsilon([release], 1e-5), abs=1e-3)
    assert once.limit == 10
    world.done()
    for name in (*THREE, SUM):
        partners = [each for each in (*THREE, SUM) if each != name]
        used = {(one.budget, one.partner): one.used for one in budgets_used(world.party(name))}
        twice = accounting.epsilon([release, release], 1e-5)  # as dp-accounting composes them
        assert all(used["epsilon", partner] == pytest.approx(twice, abs=1e-3) for partner in partners)
    assert accounting.epsilon([release] * 3, 1e-5) > 10
    taps = {name: Everything() for name in (*THREE, SUM)}
    ended = world.run(taps={name: [tap] for name, tap in taps.items()})
    for name, error in ended.items():
        assert isinstance(error, DisclosureRefused)
        assert error.party == name  # each by its own budget
        assert "policy.epsilon is 10" in str(error)
    assert not any(tap.kinds for tap in taps.values())


def test_each_party_has_its_own_budget(tmp_path: Path) -> None:
    world = private(tmp_path)
    world.change("south", "epsilon = 10.0", "epsilon = 5.0")
    with pytest.raises(DisclosureRefused, match=r"policy\.epsilon is 5"):
        prepare(world.job, world.party("south"))
    prepare(world.job, world.party("north"))


def test_protected_members(tmp_path: Path) -> None:
    text = PRIVACY.replace("clip = 2.0", 'clip = 0.5\nunit = "member"')
    world = private(tmp_path, text, local_epochs=3)
    folders = world.done()
    told = json.loads((folders["west"] / "report.json").read_text())
    assert told["privacy"]["unit"] == "member"
    assert [one["rows"] for one in told["averaging"]["rounds"]] == [None, None]
    assert "if any one member had sent noise alone" in (folders["west"] / "report.html").read_text()
    assert "rows" not in model_shown(folders["west"] / "model").part.facts["rounds"]
