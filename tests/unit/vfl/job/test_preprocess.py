"""[preprocess] of a job file: what the Python class takes, what it discloses, and which jobs have none."""

import json

import pytest

import vfl
from protocols.errors import ConfigError
from tests.unit.vfl.job.samples import MINIMAL
from tests.unit.vfl.job.test_model_kinds import SCORECARD, SEALED, refusal
from vfl.job import job_from, load_job

WOE = '"bin-events-to-guest", "woe-to-host"'


def steps(lines: str, text: str = MINIMAL) -> str:
    return text + f"\n[preprocess]\n{lines}\n"


def test_the_section_is_the_class(write):
    assert load_job(write(steps('impute = "mean"'))).preprocess == vfl.Preprocessing(impute="mean")


def test_a_job_without_is_the_job_that_it_was(write):
    plain, one = load_job(write(MINIMAL)), load_job(write(steps('impute = "mean"')))
    assert plain.preprocess is None
    assert (plain.takes_missing, plain.takes_texts, one.takes_missing, one.takes_texts) == (False, False, True, False)
    assert b"preprocess" not in plain.canonical
    assert plain.digest != one.digest != load_job(write(steps('impute = "median"'))).digest
    again = job_from(json.loads(one.canonical))
    assert (again, again.digest) == (one, one.digest)


def test_weights_of_evidence_need_their_permissions(write):
    text = steps('encode = "woe"\nspecial_codes = [-1]\nmin_iv = 0.02')
    assert "'bin-events-to-guest'" in refusal(write(text))
    job = load_job(write(text.replace('"edge-count', f'{WOE}, "edge-count')))
    assert job.preprocess == vfl.Preprocessing(encode="woe", special_codes=(-1.0,), min_iv=0.02)
    named = steps('encode = "woe"\nopen_names = true').replace('"edge-count', f'{WOE}, "edge-count')
    assert "'column-names-to-guest'" in refusal(write(named))


def test_a_report_of_iv_tells_hosts_nothing(write):
    text = steps("report_iv = true\nmax_n_bins = 6").replace('"edge-count', '"bin-events-to-guest", "edge-count')
    job = load_job(write(text))
    assert job.preprocess.permits == ("bin-events-to-guest",)
    assert not job.takes_texts


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (steps("", SEALED), "trees bin every column themselves: it would do nothing. Remove the section"),
        (steps("", SCORECARD), "a scorecard bins every column, as [model] says"),
        (steps("fill_value = 1"), 'has no effect. It goes with impute = "constant"'),
        (steps('impute = "constant"'), 'is missing with impute = "constant"'),
        (steps("n_bins = 8"), "preprocess.n_bins (line 15) has no effect"),
        (steps("open_names = true"), 'It goes with encode = "woe"'),
        (steps('encode = "target"'), 'Use "none", "onehot", "quantile" or "woe"'),
        (steps("clip_quantiles = [0.9, 0.1]"), "two numbers from 0 to 1, the smaller first"),
        (steps("max_vif = 0.5"), "above 1"),
        (steps('imputation = "mean"'), "not a known key"),
    ],
)
def test_what_cannot_be_is_refused(write, text, says):
    assert says in refusal(write(text))


def test_the_reason_names_the_section(write):
    with pytest.raises(ConfigError, match=r"preprocess\.min_iv \(line \d+\) has no effect"):
        load_job(write(steps("min_iv = 0.1")))
