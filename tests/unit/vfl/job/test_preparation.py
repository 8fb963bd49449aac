"""`crypto.preparation`: by default for every model whose iterations can be prepared, and in the digest there."""

from __future__ import annotations

import json

import pytest

from protocols.errors import ConfigError
from tests.unit.vfl.cost.test_estimate import REGRESSION
from tests.unit.vfl.job.samples import MINIMAL, with_key
from tests.unit.vfl.job.test_model_kinds import OPEN, SCORECARD, SEALED
from vfl.job import job_from, load_job
from vfl.job.plan import plan_of
from vfl.models.regression import program as regression
from vfl.models.scorecard import program as scorecard

BATCHED, DIRECT = 'preparation = "batched"', 'preparation = "none"'
FAMILIES = {kind: with_key("model", f'kind = "{kind}-regression"', REGRESSION) for kind in ("linear", "poisson")}
PREPARED = {"logistic": MINIMAL, **FAMILIES, "scorecard": SCORECARD}


@pytest.mark.parametrize("text", PREPARED.values(), ids=PREPARED)
def test_it_is_the_default_is_in_the_digest_and_reaches_the_protocol(write, text: str) -> None:
    job, same, direct = (
        load_job(write(one)) for one in (text, with_key("crypto", BATCHED, text), with_key("crypto", DIRECT, text))
    )
    assert job.digest == same.digest != direct.digest
    terms = scorecard.terms_of if text == SCORECARD else regression.terms_of
    assert [terms(plan_of(one)).prepared for one in (job, same, direct)] == [True, True, False]
    assert text == SCORECARD or [regression.fold_terms(plan_of(one)).prepared for one in (job, direct)] == [True, False]


@pytest.mark.parametrize("text", PREPARED.values(), ids=PREPARED)
@pytest.mark.parametrize("asked", ["", BATCHED, DIRECT])
def test_what_it_is_stays_in_a_report_and_differs_from_releases_without_the_key(write, text: str, asked: str) -> None:
    """Their jobs were direct.  Planted: a canonical form without the key, which is read as the default."""
    job = load_job(write(with_key("crypto", asked, text)))
    assert job.crypto.preparation == ("none" if asked == DIRECT else "batched")
    document = json.loads(job.canonical)
    assert job_from(document).digest == job.digest
    del document["crypto"]["preparation"]
    assert (job_from(document).digest == job.digest) == (asked != DIRECT)
    assert b'"preparation"' in job.canonical


@pytest.mark.parametrize("text", [SEALED, OPEN])
def test_trees_have_nothing_to_prepare(write, text: str) -> None:
    """The default is no complaint, and no part of their digest."""
    job = load_job(write(text))
    assert not plan_of(job).prepared
    assert job.digest == load_job(write(with_key("crypto", DIRECT, text))).digest
    assert "preparation" not in job.canonical.decode()
    with pytest.raises(ConfigError, match=r"crypto\.preparation.*no iterations that can be prepared"):
        load_job(write(with_key("crypto", BATCHED, text)))


def test_another_word_is_refused(write) -> None:
    with pytest.raises(ConfigError, match=r"crypto\.preparation"):
        load_job(write(with_key("crypto", 'preparation = "always"')))
