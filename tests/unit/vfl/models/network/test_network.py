"""Sealed networks of a local federation: they learn what a network in the clear learns, score a row always the same,
and refuse what cannot be before anything is sent."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier, MLPRegressor

import vfl
from protocols.channel import Tap
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError, TooFewHeldOut
from protocols.network import Terms
from tests.harness import ContextFree
from vfl.job import load_job, needed_permits, starter_job
from vfl.job.job import job_from
from vfl.job.plan import plan_of, roles_of
from vfl.job.starter import starter_permits
from vfl.models.network.plaintext import Network, Rows, activated, mean
from vfl.models.registry import kind_of

SMALL: dict[str, Any] = {"hidden_layer_sizes": 3, "max_iter": 4, "batch_size": 60}


def tables(n: int = 160, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    x, ids = rng.normal(size=(n, 4)), np.arange(n)
    y = (x @ [1.0, -0.8, 0.7, 0.5] + x[:, 0] * x[:, 2] + 0.5 * rng.logistic(size=n) > 0).astype(int)
    guest = pd.DataFrame({"id": ids, "bad": y, "a": x[:, 0], "b": x[:, 1]})
    return guest, pd.DataFrame({"id": ids, "c": x[:, 2], "d": x[:, 3]})


GUEST, HOST = tables()


def drawn() -> dict[str, ContextFree]:
    """What every run draws alike."""
    return {party: ContextFree(party) for party in ("guest", "shop", "arbiter")}


def federation(guest: pd.DataFrame = GUEST, label: str = "bad") -> vfl.Federation:
    return vfl.Federation.local(guest, {"shop": HOST}, on="id", label=label, cipher=Identity())


@pytest.fixture(scope="module")
def model() -> vfl.FederatedNetwork:
    estimator = vfl.MLPClassifier(hidden_layer_sizes=(4, 2), max_iter=12, learning_rate_init=1.5, batch_size=60)
    return federation().fit(estimator, split=vfl.Split(test=0.25), randomness=drawn())


def test_it_learns(model: vfl.FederatedNetwork) -> None:
    scores = model.predict_score(GUEST, {"shop": HOST})
    assert roc_auc_score(GUEST["bad"], scores) > 0.85
    assert (
        model.reports_["guest"].metrics.loc["auc", "joint"] > model.reports_["guest"].metrics.loc["auc", "guest_alone"]
    )
    assert (model.n_iter_, list(model.classes_)) == (12, [0, 1])
    assert not hasattr(model, "coef_")


def test_a_row_has_one_score_in_any_company_and_after_saving(model: vfl.FederatedNetwork, tmp_path: Path) -> None:
    every = model.decision_function(GUEST, {"shop": HOST})
    few = model.decision_function(GUEST.iloc[20:30], {"shop": HOST.iloc[:40]})
    assert few.equals(every.iloc[20:30])
    model.save(tmp_path / "model", passphrase="long enough to keep")
    again = vfl.load_model(tmp_path / "model", passphrase="long enough to keep", cipher=Identity())
    assert again.decision_function(GUEST, {"shop": HOST}).equals(every)


def test_several_hosts() -> None:
    """A score of all three parties' columns, through two layers, the same whenever it is scored."""
    hosts = {"shop": HOST[["id", "c"]], "other": HOST[["id", "d"]]}
    fed = vfl.Federation.local(GUEST, hosts, on="id", label="bad", cipher=Identity())
    fitted = fed.fit(vfl.MLPClassifier(**SMALL | {"hidden_layer_sizes": (2, 2)}))
    every = fitted.decision_function(GUEST, hosts)
    assert fitted.decision_function(GUEST.iloc[5:9], hosts).equals(every.iloc[5:9])
    less = {**hosts, "other": HOST[["id", "d"]].assign(d=0.0)}
    assert not fitted.decision_function(GUEST, less).equals(every)


def test_early_stopping_keeps_the_weights_of_the_best_epoch(tmp_path: Path) -> None:
    stops = {"early_stopping": True, "validation_fraction": 0.4, "n_iter_no_change": 1, "tol": 0.01}
    spec = vfl.MLPClassifier(**SMALL | {"max_iter": 20, "learning_rate_init": 3.0}, **stops)
    fitted = federation().fit(spec, split=vfl.Split(test=0.2), randomness=drawn())
    assert 1 < fitted.best_epoch_ == fitted.n_iter_ - 2 < 18
    told = fitted.reports_["guest"].result["model"]
    assert (told["best_epoch"], told["passes_made"]) == (fitted.best_epoch_, [fitted.n_iter_])
    assert (told["ended"], told["settled"]) == (["loss"], True)
    fitted.save(tmp_path / "model", passphrase="long enough to keep")
    again = vfl.load_model(tmp_path / "model", passphrase="long enough to keep", cipher=Identity())
    assert (again.n_iter_, again.best_epoch_) == (fitted.n_iter_, fitted.best_epoch_)


def test_weights_of_rows() -> None:
    """Rows of one class weigh more, and so does it in the scores."""
    heavy = GUEST.assign(w=np.where(GUEST["bad"] == 1, 3.0, 0.5))
    fed = vfl.Federation.local(heavy, {"shop": HOST}, on="id", label="bad", sample_weight="w", cipher=Identity())
    spec, even = vfl.MLPClassifier(**SMALL), federation()
    weighted, plain = (one.fit(spec, randomness=drawn()) for one in (fed, even))
    assert (weighted.estimator.sample_weight, plain.estimator.sample_weight) == (True, False)
    mean = [one.predict_score(GUEST, {"shop": HOST}).mean() for one in (weighted, plain)]
    assert mean[0] > mean[1] + 0.2


def test_a_warning_where_the_limit_ends_a_training() -> None:
    stops = {"early_stopping": True, "validation_fraction": 0.4, "n_iter_no_change": 2, "tol": 1e-5}
    spec = vfl.MLPClassifier(**SMALL | stops)
    with pytest.warns(ConvergenceWarning, match="all 4 iterations that max_iter allows"):
        assert federation().fit(spec, randomness=drawn()).n_iter_ == 4


@pytest.mark.slow
def test_numbers_and_a_search() -> None:
    numeric = GUEST.assign(spend=3 + GUEST["a"] + HOST["c"] ** 2)
    own = federation(numeric.drop(columns="bad"), "spend")
    fitted = own.fit(
        vfl.MLPRegressor(hidden_layer_sizes=4, max_iter=20, batch_size=40, activation="softplus"), randomness=drawn()
    )
    assert fitted.score(numeric, {"shop": HOST}) > 0.4
    found = federation().fit(vfl.GridSearchCV(vfl.MLPClassifier(**SMALL), {"max_iter": [1, 2]}, cv=2))
    assert found.best_params_["max_iter"] in (1, 2)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"hidden_layer_sizes": (3, 3, 3)}, "one or two hidden layers"),
        ({"hidden_layer_sizes": 0}, "from 1 to 256"),
        ({"hidden_layer_sizes": (257,)}, "from 1 to 256"),
        ({"activation": "sin"}, "tanh"),
        ({"batch_size": 4}, "from 8"),
        ({"early_stopping": True, "max_iter": 101}, "at most 100"),
        ({"early_stopping": True, "max_iter": 5}, r"max_iter is 5, .*after epoch 12 at the earliest"),
        ({"early_stopping": True, "max_iter": 11}, "lower n_iter_no_change to at most 9"),
        ({"early_stopping": True, "max_iter": 2, "n_iter_no_change": 1}, "Raise it, or leave early_stopping out"),
        ({"early_stopping": True, "validation_fraction": 0.6}, "from 0.01 to 0.5"),
        ({"n_iter_no_change": 5}, "does nothing without early_stopping"),
        ({"validation_fraction": 0.2}, "does nothing without early_stopping"),
        ({"tol": 1e-3}, "does nothing without early_stopping"),
        ({"shuffle": False}, "random_state decides"),
        ({"momentum": 1.0}, "momentum"),
    ],
)
def test_parameters_that_are_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        vfl.MLPClassifier(**given)


def test_what_is_refused_before_anything_is_sent() -> None:
    """Batches beyond the rows, constant labels, missing values; and no channel is used."""
    sent = {"guest": [Refusing()]}
    small = vfl.MLPClassifier(**SMALL)
    with pytest.raises(ConfigError, match="Lower batch_size"):
        federation().fit(vfl.MLPClassifier(batch_size=161), taps=sent)
    with pytest.raises(DataError, match="bad"):
        federation(GUEST.assign(bad=1)).fit(small, taps=sent)
    gap = GUEST.assign(a=GUEST["a"].where(GUEST["a"] < 1))
    with pytest.raises(DataError, match="'a'"):
        federation(gap).fit(small, taps=sent)
    few = vfl.MLPClassifier(**SMALL, early_stopping=True, n_iter_no_change=2)
    with pytest.raises(ConfigError, match="does not go with tol or early_stopping"):
        federation().fit(vfl.GridSearchCV(few, {"max_iter": [4, 5]}, cv=2), taps=sent)
    with pytest.raises(TooFewHeldOut, match=r"\d+ rows are too few to decide.*at least 30"):
        federation().fit(few)
    with pytest.raises(AssertionError):  # the planted fault: this training sends
        federation().fit(small, taps=sent)


class Refusing(Tap):
    def sent(self, *_: object) -> None:
        raise AssertionError("something was sent")


def test_a_training_that_diverges_has_no_model() -> None:
    wild = GUEST.assign(spend=GUEST["a"] * HOST["c"] + GUEST["b"])
    with pytest.raises(DataError, match=r"no model.*learning_rate_init"):
        federation(wild.drop(columns="bad"), "spend").fit(
            vfl.MLPRegressor(learning_rate_init=10.0, max_iter=30), randomness=drawn()
        )


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu"])
@pytest.mark.parametrize("family", ["logistic", "linear"])
@pytest.mark.parametrize(("nesterov", "weighted"), [(True, False), (False, False), (True, True)])
def test_steps_in_the_clear_are_those_of_scikit_learn(
    activation: Any, family: Any, nesterov: bool, weighted: bool
) -> None:
    """The same initial weights and batches; weights have a mean of 1 in each batch, by which the penalty is divided
    there."""
    x = np.column_stack([GUEST[["a", "b"]], HOST[["c", "d"]]])
    y = GUEST["bad"].to_numpy(float) if family == "logistic" else x[:, 0] * x[:, 2]
    weights = np.tile(np.linspace(0.1, 1.9, 40), 4) if weighted else None
    terms = Terms((5, 3), activation, family, 3, 40, 0.1, 0.8, nesterov, 0.5)
    own = Network.start(terms, 4, np.random.default_rng(2))
    kind = MLPClassifier if family == "logistic" else MLPRegressor
    theirs = kind(
        hidden_layer_sizes=(5, 3), activation=activation, solver="sgd", alpha=0.5, batch_size=40, shuffle=False,
        learning_rate_init=0.1, momentum=0.8, nesterovs_momentum=nesterov, max_iter=1, warm_start=True,
    )  # fmt: skip
    theirs.fit(x, y, weights)
    theirs.coefs_, theirs.intercepts_ = ([a.copy() for a in one] for one in (own.weights, own.intercepts))
    del theirs._optimizer
    theirs.max_iter = 3
    theirs.warm_start = True
    theirs._no_improvement_count = 0
    theirs.fit(x, y, weights)
    batches = [np.arange(k, k + 40) for k in range(0, 160, 40)] * 3
    own.train(Rows(x, y, weights), batches)
    for a, b in zip(own.weights, theirs.coefs_, strict=True):
        assert np.abs(a - b).max() < 1e-9


def test_values_and_slopes() -> None:
    z = np.linspace(-3, 3, 7)
    for activation in ("tanh", "logistic", "softplus"):
        value, slope = activated(activation, z)  # type: ignore[arg-type]
        near = (activated(activation, z + 1e-6)[0] - value) / 1e-6  # type: ignore[arg-type]
        assert np.abs(near - slope).max() < 1e-5
    assert mean("linear", z) is z


def test_a_job_of_several_hosts_needs_a_permission(tmp_path: Path) -> None:
    text = starter_job(kind="mlp-classifier", hosts=("shop", "other")).replace("[16]", "[4, 2]")
    assert '"dealer-collusion"' in text
    assert "dealer-collusion" not in starter_job(kind="mlp-classifier", hosts=("shop",))
    (tmp_path / "job.toml").write_text(text)
    job = load_job(tmp_path / "job.toml")
    assert job.model.hidden_layer_sizes == (4, 2)
    assert "dealer-collusion" in needed_permits(job)
    (tmp_path / "job.toml").write_text(text.replace('  "dealer-collusion",\n', ""))
    with pytest.raises(ConfigError, match="dealer-collusion"):
        load_job(tmp_path / "job.toml")


@pytest.mark.parametrize("hosts", [("shop",), ("shop", "other")])
def test_a_new_policy_allows_a_new_job(hosts: tuple[str, ...]) -> None:
    job = job_from(tomllib.loads(starter_job(kind="mlp-classifier", hosts=hosts)))
    assert set(job.disclosure.allow) <= set(starter_permits("mlp-classifier", len(hosts)))
    assert ("dealer-collusion" in starter_permits("mlp-classifier", len(hosts))) is (len(hosts) > 1)


@pytest.mark.parametrize(("max_iter", "told"), [(1, "1 epoch in mini-batches"), (20, "20 epochs in mini-batches")])
def test_the_description_counts_epochs(tmp_path: Path, max_iter: int, told: str) -> None:
    text = starter_job(kind="mlp-classifier").replace("max_iter = 100", f"max_iter = {max_iter}")
    (tmp_path / "job.toml").write_text(text)
    job = load_job(tmp_path / "job.toml")
    assert told in kind_of(job.model).described(plan_of(job), roles_of(job))["train"]
