"""[policy.at_least] and [policy.at_most]: a job that goes beyond them is refused before anything is sent, by the key's
own name, in a search too."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from protocols.errors import DisclosureRefused
from tests.unit.vfl.job.test_party_file import GUEST, HOST, fails
from vfl.job import PERMITS, cross_check, load_job, starter_party
from vfl.job.opened import rows_taken, vectors_opened
from vfl.job.policy import AtLeast, AtMost, bounds_told, columns_check, few_columns_check, few_values_check
from vfl.preprocessing import Preprocessing

TREES = {"kind": "boosted-trees"}
CLASSES = {"objective": "multi:softprob"}
# section, parameter, the key in the job, its bound here, a value that is just as good, one that is refused, what else
# the job has
CASES = [
    ("at_least", "min_intersection", "align.min_intersection", 500, 500, 499, {}),
    ("at_least", "key_bits", "crypto.key_bits", 3072, 3072, 2048, {}),
    ("at_least", "min_bin_rows", "model.min_bin_rows", 20, 20, 19, TREES),
    ("at_least", "min_bin_rows", "model.min_bin_rows", 60, 60, 50, {"kind": "scorecard"}),
    ("at_most", "gradient_bits", "model.gradient_bits", 4, 4, 5, TREES),
    ("at_most", "weight_bits", "model.weight_bits", 11, 11, 12, {}),
    ("at_most", "score_bits", "disclosure.score_bits", 8, 8, 9, {}),
    ("at_most", "n_estimators", "model.n_estimators", 50, 50, 51, TREES),
    ("at_most", "num_class", "model.num_class", 3, 3, 4, TREES | CLASSES),
    ("at_most", "num_class", "model.num_class", 3, 3, 4, {"kind": "logistic-regression"}),
]


def guest(section: str, name: str, bound: int) -> str:
    allow = ", ".join(f'"{p}"' for p in PERMITS)
    policy = f"[policy]\nallow = [{allow}]\n"
    return GUEST[: GUEST.index("[policy]")] + policy + f"[policy.{section}]\n{name} = {bound}\n"


@pytest.mark.parametrize(("section", "name", "key", "bound", "good", "bad", "more"), CASES)
def test_a_job_beyond_a_bound_is_refused(load, job, section, name, key, bound, good, bad, more):
    party = load(guest(section, name, bound))
    cross_check(job(**{name: good}, **more), party)
    refused = job(**{name: bad}, **more)
    said = fails(DisclosureRefused, refused, party)
    assert f"bank: the job's {key} is {bad}, this party's policy.{section}.{name} is {bound}" in said
    assert f"Agree on a job with {name} of {bound} or {'more' if section == 'at_least' else 'less'}" in said
    assert any(key in sentence and str(bound) in sentence for sentence in bounds_told(refused, party))


def test_every_bound_has_a_case_and_is_on_by_default(load):
    bounded = {(s, n) for s, n, *_ in CASES} | {("at_most", "candidates"), ("at_most", "columns")}
    bounded |= {("at_least", "min_members"), ("at_most", "rounds")}  # of jobs of members: test_members_job.py
    sections: dict[str, type[BaseModel]] = {"at_least": AtLeast, "at_most": AtMost}
    assert bounded == {(s, n) for s, section in sections.items() for n in section.model_fields}
    plain = load(GUEST).policy
    assert all(
        type(value) is int for section in (plain.at_least, plain.at_most) for value in section.model_dump().values()
    )
    assert load(starter_party("guest", "bank")).policy.at_most == plain.at_most


def test_a_candidate_of_a_search_beyond_a_bound_is_refused(write_job, load):
    party = load(guest("at_most", "n_estimators", 10))
    cross_check(write_job("n_estimators = [8, 10]", n_estimators=9, **TREES), party)
    said = fails(DisclosureRefused, write_job("n_estimators = [8, 11]", n_estimators=9, **TREES), party)
    assert "model.n_estimators is 11, this party's policy.at_most.n_estimators is 10" in said


def test_more_candidates_than_agreed_are_refused(write_job, load):
    party = load(guest("at_most", "candidates", 2))
    cross_check(write_job("C = [0.1, 1.0]"), party)
    said = fails(DisclosureRefused, write_job("C = [0.1, 1.0, 10.0]"), party)
    assert "the number of candidates of search.param_grid is 3, this party's policy.at_most.candidates is 2" in said


def test_batches_of_fewer_rows_than_agreed_are_refused(job, load, tmp_path: Path):
    """By default both files agree on one row; a training too is refused, as its model could score smaller batches."""
    cross_check(job(), load(guest("at_least", "key_bits", 2048)))
    party = load(GUEST.replace("[policy]", "[policy]\nmin_predict_rows = 20"))
    said = fails(DisclosureRefused, job(), party)
    assert "bank: the job's predict.min_rows is 1, this party's policy.min_predict_rows is 20" in said
    assert "Agree on a job with [predict] min_rows of 20 or more" in said
    text = (tmp_path / "job.toml").read_text()
    for rows in (19, 20):
        (tmp_path / "job.toml").write_text(text + f"\n[predict]\nmin_rows = {rows}\n")
        changed = load_job(tmp_path / "job.toml")
        assert any(f"predict.min_rows is {rows}" in sentence for sentence in bounds_told(changed, party))
        if rows < 20:
            fails(DisclosureRefused, changed, party)
    assert load_job(tmp_path / "job.toml").predict.min_rows == 20


def test_bins_by_the_label_are_bounded_in_preprocess_too(job, load, tmp_path: Path):
    party = load(guest("at_least", "min_bin_rows", 30))
    job()
    text = (tmp_path / "job.toml").read_text().replace("allow = [", 'allow = ["bin-events-to-guest", "woe-to-host", ')
    for rows, refused in ((29, True), (30, False)):
        (tmp_path / "job.toml").write_text(text + f'[preprocess]\nencode = "woe"\nmin_bin_rows = {rows}\n')
        if refused:
            assert "preprocess.min_bin_rows is 29" in fails(DisclosureRefused, load_job(tmp_path / "job.toml"), party)
        else:
            cross_check(load_job(tmp_path / "job.toml"), party)


def test_columns_of_this_party_and_of_a_partner_are_bounded(load):
    party = load(guest("at_most", "columns", 3))
    columns_check(party, "bank", 3)
    for whose in ("bank", "telecom"):
        with pytest.raises(
            DisclosureRefused, match=f"bank: {whose} brings 4 columns, this party's policy.at_most.columns is 3"
        ) as caught:
            columns_check(party, whose, 4)
        assert (caught.value.party, caught.value.exit_code) == ("bank", 6)
        assert "Use fewer columns" in caught.value.remedy


def test_the_former_place_of_the_smallest_intersection_is_read(load):
    party = load(GUEST.replace("[policy]", "[policy]\nmin_intersection = 500"))
    assert party.policy.at_least == AtLeast(min_intersection=500)


@pytest.fixture
def write_job(job, tmp_path: Path):
    def write(grid: str, **options):
        job(**options)
        text = (tmp_path / "job.toml").read_text().replace("allow = [", 'allow = ["best-candidate-to-parties", ')
        (tmp_path / "job.toml").write_text(text + f"[search]\nparam_grid = {{ {grid} }}\n")
        return load_job(tmp_path / "job.toml")

    return write


@pytest.mark.parametrize(("role", "columns", "permitted", "refused"), [
    ("host", 1, False, True), ("host", 2, False, True), ("host", 3, False, False), ("host", 1, True, False), ("guest", 1, False, False),  # noqa: E501
])  # fmt: skip
def test_a_host_with_few_columns_takes_part_only_where_the_job_says_so(
    load, job, tmp_path: Path, role, columns, permitted, refused
):
    party = load(GUEST if role == "guest" else HOST)
    one = job()
    if permitted:
        (tmp_path / "job.toml").write_text(
            (tmp_path / "job.toml").read_text().replace("allow = [", 'allow = ["few-columns", ')
        )
        one = load_job(tmp_path / "job.toml")
    if not refused:
        few_columns_check(one, party, columns)
        return
    with pytest.raises(
        DisclosureRefused, match=f"telecom: this party brings {columns} column.* does not allow 'few-columns'"
    ) as caught:
        few_columns_check(one, party, columns)
    assert caught.value.party == "telecom"
    assert PERMITS["few-columns"] in caught.value.what
    assert caught.value.remedy.startswith("Bring 3 columns or more")


def test_a_host_whose_rows_take_few_combinations_takes_part_only_where_the_job_says_so(load, job, tmp_path: Path):
    bits = pd.DataFrame(np.random.default_rng(0).integers(0, 2, (400, 4)), columns=list("abcd"))
    many, host, plain = bits.assign(age=np.arange(400.0)), load(HOST), job()
    few_values_check(plain, host, many)
    few_values_check(plain, load(GUEST), bits)
    with pytest.raises(DisclosureRefused, match=r"telecom: the columns .* only 16 combinations of values in 400 rows"):
        few_values_check(plain, host, bits)
    file = tmp_path / "job.toml"
    file.write_text(file.read_text().replace("allow = [", 'allow = ["few-columns", '))
    few_values_check(load_job(file), host, bits)


def test_bins_count_where_a_job_bins_a_hosts_columns(load, job):
    numbers, host = pd.DataFrame(np.random.default_rng(0).normal(size=(4000, 3)), columns=list("abc")), load(HOST)

    def binned(**steps):
        return job().model_copy(update={"preprocess": Preprocessing(impute="median", **steps)})

    for plain in (job(), binned(), binned(encode="onehot"), binned(encode="quantile", n_bins=20)):
        few_values_check(plain, host, numbers)
    for steps, count in (({"encode": "quantile"}, 125), ({"encode": "woe", "max_n_bins": 6}, 216)):
        with pytest.raises(DisclosureRefused, match=rf"only {count} combinations of bins in 4,000 rows") as caught:
            few_values_check(binned(**steps), host, numbers)
        assert caught.value.remedy.startswith("Bring a column with many bins")


WINS = [
    ({"n_estimators": 100}, "", 50),
    ({"n_estimators": 100, "guest_only_trees": 96}, "", 10),
    ({"n_estimators": 16, "objective": "multi:softprob", "num_class": 3}, "", 60),
    ({"n_estimators": 16}, "[search]\nparam_grid = { max_depth = [2, 3] }\ncv = 3\n", 7 * 20),
    ({"n_estimators": 16, "guest_only_trees": 16}, "", 0),
]


@pytest.mark.parametrize(("settings", "more", "numbers"), WINS)
def test_check_says_how_many_rows_wins_take(job, load, tmp_path: Path, settings, more, numbers):
    job(kind="boosted-trees", **settings)
    text = (tmp_path / "job.toml").read_text().replace("allow = [", 'allow = ["best-candidate-to-parties", ') + more
    (tmp_path / "job.toml").write_text(text)
    said = [
        f"count as {numbers} numbers computed from the labels" in line
        for line in rows_taken(load_job(tmp_path / "job.toml"), load(GUEST))
    ]
    assert said == [True] * bool(numbers)
    assert (
        numbers != 50
        or "the job needs 2,500 training rows" in rows_taken(load_job(tmp_path / "job.toml"), load(GUEST))[0]
    )
    assert rows_taken(load_job(tmp_path / "job.toml"), load(HOST)) == []


OPENED = [
    ({"test": 0.0}, "", 0),
    ({"test": 0.25}, "", 1),
    ({"test": 0.0}, "[evaluation]\nparts = [\"test\", \"train\"]\n", 1),
    ({"test": 0.25, "num_class": 4}, "", 4),
    ({"test": 0.25, "kind": "boosted-trees", "objective": "multi:softprob", "num_class": 4}, "", 4),
    ({"test": 0.25}, "[search]\nparam_grid = { C = [0.1, 1.0, 10.0] }\n", 4),
    ({"test": 0.0, "num_class": 3}, "[search]\nparam_grid = { C = [0.1, 1.0] }\n", 6),
    ({"test": 0.25, "kind": "scorecard"}, "", 1),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "more", "vectors"), OPENED)
def test_how_many_score_vectors_a_job_opens(job, tmp_path: Path, settings, more, vectors):
    job(**settings)
    text = (tmp_path / "job.toml").read_text().replace("allow = [", 'allow = ["best-candidate-to-parties", ') + more
    (tmp_path / "job.toml").write_text(text)
    assert vectors_opened(load_job(tmp_path / "job.toml")) == vectors


BINNED = [
    ({"kind": "scorecard"}, "", 950),
    ({"kind": "scorecard", "max_n_prebins": 5}, "", 200),
    ({}, '[preprocess]\nencode = "woe"\nmax_n_prebins = 11\n', 500),
    ({}, '[preprocess]\nencode = "onehot"\n', 0),
]


@pytest.mark.parametrize(("settings", "more", "rows"), BINNED)
def test_check_says_how_many_rows_bins_by_the_label_take(job, load, tmp_path: Path, settings, more, rows):
    job(test=0.0, **settings)
    text = (tmp_path / "job.toml").read_text() + more
    if "woe" in more:
        text = text.replace("allow = [", 'allow = ["bin-events-to-guest", "woe-to-host", ')
    (tmp_path / "job.toml").write_text(text)
    binned = load_job(tmp_path / "job.toml")
    assert [
        f"needs {rows:,} training rows for each host column" in line for line in rows_taken(binned, load(GUEST))
    ] == [True] * bool(rows)
    assert rows_taken(binned, load(HOST)) == []
