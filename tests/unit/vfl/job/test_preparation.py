"""`crypto.preparation`: in the digest where it is not the default, for models whose iterations can be prepared."""

from __future__ import annotations

import pytest

from protocols.errors import ConfigError
from tests.unit.vfl.job.samples import MINIMAL, with_key
from tests.unit.vfl.job.test_model_kinds import OPEN, SCORECARD, SEALED
from vfl.job import load_job
from vfl.job.plan import plan_of
from vfl.models.regression import program as regression
from vfl.models.scorecard import program as scorecard

BATCHED = 'preparation = "batched"'


def test_the_default_is_the_job_of_earlier_releases(write) -> None:
    job = load_job(write(MINIMAL))
    assert load_job(write(with_key("crypto", 'preparation = "none"'))).digest == job.digest
    assert "preparation" not in job.canonical.decode()
    assert not plan_of(job).prepared


def test_it_is_in_the_digest_and_reaches_the_protocol(write) -> None:
    job = load_job(write(with_key("crypto", BATCHED)))
    assert job.digest != load_job(write(MINIMAL)).digest
    assert regression.terms_of(plan_of(job)).prepared
    assert regression.fold_terms(plan_of(job)).prepared
    assert not regression.terms_of(plan_of(load_job(write(MINIMAL)))).prepared
    cards = [load_job(write(text)) for text in (SCORECARD, with_key("crypto", BATCHED, SCORECARD))]
    assert [scorecard.terms_of(plan_of(one)).prepared for one in cards] == [False, True]


@pytest.mark.parametrize("text", [SEALED, OPEN])
def test_trees_have_nothing_to_prepare(write, text: str) -> None:
    with pytest.raises(ConfigError, match=r"crypto\.preparation.*no iterations that can be prepared"):
        load_job(write(with_key("crypto", BATCHED, text)))


def test_another_word_is_refused(write) -> None:
    with pytest.raises(ConfigError, match=r"crypto\.preparation"):
        load_job(write(with_key("crypto", 'preparation = "always"')))
