"""[model] takes exactly the parameters of its kind, under the estimator's names and with its defaults; a kind says who
must take part and what it reveals."""

import json
from pathlib import Path

import pytest

import vfl
from protocols.boosting.params import Params
from protocols.errors import ConfigError
from tests.unit.vfl.job.samples import MINIMAL, with_key
from vfl.job import PERMITS, Job, job_from, load_job, needed_permits
from vfl.job.model import MODELS
from vfl.job.plan import plan_of, roles_of
from vfl.models.registry import kind_of
from vfl.models.regression.program import terms_of
from vfl.models.regression.spec import LinearRegression, LogisticRegression, PoissonRegression
from vfl.models.scorecard.spec import Scorecard
from vfl.models.trees.spec import BoostedTrees

SEALED = with_key(
    "disclosure",
    'allow = ["intersection-to-parties", "bin-sums-to-arbiter", "wins-to-owners", "edge-count-to-arbiter", '
    '"scores-to-guest"]',
    with_key("model", 'kind = "boosted-trees"'),
)
OPEN = with_key(
    "disclosure",
    'allow = ["intersection-to-parties", "bin-sums-to-guest", "directions-to-guest", "partition-to-hosts"]',
    with_key("model", 'membership = "open"', SEALED).replace('arbiter = "trustco"\n', ""),
)
SCORECARD = with_key(
    "disclosure",
    'allow = ["intersection-to-parties", "edge-count-to-arbiter", "scores-to-guest", "bin-events-to-guest", '
    '"woe-to-host"]',
    with_key("model", 'kind = "scorecard"'),
)
SEVERAL = ('hosts = ["telecom", "shop"]', OPEN.replace('"partition', '"intersection-sizes-to-arbiter", "partition'))


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_job(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "estimator", [LogisticRegression, LinearRegression, PoissonRegression, BoostedTrees, Scorecard]
)
def test_an_estimator_is_the_section_of_its_kind(estimator):
    """One declaration: its keys are the parameters, but for those that a file has in another table, and those that
    tables say in Python."""
    kind = estimator().kind
    assert MODELS[kind] is estimator is getattr(vfl, estimator.__name__)
    keys = {name for name, field in estimator.model_fields.items() if field.exclude is not True}
    assert keys - set(estimator.FILE_ONLY) == set(estimator().get_params()) - set(estimator.ELSEWHERE)


@pytest.mark.parametrize(
    ("estimator", "name", "value"),
    [(LogisticRegression, "C", 1e13), (Scorecard, "max_iter", "auto"), (Scorecard, "C", 1e13)],
)
def test_both_voices_refuse_the_same(write, estimator, name, value):
    with pytest.raises(ConfigError, match=f"{estimator.__name__}: {name} = "):
        estimator(**{name: value})
    text = SCORECARD if estimator is Scorecard else MINIMAL
    assert f"model.{name}" in refusal(write(with_key("model", f"{name} = {json.dumps(value)}", text)))


@pytest.mark.parametrize(("key", "table"), [("key_bits", "crypto"), ("score_bits", "disclosure")])
def test_a_parameter_that_a_file_has_elsewhere_names_its_table(write, key, table):
    assert f"Set it in [{table}]" in refusal(write(with_key("model", f"{key} = 8", MINIMAL)))


def test_what_open_trees_give_away_is_said_in_numbers(write):
    job = load_job(write(OPEN))
    rows = kind_of(job.model).described(plan_of(job), roles_of(job))["rows"]
    assert "the bin of every row in every column that wins (correlation .96 and more" in rows
    assert "the labels of all training rows (AUC .997 and more" in rows


def test_trees_become_the_parameters_that_the_protocols_take(write):
    text = with_key(
        "model",
        "max_depth = 3",
        with_key("model", "learning_rate = 0.1", with_key("model", "random_state = 9", SEALED)),
    )
    model = load_job(write(text)).model
    assert isinstance(model, BoostedTrees)
    assert model.params() == Params(max_depth=3, learning_rate=0.1, seed=9)


def test_who_takes_part(write):
    assert load_job(write(SEALED)).parties.arbiter == "trustco"
    is_open = load_job(write(OPEN))
    assert is_open.parties.names == ("bank", "telecom")
    assert is_open.parties.peers_of("telecom") == ("bank",)
    several = with_key("parties", 'arbiter = "trustco"', with_key("parties", *SEVERAL))
    assert load_job(write(several)).parties.peers_of("shop") == ("bank", "trustco")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (with_key("parties", 'arbiter = "trustco"', OPEN), "names 'trustco', and this job needs no arbiter"),
        (
            SEALED.replace('arbiter = "trustco"\n', ""),
            "parties.arbiter is missing. Expected the name of the party that holds no data and holds the "
            "key, chooses splits",
        ),
        (MINIMAL.replace('arbiter = "trustco"\n', ""), "holds no data and holds the decryption key"),
        (with_key("parties", *SEVERAL), "holds no data and compares blinded ids of several hosts"),
    ],
)
def test_an_arbiter_is_named_where_there_is_work_for_one(write, text, says):
    assert says in refusal(write(text)).replace(" (line 3)", "")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "C = 1.0",
            'model.C (line 10) is a key of "logistic-regression" or "scorecard", and this kind is '
            '"boosted-trees". Remove it, or change kind',
        ),
        ("max_dept = 3", "Did you mean 'max_depth'?"),
        ("max_depth = 11", "from 1 to 10"),
        ("n_estimators = 0", "from 1 to 10000"),
        ("learning_rate = 0", "above 0"),
        ("max_bin = 257", "from 2 to 256"),
        ("gradient_bits = 17", "3 to 16"),
        ("min_bin_rows = 0", "from 1 to"),
        ("top_rate = 0.2", 'with membership = "sealed"'),
        ("other_rate = 0.2", "with top_rate"),
        ('membership = "hidden"', "it was removed"),
        ('membership = "shared"', 'it is called "open" now'),
        ('membership = "secret"', 'Use "sealed" or "open"'),
        ('objective = "rank:pairwise"', 'Use "binary:logistic", "reg:squarederror"'),
        ("num_class = 3", "no such key without"),
        ('objective = "multi:softprob"', 'with objective = "multi:softprob", from 3 to 1000'),
        ("validation = 0.2", "with early_stopping_rounds, and 0 without"),
        ("early_stopping_rounds = 5", "model.validation"),
        ("guest_only_trees = 101", "n_estimators at most"),
        ("base_score = 1.0", "between 0 and 1"),
        ("subsample = nan", "above 0, at most 1"),
        ("scale_pos_weight = 0", "how many times as much a row of the label's larger value weighs"),
        ('scale_pos_weight = 2.0\nobjective = "reg:squarederror"', "which has no positive class"),
        ("monotone_constraints = [1, 0]", "a job names no party's columns"),
        ("monotone_constraints = { income = 1 }", "each party names its columns in its own file"),
        (
            'monotone_constraints = true\nobjective = "multi:softprob"\nnum_class = 3',
            "whose probabilities depend on all scores",
        ),
    ],
)
def test_a_bad_parameter_of_trees(write, line, says):
    said = refusal(write(with_key("model", line, SEALED)))
    assert says in said
    assert "(line " in said


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("pdo = 0", "a number from 1"),
        ("base_odds = 0", "a number from 1e-6"),
        ('monotonic_trend = "peak"', 'Use "auto", "ascending", "descending" or "none"'),
        ("min_bin_size = 0.6", "from 0 to 0.5"),
        ("max_vif = 1", "above 1"),
        ("special_codes = [nan]", "a list of numbers, such as [-999]"),
        ("open_names = true", "'column-names-to-guest'"),
        ("clip = 6", 'is a key of "logistic-regression"'),
    ],
)
def test_a_bad_parameter_of_a_scorecard(write, line, says):
    assert says in refusal(write(with_key("model", line, SCORECARD)))


def test_a_scorecards_job_is_that_of_the_estimator(write):
    model = load_job(write(with_key("model", "special_codes = [-1, -999]\nmin_iv = 0.02", SCORECARD))).model
    assert isinstance(model, Scorecard)
    assert model.preprocessing == vfl.Scorecard(special_codes=(-1.0, -999.0), min_iv=0.02).preprocessing


def test_a_grid_of_scores_does_nothing_for_open_trees(write):
    assert load_job(write(with_key("disclosure", "score_bits = 8", SEALED))).model.score_bits == 8
    said = refusal(write(with_key("disclosure", "score_bits = 8", OPEN)))
    assert (
        "disclosure.score_bits (line 13) is 8, and scores of kind boosted-trees are on no such grid: it "
        "would do nothing. Remove the key" in said
    )


@pytest.mark.parametrize(
    ("text", "drop"),
    [
        (SEALED, "bin-sums-to-arbiter"),
        (SEALED, "wins-to-owners"),
        (OPEN, "partition-to-hosts"),
        (SCORECARD, "woe-to-host"),
        (SCORECARD, "bin-events-to-guest"),
    ],
)
def test_each_permission_is_asked_for(write, text, drop):
    said = refusal(write(text.replace(f', "{drop}"', "")))
    assert f"'{drop}' ({PERMITS[drop]})" in said


@pytest.mark.parametrize("text", [MINIMAL, SEALED, OPEN, SCORECARD], ids=["logistic", "sealed", "open", "scorecard"])
def test_a_job_of_any_kind_survives_its_canonical_json(write, text):
    job = load_job(write(text))
    again: Job = job_from(json.loads(job.canonical))
    assert (again, again.digest) == (job, job.digest)
    assert set(needed_permits(job)) == set(job.disclosure.allow)


def test_the_digest_depends_on_the_parameters_of_the_kind(write):
    lines = [
        "n_estimators = 99",
        "max_depth = 4",
        "gamma = 0.5",
        "base_score = 0.5",
        "random_state = 1",
        "min_bin_rows = 9",
    ]
    texts = [SEALED, OPEN, *(with_key("model", line, SEALED) for line in lines)]
    assert len({load_job(write(t)).digest for t in texts}) == len(texts)
    assert load_job(write(with_key("model", "max_depth = 5", SEALED))).digest == load_job(write(SEALED)).digest


def test_no_kind_at_all(write):
    assert 'model.kind (line 9) is missing. Expected "logistic-regression"' in refusal(
        write(MINIMAL.replace('kind = "logistic-regression"', ""))
    )
    said = refusal(write("model = 7\n" + MINIMAL.replace('[model]\nkind = "logistic-regression"', "")))
    assert "model (line 1) is 7. Expected a section [model] with a kind" in said


SGD = with_key("model", 'solver = "sgd"')


@pytest.mark.parametrize(
    ("line", "text", "says"),
    [
        ('solver = "lbfgs"', MINIMAL, 'Use "preconditioned" or "sgd"'),
        ("batch_size = 64", MINIMAL, 'does nothing with solver = "preconditioned"'),
        ("momentum = 0.5", MINIMAL, 'does nothing with solver = "preconditioned"'),
        ("batch_size = 31", SGD, "from 32"),
        ('batch_size = "all"', SGD, 'or "auto" (default "auto")'),
        ("momentum = 1", SGD, "from 0 to 0.99"),
        ("learning_rate_init = 4.5", SGD, "at most 4"),
        ("learning_rate_init = 0.001", SGD, "revealed near their start"),
        ('solver = "sgd"', SCORECARD, 'is a key of "logistic-regression", "linear-regression" or "poisson-regression"'),
    ],
)
def test_a_bad_parameter_of_a_solver(write, line, text, says):
    assert says in refusal(write(with_key("model", line, text)))


def test_a_solver_by_file_is_the_estimators(write):
    job = load_job(write(with_key("model", "batch_size = 64\nmomentum = 0.5\nlearning_rate_init = 2.0", SGD)))
    estimator = vfl.LogisticRegression(solver="sgd", batch_size=64, momentum=0.5, learning_rate_init=2.0)
    assert job.model.sgd == estimator.sgd == terms_of(plan_of(job)).sgd
    lines = ["batch_size = 64", "momentum = 0.5", "learning_rate_init = 2.0", "max_iter = 100"]
    texts = [MINIMAL, SGD, *(with_key("model", line, SGD) for line in lines)]
    assert len({load_job(write(t)).digest for t in texts}) == len(texts) - 1  # the last is the default
    again = job_from(json.loads(job.canonical))
    assert (again, again.digest) == (job, job.digest)


WEIGHTED = MINIMAL.replace('"scores-to-guest"', '"label-scale-to-parties", "scores-to-guest"')


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "alpha = 1.0",
            'is a key of "linear-regression", "poisson-regression", "mlp-classifier" or "mlp-regressor", and this kind '
            'is "logistic-regression"',
        ),
        ("num_class = 1", "from 2 to 100 (default 2)"),
        ('class_weight = "even"', 'Write "balanced", or a weight'),
        ("class_weight = {}", "names no value of the label"),
        ("class_weight = { yes = 0 }", "a weight above 0"),
        ("class_weight = 2", "a weight above 0"),
        ("fit_intercept = 1", "true or false (default true)"),
        ("sample_weight = 1.5", "true or false (default false)"),
        ("l1_ratio = 0.5", "not supported yet: an L1 penalty"),
        ("warm_start = true", "two iterates, which holds labels"),
    ],
)
def test_a_bad_parameter_of_a_regression(write, line, says):
    said = refusal(write(with_key("model", line, WEIGHTED)))
    assert says in said
    assert "(line " in said


def test_a_default_that_came_later_is_the_same_job(write):
    spelt = MINIMAL.replace("[model]\n", "[model]\nfit_intercept = true\nsample_weight = false\nnum_class = 2\n")
    assert load_job(write(spelt)).digest == load_job(write(MINIMAL)).digest
    lines = [
        "fit_intercept = false",
        "sample_weight = true",
        "num_class = 3",
        'class_weight = "balanced"',
        "class_weight = { a = 2 }",
    ]
    texts = [WEIGHTED, *(with_key("model", line, WEIGHTED) for line in lines)]
    assert len({load_job(write(t)).digest for t in texts}) == len(texts)


@pytest.mark.parametrize("line", ["sample_weight = true", 'class_weight = "balanced"', 'kind = "poisson-regression"'])
def test_what_reveals_the_scale_of_the_labels_asks_for_it(write, line):
    assert "'label-scale-to-parties'" in refusal(write(with_key("model", line)))


def test_a_job_of_constrained_trees_says_so_and_needs_its_permit(write):
    """By whom which column is constrained stands in no job file; without the key the job is what it was."""
    text = with_key("model", "monotone_constraints = true", SEALED)
    assert "'constraint-signs-to-arbiter'" in refusal(write(text))
    model = load_job(write(text.replace('"wins-to-owners"', '"wins-to-owners", "constraint-signs-to-arbiter"'))).model
    assert model.params() == Params(monotone_constraints=True)
    is_open = with_key("model", "monotone_constraints = true", OPEN)
    assert "'constraint-signs-to-guest'" in refusal(write(is_open))
    load_job(write(is_open.replace('"partition', '"constraint-signs-to-guest", "partition')))
    plain = with_key("model", "monotone_constraints = false", SEALED)
    assert load_job(write(plain)).digest == load_job(write(SEALED)).digest
