"""policy.jobs, policy.approved_by, [policy.partners.NAME]: a job outside of them is refused before anything is sent."""

from __future__ import annotations

import pytest

from protocols.errors import ConfigError, DisclosureRefused
from tests.unit.vfl.job.test_party_file import GUEST, fails
from vfl.job import cross_check
from vfl.job.partners import own_columns_check
from vfl.job.policy import bounds_told


def with_policy(lines: str, sections: str = "") -> str:
    """The guest's file with more lines in [policy], and sections at its end."""
    return GUEST.replace("[policy]\n", f"[policy]\n{lines}\n") + f"\n{sections}\n"


def test_only_agreed_jobs_are_taken(load, job):
    agreed, other = job(), job(test=0.5)
    for text in (
        with_policy(f'jobs = ["{agreed.digest.hex()}"]'),
        with_policy("", f'[policy.partners.telecom]\njobs = ["{agreed.digest.hex()}"]'),
    ):
        party = load(text)
        cross_check(agreed, party)
        said = fails(DisclosureRefused, other, party)
        assert f"the job's digest {other.digest.hex()} is not in this party's policy." in said
        assert "vfl job show" in said
    assert any("lists 1, this job among them" in told for told in bounds_told(agreed, load(with_policy(f'jobs = ["{agreed.digest.hex()}"]'))))  # fmt: skip  # noqa: E501


def test_a_digest_that_is_none_is_refused(load):
    with pytest.raises(ConfigError, match=r"policy\.jobs"):
        load(with_policy('jobs = ["abc"]'))


def test_a_partner_can_be_allowed_less(load, job):
    whole = job()
    least = [p for p in whole.disclosure.allow if p != "scores-to-guest"]
    party = load(with_policy("", f"[policy.partners.telecom]\nallow = {least!r}".replace("'", '"')))
    said = fails(DisclosureRefused, whole, party)
    assert "policy.partners.telecom.allow does not: 'scores-to-guest'" in said
    assert "add it to policy.partners.telecom.allow" in said
    everything = load(with_policy("", f"[policy.partners.telecom]\nallow = {[*least, 'scores-to-guest']!r}".replace("'", '"')))  # fmt: skip  # noqa: E501
    cross_check(whole, everything)


def test_a_partner_can_ask_for_a_longer_key(load, job):
    party = load(with_policy("", "[policy.partners.trustco]\nkey_bits = 4096"))
    assert "crypto.key_bits is 3072, this party's policy.partners.trustco.key_bits is 4096" in fails(
        DisclosureRefused, job(), party
    )
    cross_check(job(key_bits=4096), party)


def test_a_partner_can_have_fewer_columns(load, job):
    party = load(with_policy('approved_by = "Jane Doe"', '[policy.partners.telecom]\ncolumns = ["age", "limit"]'))
    own_columns_check(job(), party, ["age"])
    with pytest.raises(DisclosureRefused) as refused:
        own_columns_check(job(), party, ["age", "income"])
    assert '"income" would take part in a job with telecom' in str(refused.value)
    assert "data.columns" in refused.value.remedy
    told = bounds_told(job(), party)
    assert any("approved by Jane Doe" in sentence for sentence in told)
    assert any("policy.partners.telecom bounds jobs with telecom by columns" in sentence for sentence in told)


def test_rules_about_nobody_are_refused(load):
    """A name that is misspelt would bound nothing."""
    with pytest.raises(ConfigError, match=r"policy\.partners\.telekom .*is about no peer"):
        load(with_policy("", "[policy.partners.telekom]\nkey_bits = 4096"))
