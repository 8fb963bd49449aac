"""`vfl run` of members: the model of one process, a report at each party, scores at a member alone; who leaves is left
out, and what sums of several runs would say together is refused."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.averaging.secure_sum import MaskedUpdate, UnmaskingShares
from protocols.channel import Tap
from protocols.errors import (
    ConfigError,
    DataError,
    DisclosureRefused,
    ModelError,
    PeerAborted,
    PeerClosed,
    TooFewMembers,
)
from protocols.message import Message
from protocols.session import Observer
from tests.members import SUM, THREE, MemberFolders, lay_out, table
from tests.promises.processes.institutions import Institutions
from vfl.cli.check import meet
from vfl.cli.members import checked
from vfl.cli.show import model_shown, show_report
from vfl.ledger import reconcile, summarise, verify_ledger
from vfl.run.budget.used import budgets_used
from vfl.run.members.predict import predict
from vfl.run.members.ready import prepare
from vfl.run.members.sums import KeptSums
from vfl.storage.runs import listed

TEN = tuple(f"m{k}" for k in range(10))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> MemberFolders:
    return lay_out(tmp_path_factory.mktemp("members"))


@pytest.fixture(scope="module")
def runs(world: MemberFolders) -> dict[str, Path]:
    """The folder of each party's run, in which all stayed."""
    return world.done()


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def test_the_model_is_that_of_one_process_bit_for_bit(world: MemberFolders, runs: dict[str, Path]) -> None:
    tables = {name: own.drop(columns="id") for name, own in world.tables.items()}
    members = vfl.Members.local(tables, label="default")
    with pytest.warns(UserWarning, match="one member that drops out"):
        local = members.fit(vfl.Averaging(rounds=2), split=vfl.Split(test=0.25, seed=7))
    for folder in runs.values():
        model = vfl.load_model(folder / "model")
        assert model.weights_.tobytes() == local.weights_.tobytes()
        assert model.rounds_.equals(local.rounds_)
    assert len({(folder / "model" / "model.json").read_bytes() for folder in runs.values()}) == 1


def test_every_party_reports_who_took_part_and_a_member_what_it_is_worth(runs: dict[str, Path]) -> None:
    told = {name: report(folder) for name, folder in runs.items()}
    for name in THREE:
        mine = told[name]["averaging"]
        assert [(one["member"], one["rounds"]) for one in mine["members"]] == [(m, 2) for m in THREE]
        assert mine["rows"] + mine["held_out"] == {"north": 40, "south": 45, "west": 50}[name]
        assert set(told[name]["metrics"]["test"]) == {"joint", "guest_alone"}
        assert "uplift" in told[name]
    over = told[SUM]["averaging"]["over_members"]
    for measure in ("auc", "log_loss"):
        for key, model in (("averaged", "joint"), ("alone", "guest_alone")):
            mean = np.mean([told[name]["metrics"]["test"][model][measure] for name in THREE])
            assert over[measure][key] == pytest.approx(mean, abs=1e-9)
    better = sum(m["joint"]["auc"] > m["guest_alone"]["auc"] for m in (told[n]["metrics"]["test"] for n in THREE))
    assert told[SUM]["averaging"]["better"] == better
    assert told[SUM]["averaging"]["confirmed"] == list(THREE)
    assert not told[SUM]["metrics"]
    assert "columns" not in told[SUM]


def test_pages_open_again_and_hold_no_row(world: MemberFolders, runs: dict[str, Path]) -> None:
    for name, folder in runs.items():
        show_report(folder, None)
        files = [path.read_text() for path in folder.rglob("*") if path.suffix in (".html", ".json", ".csv", ".jsonl")]
        others = [i for other, own in world.tables.items() if other != name for i in own["id"]]
        assert not any(i in text for text in files for i in others)


def test_ledgers_are_signed_and_fit_each_other(world: MemberFolders, runs: dict[str, Path]) -> None:
    for name, folder in runs.items():
        verify_ledger(folder / "ledger.jsonl", (world.folder / name / "identity" / "cert.pem").read_bytes())
    for name in THREE:
        found = reconcile(runs[name] / "ledger.jsonl", runs[SUM] / "ledger.jsonl")
        assert set(found.signed) == {name, SUM}
        assert not any(found.underway.values())
    told = {line["message"]: line["count"] for line in summarise(runs["north"] / "ledger.jsonl")}
    assert told["UnmaskingShares"] == 5  # scale, two rounds, counts, measures


def test_bytes_are_predicted(world: MemberFolders, runs: dict[str, Path]) -> None:
    cost = world.job.model.cost(3, 2, measures=2)
    phases = {one["name"]: one for one in report(runs[SUM])["phases"]}["averaging"]
    assert phases["bytes_sent"] + phases["bytes_received"] == cost.aggregator_bytes


def test_all_can_meet_before_the_run(tmp_path: Path) -> None:
    """`vfl check --connect`, by which certificates, releases and the job's digest are compared."""
    world, met = lay_out(tmp_path), dict[str, Any]()

    def party(name: str) -> None:
        met[name] = meet(checked(world.job, world.party(name))[1], 20, lambda text: None)

    threads = [threading.Thread(target=party, args=(name,)) for name in world.names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert met == {SUM: THREE} | dict.fromkeys(THREE, (SUM,))
    assert not list((tmp_path / "north" / "runs").glob("*"))


def test_runs_budgets_and_the_model_are_shown(world: MemberFolders, runs: dict[str, Path]) -> None:
    party = world.party("north")
    (mine,) = [one for one in listed(party.run.directory) if one.command == "run"]
    assert (mine.job, mine.outcome) == ("credit-risk", "done")
    used = {(one.budget, one.partner): one.used for one in budgets_used(party)}
    for partner in ("south", "west", SUM):  # also of those with whom it has no channel
        assert used["runs_per_partner_per_month", partner] == 1
        assert used["models_per_label", partner] == 1
    assert {budget for budget, _ in used} == {"runs_per_partner_per_month", "models_per_label"}  # none of predictions
    shown = model_shown(runs["north"] / "model")
    assert shown.job_digest == world.job.digest.hex()
    assert {row[0] for row in shown.part.tables[0].rows} == {"age", "limit"}


def test_a_member_scores_alone_also_with_a_copy_of_another_member_s_model(
    world: MemberFolders, runs: dict[str, Path], tmp_path: Path
) -> None:
    party, new = world.party("north"), table("new", 9)
    new.loc[3, "age"] = np.nan
    new.drop(columns="default").to_csv(tmp_path / "new.csv", index=False)
    found = predict(world.job, party, runs["west"] / "model", str(tmp_path / "new.csv"), tmp_path / "scores.csv")
    assert (found.rows, found.scored) == (9, 8)
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert scores["id"].tolist() == new["id"].tolist()
    expected = vfl.load_model(runs["north"] / "model").predict_score(new.drop(index=3))
    assert np.array_equal(scores["score"].drop(index=3), expected)
    assert np.isnan(scores["score"][3])
    assert report(found.folder)["prediction"]["missing"] == {"age": 1}


def test_what_predict_refuses(world: MemberFolders, runs: dict[str, Path], tmp_path: Path) -> None:
    model = runs["north"] / "model"
    with pytest.raises(ConfigError, match="only members score rows"):
        predict(world.job, world.party(SUM), model, None, None)
    with pytest.raises(ConfigError, match="--model is missing"):
        predict(world.job, world.party("north"), None, None, None)
    other = lay_out(tmp_path, rounds=3)
    with pytest.raises(ModelError, match="trained by another job"):
        predict(other.job, world.party("north"), model, None, None)


# -- several runs


def with_members(world: MemberFolders, members: tuple[str, ...]) -> MemberFolders:
    """The same folders, and a job of these members."""
    text = world.job_file.read_text().replace("members = [", f"members = {json.dumps(members)} # [", 1)
    (world.folder / "other.toml").write_text(text)
    return MemberFolders(world.folder, world.tables, (*members, SUM))


def test_a_second_run_of_the_same_members_is_free_and_one_with_a_member_less_is_refused(tmp_path: Path) -> None:
    """With three of four members, the two runs together would give the fourth one's sums of columns away."""
    world = lay_out(tmp_path, (*THREE, "east"), rounds=1)
    world.done()
    told, _ = checked(world.job, world.party("north"))
    assert any("sums of one group of 4 members were opened" in line for line in told.bounds)
    text = world.job_file.read_text()
    fewer = json.dumps(list(THREE))
    world.job_file.write_text(text.replace(json.dumps([*THREE, "east"]), fewer))
    for name in ("north", SUM):
        with pytest.raises(DisclosureRefused, match="with the sums of its earlier runs") as refused:
            prepare(world.job, world.party(name))
        assert refused.value.about == "policy.sums_days"
    assert prepare(world.job, world.party(SUM).model_copy(update={"run": other_directory(world, tmp_path)}))
    world.job_file.write_text(text)
    prepare(world.job, world.party("north"))


def other_directory(world: MemberFolders, folder: Path) -> Any:
    return world.party(SUM).run.model_copy(update={"directory": folder / "empty"})


def test_a_run_at_the_same_time_counts(tmp_path: Path) -> None:
    """What another run of this party keeps meanwhile is known to this one."""
    world = lay_out(tmp_path)
    world.party("north").run.directory.mkdir()
    one, other = (KeptSums(world.job, world.party("north")) for _ in range(2))
    assert one.survivors == ()
    other.keep(frozenset(THREE))
    assert one.survivors == (frozenset(THREE),)
    one.keep(frozenset(THREE))
    one.keep(frozenset(THREE[:2]))
    assert one.survivors == (frozenset(THREE),)  # its own sums are compared as those of this run


def test_columns_in_common_decide_and_days_end_the_comparison(tmp_path: Path) -> None:
    world = lay_out(tmp_path)
    party = world.party("north")
    party.run.directory.mkdir()
    KeptSums(world.job, party).keep(frozenset(THREE))
    text = world.job_file.read_text()
    for columns, known in (('["limit"]', 1), ('["income", "rent"]', 1), ('["income"]', 0)):
        label = "default" if known else "churn"
        changed = text.replace('["age", "limit"]', columns).replace('label = "default"', f'label = "{label}"')
        world.job_file.write_text(changed)
        assert len(KeptSums(world.job, party).survivors) == known
    world.job_file.write_text(text)
    days = party.model_copy(update={"policy": party.policy.model_copy(update={"sums_days": 30})})
    assert len(KeptSums(world.job, days).survivors) == 1
    with sqlite3.connect(party.run.directory / "budget.sqlite") as store:
        store.execute("UPDATE sums SET day = '2020-01-01'")
    store.close()
    assert KeptSums(world.job, days).survivors == ()
    assert len(KeptSums(world.job, party).survivors) == 1


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"max_rows": 20}, "30 rows are to be trained on, and model.max_rows is 20"),
        ({"test": 0.01}, "no row is held out"),
        ({"columns": ["age", "income"]}, "the table has no column 'income'"),
        ({"columns": ["age", "id"]}, "column 'id' does not hold numbers"),
        ({"label": "limit", "columns": ["age"]}, "the label holds other values"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_before_anybody_is_met(
    tmp_path: Path, job: dict[str, Any], words: str
) -> None:
    world = lay_out(tmp_path, **job)
    with pytest.raises(DataError, match=words) as refused:
        checked(world.job, world.party("north"))
    assert refused.value.party == "north"


class Kept(Tap):
    """What the budget file knew when shares left."""

    def __init__(self, world: MemberFolders, name: str) -> None:
        self._world, self._name = world, name
        self.known: list[int] = []

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        if kind is UnmaskingShares:
            self.known.append(len(KeptSums(self._world.job, self._world.party(self._name)).survivors))


def test_a_sum_is_kept_before_the_shares_that_open_it_leave(tmp_path: Path) -> None:
    world = lay_out(tmp_path, rounds=1)
    tap = Kept(world, "north")
    world.done(taps={"north": [tap]})
    assert tap.known == [1, 1, 1, 1]  # of one group of members


# -- who leaves


class Gone(Exception):
    """A member's process has died."""


class DiesAt(Tap):
    """A member that is gone right before its masked numbers of this turn leave."""

    def __init__(self, turn: int, error: Exception | None = None) -> None:
        self._left, self._error = turn, error or Gone()

    def check(self, peer: str, kind: type[Message]) -> None:
        self._left -= kind is MaskedUpdate
        if kind is MaskedUpdate and not self._left:
            raise self._error


def test_one_of_ten_members_leaves_and_the_others_have_a_model(tmp_path: Path) -> None:
    world = lay_out(tmp_path, TEN, rounds=2)
    ended = world.run(taps={"m4": [DiesAt(2)]})
    assert isinstance(ended["m4"], Gone)
    folders = {name: folder for name, folder in ended.items() if isinstance(folder, Path)}
    assert set(folders) == {*TEN, SUM} - {"m4"}
    assert len({(folder / "model" / "model.json").read_bytes() for folder in folders.values()}) == 1
    told = report(folders[SUM])["averaging"]
    assert list(told["left"]) == ["m4"]
    assert "m4" not in told["confirmed"]
    rounds = told["rounds"]
    assert all("m4" in one["without"] and one["members"] == 7 for one in rounds)  # it takes two others along
    assert len({tuple(one["without"]) for one in rounds}) == 1


def test_one_of_three_that_leaves_ends_every_party_with_a_typed_error(tmp_path: Path) -> None:
    world = lay_out(tmp_path, rounds=2)
    ended = world.run(taps={"west": [DiesAt(2)]})
    assert isinstance(ended[SUM], TooFewMembers)
    assert "west left: 2 of 3 members remain" in str(ended[SUM])
    for name in ("north", "south"):
        error = ended[name]
        assert isinstance(error, PeerAborted)
        assert error.peer_code == TooFewMembers.code


class EndsIn(Observer):
    """An aggregator that loses its connections after the first round, once."""

    def __init__(self) -> None:
        self.done = False

    def step(self, phase: str, done: int, total: int) -> None:
        if done == 1 and not self.done:
            self.done = True
            raise PeerClosed("the network is gone", party=SUM)


def test_an_aggregator_that_comes_back_begins_another_run_with_those_that_wait(tmp_path: Path) -> None:
    world = lay_out(tmp_path, reconnect=30)
    folders = world.done(watches={SUM: EndsIn()})
    assert len({(folder / "model" / "model.json").read_bytes() for folder in folders.values()}) == 1
    for name in (*THREE, SUM):
        outcomes = [one.outcome for one in listed(world.party(name).run.directory)]
        assert outcomes.count("done") == 1
        assert len(outcomes) == 2


def test_members_do_not_wait_where_their_files_say_so(tmp_path: Path) -> None:
    world = lay_out(tmp_path)
    ended = world.run(watches={SUM: EndsIn()})
    for name in THREE:
        error = ended[name]
        assert isinstance(error, PeerAborted)
        assert error.peer_code == PeerClosed.code


def test_a_member_that_lost_its_connection_is_told_where_the_model_may_be(tmp_path: Path) -> None:
    world = lay_out(tmp_path)
    ended = world.run(taps={"west": [DiesAt(2, PeerClosed(f"the connection to {SUM} broke", party=SUM))]})
    assert isinstance(ended["west"], PeerClosed)
    assert "ask one for its RUN/model/model.json" in str(ended["west"])


# -- two members


def test_two_members_need_the_permission_that_says_what_each_reads(tmp_path: Path) -> None:
    world = lay_out(tmp_path, ("north", "south"), rounds=1)
    world.done()
    text = world.job_file.read_text()
    world.job_file.write_text(text.replace('  "updates-to-other-member",\n', ""))
    with pytest.raises(ConfigError, match=r"lacks permissions.*updates-to-other-member"):
        assert world.job
    world.job_file.write_text(text)
    world.change("north", '  "updates-to-other-member",\n', "")
    with pytest.raises(DisclosureRefused, match="updates-to-other-member"):
        prepare(world.job, world.party("north"))


# -- real processes


@pytest.mark.slow
def test_processes_over_tls_one_of_which_is_killed(parties: Institutions, tmp_path: Path) -> None:
    """By the commands that institutions type: nine of ten processes end with one model."""
    world = lay_out(tmp_path, TEN, rounds=3)
    start = {
        name: parties.run(
            [
                "-m",
                "vfl",
                "run",
                "--progress",
                "lines",
                "--connect-timeout",
                "120",
                str(world.job_file),
                str(world.file(name)),
            ],
            name,
        )
        for name in world.names
    }
    start["m4"].until(lambda events: any(e.get("phase") == "averaging" and e.get("step") for e in events), 120)
    start["m4"].kill(signal.SIGKILL)
    ended = {name: process.wait(180) for name, process in start.items()}
    assert ended["m4"].code in (-signal.SIGKILL, 128 + signal.SIGKILL)
    good = {name: one for name, one in ended.items() if one.code == 0}
    assert set(good) == {*TEN, SUM} - {"m4"}, {n: e.err for n, e in ended.items() if e.code}
    assert len({(one.folder / "model" / "model.json").read_bytes() for one in good.values()}) == 1


@pytest.mark.slow
def test_an_aggregator_that_is_killed_and_started_again(parties: Institutions, tmp_path: Path) -> None:
    """Members whose processes live wait for it, and begin another run."""
    world = lay_out(tmp_path, reconnect=60, rounds=200)

    def started(name: str) -> Any:
        words = ["-m", "vfl", "run", "--progress", "lines", "--connect-timeout", "60"]
        return parties.run([*words, str(world.job_file), str(world.file(name))], name)

    start = {name: started(name) for name in world.names}
    start[SUM].until(lambda events: any(e.get("phase") == "averaging" and (e.get("step") or 0) > 1 for e in events), 60)
    start[SUM].kill(signal.SIGKILL)
    start[SUM].wait(30)
    start[SUM] = started(SUM)
    ended = {name: process.wait(120) for name, process in start.items()}
    assert [one.code for one in ended.values()] == [0] * 4, {n: e.err for n, e in ended.items()}
    assert len({(one.folder / "model" / "model.json").read_bytes() for one in ended.values()}) == 1
    for name in THREE:
        assert len(listed(world.party(name).run.directory)) == 2
