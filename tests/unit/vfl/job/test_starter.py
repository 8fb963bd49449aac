"""The files that vfl init writes load as they are and fit each other."""

import pytest

from protocols.errors import ConfigError, DisclosureRefused
from vfl.job import PERMITS, cautions, cross_check, needed_permits, starter_job, starter_party, with_peer
from vfl.job.model import MODELS


@pytest.mark.parametrize("role", ["guest", "host", "arbiter"])
def test_the_starter_party_loads_and_takes_peers(load, role):
    text = starter_party(role, "somebody")
    party = load(text)
    assert (party.role, party.name, party.peers) == (role, "somebody", {})
    text = with_peer(text, "other", "peers/other.pem", "10.0.0.3:7443")
    assert load(with_peer(text, "third", "peers/third.pem")).peers["other"].address == "10.0.0.3:7443"
    with pytest.raises(ConfigError, match=r"already has .*Change its address there by hand.*--add"):
        with_peer(text, "other", "peers/new.pem")
    with pytest.raises(ConfigError, match="not valid TOML"):
        with_peer("[", "other", "peers/new.pem")


@pytest.mark.parametrize(("role", "dials"), [("guest", False), ("host", True), ("arbiter", True)])
def test_the_comment_on_peers_has_an_address_where_the_party_dials(role, dials):
    comment = starter_party(role, "me").partition("# vfl trust adds")[2]
    assert ("address =" in comment) == dials
    assert "[peers.bank]" in comment or role == "guest"


@pytest.mark.parametrize("name", ["../x", "Bank", "", "a b", "-v", "x" * 33])
def test_no_file_is_started_for_what_is_not_a_name(name):
    for make in (lambda: starter_party("guest", name), lambda: with_peer("", name, "peers/x.pem")):
        with pytest.raises(
            ConfigError, match=r"the party's name is .* not a valid name. Use 1 to 32 lower-case letters"
        ):
            make()


def test_a_starter_job_with_keys_in_order(job):
    one = job(
        keys=[["national_id"], ["phone", "birth_date"]], normalise={"phone": "e164:GB", "birth_date": "date:%d/%m/%Y"}
    )
    assert one.align.keys == (("national_id",), ("phone", "birth_date"))
    assert one.align.normalise == {"national_id": "text", "phone": "e164:GB", "birth_date": "date:%d/%m/%Y"}
    assert "matched-keys-to-parties" in one.disclosure.allow


def test_the_starter_files_fit_each_other(load, job):
    one = job(hosts=["telecom", "shop"], keys=["phone", "birth date"], normalise={"phone": "digits"})
    assert one.align.normalise == {"phone": "digits", "birth date": "text"}
    for role, me in [("guest", "bank"), ("host", "shop"), ("arbiter", "trustco")]:
        text = starter_party(role, me, allow=tuple(PERMITS), columns=None if role == "arbiter" else ["a"])
        for peer in one.parties.peers_of(me):
            text = with_peer(
                text, peer, f"peers/{peer}.pem", "10.0.0.3:7443" if peer in one.parties.dials(me) else None
            )
        party = load(text)
        cross_check(one, party)
        assert cautions(one, party) == []


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "boosted-trees", "max_depth": 3, "gamma": 0.5},
        {"kind": "boosted-trees", "membership": "open", "arbiter": ""},
        {"kind": "boosted-trees", "membership": "open", "hosts": ["telecom", "shop"]},
        {"kind": "boosted-trees", "objective": "multi:softprob", "num_class": 4},
        {"weight_bits": 12, "link": "taylor"},
    ],
)
def test_a_starter_job_of_each_kind_asks_for_what_it_needs(job, options):
    one = job(**options)
    assert set(one.disclosure.allow) == set(needed_permits(one))
    asked = {key: value for key, value in options.items() if key in type(one.model).model_fields}
    assert {key: getattr(one.model, key) for key in asked} == asked


def test_a_starter_job_takes_the_parameters_of_its_kind():
    with pytest.raises(ConfigError, match="max_depth is not a known key"):
        starter_job(max_depth=3)


@pytest.mark.parametrize("kind", MODELS)
def test_a_party_made_for_a_kind_agrees_to_a_job_of_that_kind(load, job, kind):
    one = job(kind=kind)
    text = with_peer(starter_party("guest", "bank", kind=kind), "telecom", "peers/telecom.pem")
    cross_check(one, load(with_peer(text, "trustco", "peers/trustco.pem")))
    other = "scorecard" if kind == "boosted-trees" else "boosted-trees"
    with pytest.raises(DisclosureRefused):
        cross_check(job(kind=other), load(with_peer(text, "trustco", "peers/trustco.pem")))


@pytest.mark.parametrize(("role", "kind"), [("member", "scorecard"), ("guest", "averaging"), ("host", "averaging")])
def test_a_kind_that_has_no_such_role(role, kind):
    with pytest.raises(ConfigError, match=f"a job of the kind '{kind}' has no {role}. Members take part"):
        starter_party(role, "bank", kind=kind)
    assert 'role = "member"' in starter_party("member", "bank")
    starter_party("arbiter", "bank", kind="averaging")  # the aggregator


def test_a_kind_that_there_is_not():
    for make in (lambda: starter_party("guest", "bank", kind="oracle"), lambda: starter_job(kind="oracle")):
        with pytest.raises(ConfigError, match=r"the kind 'oracle' is not known\. Use 'logistic-regression', "):
            make()
