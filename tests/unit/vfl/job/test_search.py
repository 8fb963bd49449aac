"""[search] of a job file: the same job however it is written, what it needs, what is refused, and how many models it
tells."""

import json

import pytest

from tests.unit.vfl.job.samples import MINIMAL, with_key
from tests.unit.vfl.job.test_model_kinds import OPEN, SCORECARD, SEALED, refusal
from vfl.cli.check import carried
from vfl.job import job_from, load_job, needed_permits
from vfl.steps.grid import FIXED

ALLOWED = MINIMAL.replace('"scores-to-guest"', '"scores-to-guest", "best-candidate-to-parties"')
TREES = SEALED.replace('"wins-to-owners"', '"wins-to-owners", "best-candidate-to-parties"')


def searching(lines: str, text: str = ALLOWED) -> str:
    return f"{text}\n[search]\n{lines}\n"


def test_a_job_without_is_the_job_that_it_was(write):
    plain = load_job(write(MINIMAL))
    assert plain.search is None
    assert b"search" not in plain.canonical
    assert (plain.candidates, plain.trainings, plain.models_told) == ((plain,), 1, 1)


def test_defaults_and_numbers_are_the_same_job_however_they_are_written(write):
    short, long = (
        load_job(write(searching(text)))
        for text in ("param_grid = { C = [1, 10] }", 'cv = 5\nscoring = "roc_auc"\nparam_grid = { C = [1.0, 10.0] }')
    )
    assert short.digest == long.digest
    again = job_from(json.loads(short.canonical))
    assert (again, again.digest) == (short, short.digest)
    assert (
        load_job(write(searching("param_grid = { C = [10, 1] }"))).digest != short.digest
    )  # of equal scores the first is best


def test_candidates_are_jobs_of_their_own(write):
    job = load_job(write(searching('param_grid = { C = [0.1, 1], link = ["exact", "taylor"] }\ncv = 3')))
    assert [(one.model.C, one.model.link) for one in job.candidates] == [
        (0.1, "exact"),
        (0.1, "taylor"),
        (1.0, "exact"),
        (1.0, "taylor"),
    ]
    assert {one.search for one in job.candidates} == {None}
    assert (job.trainings, job.models_told) == (13, 1)
    assert "edge-count-to-arbiter" in needed_permits(job)


def test_of_trees_every_fold_is_told(write):
    job = load_job(write(searching("param_grid = { max_depth = [2, 3] }\ncv = 4", TREES)))
    assert job.models_told == job.trainings == 9
    alone = load_job(write(searching("cv = 4", SEALED)))
    assert alone.models_told == 5
    assert carried(job) <= carried(load_job(write(with_key("model", "max_depth = 2", SEALED))))


def test_a_permission_that_a_candidate_needs_is_missed(write):
    taylor = with_key("model", 'link = "taylor"', ALLOWED).replace('"edge-count-to-arbiter", ', "")
    load_job(write(searching("param_grid = { C = [1, 2] }", taylor)))
    assert "'edge-count-to-arbiter'" in refusal(write(searching('param_grid = { link = ["taylor", "exact"] }', taylor)))
    assert "'best-candidate-to-parties'" in refusal(write(searching("param_grid = { C = [1, 2] }", MINIMAL)))
    assert load_job(write(searching("cv = 3", MINIMAL))).trainings == 4  # one candidate: there is nothing to tell


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            searching("cv = 1"),
            "search.cv (line 15) is 1. Expected a whole number from 2 to 20 (default 5)",
        ),
        (searching("cv = 5.0"), "search.cv (line 15) is 5.0"),
        (
            searching('scoring = "r2"'),
            'search.scoring (line 15) is "r2", which is not known for such a label. Use "roc_auc", "neg_log_loss"',
        ),
        (searching("param_grid = { C = [] }"), "lists no value for C"),
        (searching("param_grid = { C = [1, 1.0] }"), "lists a value twice for C"),
        (searching("param_grid = { C = 1 }"), "Expected a list of values"),
        (
            searching("param_grid = { C = [1, -1] }"),
            "has a candidate that is not possible: C = -1. Expected a number above 0",
        ),
        (searching('param_grid = { C = ["1"] }'), 'has a candidate that is not possible: C = "1"'),
        (searching("param_grid = { max_iter = [4] }"), "max_iter = 4"),
        (
            searching("param_grid = { max_depth = [4] }"),
            "searches max_depth, which [model] does not have. Use max_iter, clip",
        ),
        (
            searching("param_grid = { membership = ['open'] }", TREES),
            "it decides what hosts learn, and the trees are the same",
        ),
        (
            searching("param_grid = { validation = [0.2] }", TREES),
            "has a candidate that is not possible: validation = 0.2",
        ),
        (searching(f"param_grid = {{ C = {list(range(1, 102))} }}"), "has 101 candidates"),
        (searching("cv = 5", SCORECARD), "differences between folds would reveal sums over fewer rows"),
        (searching("cv = 5\n[preprocess]\nreport_iv = true"), "differences between folds"),
        (
            searching(
                "cv = 5",
                with_key("model", "tol = 1e-4", ALLOWED.replace('"scores-to', '"loss-verdict-to-parties", "scores-to')),
            ),
            "with tol or early_stopping: each fold",
        ),
        (
            searching("cv = 5", with_key("model", f'continue_from = "{"ab" * 16}"', TREES)),
            "was trained on the rows of every fold",
        ),
        (searching("folds = 5"), "search.folds (line 15) is not a known key"),
        *((searching(f"param_grid = {{ {name} = [1] }}"), f"searches {name}: {why}") for name, why in FIXED.items()),
    ],
)
def test_what_cannot_be_searched_is_refused_with_its_reason(write, text, says):
    assert says in refusal(write(text))


def test_open_trees_need_no_arbiter_to_be_searched(write):
    job = load_job(write(searching("param_grid = { max_depth = [2] }", OPEN)))
    assert len(job.candidates) == 1
