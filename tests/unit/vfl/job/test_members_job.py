"""Job files of members: what they say, what is refused and why, and which party can take part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from protocols.errors import ConfigError, DisclosureRefused
from vfl.job import MembersJob, Party, cautions, cross_check, load_agreement, load_job, load_party, load_training
from vfl.job.party_starter import starter_party, with_peer
from vfl.job.policy import bounds_told
from vfl.job.shown import averaged
from vfl.job.starter import starter_members_job

TEXT = starter_members_job()
Load = Callable[[str], MembersJob]


@pytest.fixture
def job(tmp_path: Path) -> Load:
    def loaded(text: str) -> MembersJob:
        (tmp_path / "job.toml").write_text(text)
        found = load_agreement(tmp_path / "job.toml")
        assert isinstance(found, MembersJob)
        return found

    return loaded


@pytest.fixture
def party(tmp_path: Path) -> Callable[..., Party]:
    """A party that has pinned all others; pinned: others than these."""

    def loaded(name: str, change: tuple[str, str] = ("", ""), without: str = "") -> Party:
        role = "arbiter" if name == "trustco" else "member"
        text = starter_party(role, name, kind="averaging")  # type: ignore[arg-type]
        for peer in ("bank-a", "bank-b", "bank-c", "trustco"):
            if peer not in (name, without):
                text = with_peer(text, peer, f"peers/{peer}.pem", "10.0.0.3:7443" if peer == "trustco" else None)
        (tmp_path / "party.toml").write_text(text.replace(*change))
        return load_party(tmp_path / "party.toml")

    return loaded


def test_what_a_starter_says(job: Load) -> None:
    found = job(TEXT)
    assert found.parties.members == ("bank-a", "bank-b", "bank-c")
    assert found.permits == found.disclosure.allow == ("averages-to-parties",)
    assert found.measures == ("auc", "log_loss")
    assert found.roles.members == found.parties.members
    assert not job(TEXT.replace("test = 0.25", "test = 0.0")).measures


def test_the_description_counts_in_words(job: Load) -> None:
    assert "a member goes once through its own rows" in averaged(job(TEXT))["training"]
    assert "; 2 columns: age, limit" in averaged(job(TEXT))["table"]
    other = TEXT.replace("[disclosure]", "local_epochs = 3\n[disclosure]").replace('"age", "limit"', '"limit"')
    assert "a member goes 3 times through" in averaged(job(other))["training"]
    assert "; 1 column: limit" in averaged(job(other))["table"]


def test_the_digest_does_not_depend_on_defaults_that_are_spelt_out(job: Load) -> None:
    spelt = TEXT.replace("[disclosure]", "mu = 0.0\nmin_members = 3\n[disclosure]")
    assert job(spelt).digest == job(TEXT).digest
    assert job(TEXT.replace('"age", "limit"', '"limit", "age"')).digest != job(TEXT).digest


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("members =", "hosts =", "parties.members", "is missing"),
        ("members = [", 'guest = "bank"\nmembers = [', "parties.guest", "not a known key"),
        ('"bank-b", "bank-c"', '"bank-a"', "parties.members", "twice"),
        ('"bank-c"', '"trustco"', "parties.members", "who is the arbiter too"),
        ('"bank-a", "bank-b", "bank-c"', '"bank-a"', "parties.members", "at least two"),
        ('"bank-b", "bank-c"', '"bank-b"', "parties.members", "two members need model.min_members = 2"),
        ("[split]", "[align]\nkeys = [['id']]\n[split]", "align", "not a known key"),
        ("[split]", "[split]\nout_of_time = 2026-01-01", "split.out_of_time", "not a key of a job of members"),
        ("[split]", "[split]\ntrain = true", "split.train", "not a key of a job of members"),
        ('kind = "averaging"', 'kind = "boosted-trees"', "model.kind", "averaging"),
        ("rounds = 50", "rounds = 50\nmin_members = 2", "model.min_members", "this job has 3 members"),
        ("rounds = 50", "rounds = 50\nmin_members = 4", "parties.members", "names 3, and model.min_members is 4"),
        ("rounds = 50", "rounds = 0", "model.rounds", "from 1 to"),
        ("rounds = 50", "rounds = 50\nhidden = 3", "model.hidden", "no hidden layer"),
        ("rounds = 50", "rounds = 50\nupdate_bits = 24", "model.update_bits", "Choose fewer bits"),
        ("rounds = 50", "round = 50", "model.round", "Did you mean 'rounds'"),
        ('columns = ["age", "limit"]', "columns = []", "table.columns", "a list of columns"),
        ('columns = ["age"', 'columns = ["default"', "table.columns", "which is the label"),
        ('"averages-to-parties",', "", "disclosure.allow", "lacks permissions"),
    ],
)
def test_what_is_refused_is_named_with_a_remedy(job: Load, old: str, new: str, key: str, says: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError) as refused:
        job(TEXT.replace(old, new))
    assert key in str(refused.value)
    assert says in str(refused.value)


def test_averaging_without_members_is_a_job_of_members(job: Load) -> None:
    with pytest.raises(ConfigError, match=r"parties\.members"):
        job(TEXT.replace("members =", "# members ="))


def test_commands_for_a_guest_and_hosts_refuse_it(job: Load, tmp_path: Path) -> None:
    job(TEXT)
    assert isinstance(load_training(tmp_path / "job.toml"), MembersJob)
    with pytest.raises(ConfigError, match="is a job of members"):
        load_job(tmp_path / "job.toml")


def test_two_members_reveal_more_and_say_so(job: Load) -> None:
    found = job(starter_members_job(members=("bank-a", "bank-b")))
    assert found.permits == ("averages-to-parties", "updates-to-other-member")


# -- the party's own file


@pytest.mark.parametrize("name", ["bank-a", "bank-c", "trustco"])
def test_every_party_can_take_part(job: Load, party: Callable[..., Party], name: str) -> None:
    cross_check(job(TEXT), party(name))
    assert not cautions(job(TEXT), party(name))
    assert any("model.min_members is 3" in line for line in bounds_told(job(TEXT), party(name)))


def test_a_member_needs_the_certificates_of_the_others(job: Load, party: Callable[..., Party]) -> None:
    with pytest.raises(
        ConfigError, match=r"peers.bank-b is missing: a member checks the signatures of bank-b and bank-c"
    ):
        cross_check(job(TEXT), party("bank-a", without="bank-b"))
    with pytest.raises(ConfigError, match=r"peers.trustco is missing: a member talks to trustco"):
        cross_check(job(TEXT), party("bank-a", without="trustco"))


@pytest.mark.parametrize(
    ("section", "line", "what"),
    [
        ("at_least", "min_members = 4", "policy.at_least.min_members is 4"),
        ("at_most", "rounds = 49", "policy.at_most.rounds is 49"),
    ],
)
def test_a_policy_bounds_members_and_rounds(
    job: Load, party: Callable[..., Party], section: str, line: str, what: str
) -> None:
    name = line.split(" ")[0]
    default = {"min_members": "min_members = 2", "rounds": "rounds = 1000"}[name]
    with pytest.raises(DisclosureRefused, match=what):
        cross_check(job(TEXT), party("bank-a", (default, line)))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('columns = ["age"]', 'the job uses "limit", which data.columns does not list'),
        ('exclude = ["default", "limit"]', 'the job uses "limit" and "default", which data.exclude lists'),
    ],
)
def test_columns_that_the_party_withholds(job: Load, party: Callable[..., Party], line: str, says: str) -> None:
    with pytest.raises(DisclosureRefused, match=says) as refused:
        cross_check(job(TEXT), party("bank-a", ("[policy]", f"{line}\n[policy]")))
    assert refused.value.about == "data.columns"


@pytest.mark.parametrize(
    "line",
    [
        'types = { age = "number" }',
        'label = "default"',
        'weight = "w"',
        'date = "d"',
        'id_columns = { id = "ID" }',
        'categories = ["age"]',
    ],
)
def test_keys_of_data_that_members_have_no_use_for(party: Callable[..., Party], line: str) -> None:
    with pytest.raises(ConfigError, match="is not for a member"):
        party("bank-a", ("[policy]", f"{line}\n[policy]"))


def test_workers_are_not_used_and_vfl_check_says_so(job: Load, party: Callable[..., Party]) -> None:
    own = party("trustco")
    compute = own.compute.model_copy(update={"engine": "ray", "workers": 2})
    (told,) = cautions(job(TEXT), own.model_copy(update={"compute": compute}))
    assert "[compute] is not used in this job" in told


def test_a_member_opens_no_port(party: Callable[..., Party]) -> None:
    with pytest.raises(ConfigError, match="a member opens no port, it dials the arbiter"):
        party("bank-a", ('role = "member"', 'role = "member"\nlisten = "0.0.0.0:7443"'))
