"""A job that aligns ids and ends there: what it may leave out, what it must name, and how it differs from a job that
fits a model."""

import pytest

from protocols.errors import ConfigError, DisclosureRefused
from tests.unit.vfl.job.samples import MINIMAL, with_key
from vfl.job import AlignmentJob, Job, cross_check, load_agreement, load_job, load_party, starter_party, with_peer
from vfl.models import accounting

ALONE = """\
name = "overlap"
version = 1
[parties]
guest = "bank"
hosts = ["telecom"]
[align]
keys = [["national_id"]]
[disclosure]
allow = ["intersection-to-parties"]
"""


def refusal(path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_agreement(path)
    return str(caught.value)


def test_it_needs_neither_a_model_nor_an_arbiter(write):
    job = load_agreement(write(ALONE))
    assert isinstance(job, AlignmentJob)
    assert job.parties.names == ("bank", "telecom")
    assert [job.parties.peers_of(p) for p in job.parties.names] == [("telecom",), ("bank",)]
    assert [job.parties.dials(p) for p in job.parties.names] == [(), ("bank",)]
    assert job.parties.role_of("") is None


def test_a_job_with_a_model_is_one(write):
    job = load_agreement(write(MINIMAL))
    assert isinstance(job, Job)
    assert job == load_job(write(MINIMAL))
    assert job.digest != load_agreement(write(ALONE.replace("overlap", "credit-risk"))).digest


def test_vfl_run_says_who_needs_no_model(write):
    with pytest.raises(
        ConfigError, match=r"model is missing. Expected a section \[model\] .*only vfl align needs none"
    ):
        load_job(write(ALONE.replace('hosts = ["telecom"]', 'hosts = ["telecom"]\narbiter = "trustco"')))


@pytest.mark.parametrize(
    ("section", "line", "says"),
    [
        ("parties", 'hosts = ["telecom", "shop"]', "parties.arbiter"),
        ("parties", 'arbiter = ""', "parties.arbiter"),
        ("parties", 'arbiter = "bank"', "the guest too"),
        ("align", 'keys = [["a"], ["b"]]', 'add "matched-keys-to-parties"'),
        ("align", "cardinality_only = true", 'add "intersection-size-to-parties"'),
        ("split", "test = 0.5", "split"),
        ("disclosure", "score_bits = 7", "score_bits"),
    ],
)
def test_what_is_wrong_is_named(write, section, line, says):
    assert says in refusal(write(with_key(section, line, ALONE)))


def test_several_hosts_need_an_arbiter_and_its_permission(write):
    text = with_key("parties", 'hosts = ["telecom", "shop"]', with_key("parties", 'arbiter = "trustco"', ALONE))
    assert 'add "intersection-sizes-to-arbiter"' in refusal(write(text))
    job = load_agreement(
        write(with_key("disclosure", 'allow = ["intersection-to-parties", "intersection-sizes-to-arbiter"]', text))
    )
    assert job.parties.peers_of("shop") == ("bank", "trustco")


def test_the_digest_tells_what_is_asked_for(write):
    both = 'allow = ["intersection-to-parties", "intersection-size-to-parties"]'
    texts = [
        ALONE,
        with_key("disclosure", both, ALONE),
        with_key("disclosure", both, with_key("align", "cardinality_only = true", ALONE)),
        with_key("align", 'normalise = { national_id = "email" }', ALONE),
    ]
    assert len({load_agreement(write(t)).digest for t in texts}) == 4
    assert (
        load_agreement(write(with_key("align", "cardinality_only = false", ALONE))).digest
        == load_agreement(write(ALONE)).digest
    )


def test_a_policy_that_opens_no_row_agrees_to_the_size_alone(write, tmp_path):
    text = starter_party("host", "telecom", allow=["intersection-size-to-parties"])
    (tmp_path / "party.toml").write_text(with_peer(text, "bank", "peers/bank.pem", "10.0.0.3:7443"))
    party = load_party(tmp_path / "party.toml")
    size = with_key(
        "disclosure", 'allow = ["intersection-size-to-parties"]', with_key("align", "cardinality_only = true", ALONE)
    )
    cross_check(load_agreement(write(size)), party)
    with pytest.raises(DisclosureRefused, match="intersection-to-parties"):
        cross_check(load_agreement(write(ALONE)), party)


PRIVATE = '\n[privacy]\nunit = "id"\nepsilon = 2\ndelta = 1e-6\n'
SIZE = ALONE.replace("[disclosure]", "cardinality_only = true\n[disclosure]").replace(
    '"intersection-to-parties"', '"intersection-size-to-parties"'
)


def test_a_size_alone_can_carry_noise(write):
    plain, private = (load_agreement(write(SIZE + more)) for more in ("", PRIVATE))
    assert plain.noise is None
    assert plain.digest != private.digest
    assert b"privacy" not in plain.canonical
    assert private.noise.multiplier == accounting.multiplier(2.0, 1e-6, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ALONE + PRIVATE, "the size alone between two parties"),
        (SIZE + PRIVATE.replace('"id"', '"row"'), "opens no sum and no label"),
        (SIZE.replace('[["national_id"]]', '[["national_id"], ["phone"]]') + PRIVATE, "with one key"),
        (SIZE + PRIVATE + "clip = 2.0\n", "nothing is clipped"),
    ],
)
def test_other_alignments_have_no_noise(write, text, says):
    assert says in refusal(write(text))
