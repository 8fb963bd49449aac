"""The digest is the same for the same job and differs for every other."""

import json

import pytest

from tests.unit.vfl.job.samples import MINIMAL, with_key
from vfl.job import job_from, load_job


def test_the_digest_does_not_depend_on_formatting(write):
    job = load_job(write(MINIMAL))
    spelt = MINIMAL.replace("[model]", "[model]\nC = 1 # the default\nmax_iter=100").replace("\n", "\r\n")
    spelt += 'score_bits = 0xA\r\n[crypto]\r\nkey_bits = 3_072\r\n[split]\r\nseed = 0\r\n"test" = 25e-2\r\n'
    spelt = spelt.replace(
        '["intersection-to-parties", "edge-count-to-arbiter", "scores-to-guest"]',
        "['scores-to-guest',\r\n 'intersection-to-parties',\r\n 'edge-count-to-arbiter', ]",
    )
    spelt = spelt.replace('keys = [["national_id"]]', 'keys = [["national_id"]]\nnormalise.national_id = "text"')
    spelt += "[predict]\r\nmin_rows = 1\r\n"
    assert load_job(write(spelt)).digest == job.digest
    assert "predict" not in job.canonical.decode()  # which was no key of the first release
    assert len(job.digest) == 32


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("model", "C = 1.5"),
        ("model", "max_iter = 101"),
        ("model", "clip = 5.0"),
        ("model", "weight_bits = 11"),
        ("model", 'link = "taylor"'),
        ("crypto", "key_bits = 4096"),
        ("split", "seed = 1"),
        ("split", "test = 0.0"),
        ("align", 'keys = [["National_id"]]'),
        ("align", 'normalise = { national_id = "digits" }'),
        ("align", 'duplicates = "first"'),
        ("align", "min_intersection = 101"),
        ("predict", "min_rows = 2"),
        ("disclosure", "score_bits = 9"),
        ("parties", 'arbiter = "other"'),
        ("parties", 'hosts = ["other"]'),
    ],
)
def test_the_digest_depends_on_every_value(write, section, line):
    assert load_job(write(with_key(section, line))).digest != load_job(write(MINIMAL)).digest


def test_a_former_permission_stands_for_what_it_is_called_now(write):
    former, both = (
        with_key(
            "disclosure", f'allow = ["intersection-to-parties", {names}, "edge-count-to-arbiter", "scores-to-guest"]'
        )
        for names in ('"final-weights-to-owner"', '"host-weights-to-host", "guest-weights-to-guest"')
    )
    old, new = load_job(write(former)), load_job(write(both))
    assert old.digest == new.digest != load_job(write(MINIMAL)).digest
    assert old.reveal == ("guest", "hosts")
    assert "final-weights-to-owner" not in old.canonical.decode()
    assert load_job(write(MINIMAL)).reveal == ()


def test_the_digest_is_frozen(write):
    """Another digest here means that releases no longer agree on a job: change the file format's version then."""
    assert load_job(write(MINIMAL)).digest.hex() == "f8b845112b44e27aac9fcd22f0a8d2392d23f824e54e5fbd65fe19077c7f872a"


def test_a_job_survives_its_canonical_json(write):
    job = load_job(write(MINIMAL))
    again = job_from(json.loads(job.canonical))
    assert again == job
    assert again.digest == job.digest
