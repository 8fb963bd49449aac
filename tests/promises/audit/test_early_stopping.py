"""Repetitions and twins of a training that rows held out for it can end."""

from __future__ import annotations

import pytest

import vfl
from protocols.errors import ConfigError, TooFewHeldOut
from tests.promises.audit.scenes import federation
from vfl.attacks import scene
from vfl.attacks.audit import Audit
from vfl.schema.spec import Spec

STOPPING: list[Spec] = [
    vfl.LogisticRegression(link="taylor", max_iter=30, early_stopping=True, validation_fraction=0.2),
    vfl.MLPClassifier(
        hidden_layer_sizes=(2,), max_iter=3, early_stopping=True, n_iter_no_change=1, validation_fraction=0.2
    ),
]


def test_what_400_rows_can_train() -> None:
    few = scene.of_few_rows(vfl.MLPClassifier(batch_size=5000, early_stopping=True))
    assert (few.batch_size, few.validation_fraction) == ("auto", scene.DECIDE)
    assert scene.of_few_rows(STOPPING[0].model_copy(update={"validation_fraction": 0.5})).validation_fraction == 0.5
    assert scene.of_few_rows(vfl.LogisticRegression()) == vfl.LogisticRegression()
    assert scene.of_few_rows(vfl.MLPClassifier(batch_size=50)).batch_size == 50
    assert scene.repeated(vfl.MLPClassifier(batch_size=5000), 120).batch_size == 120
    for made, own, kept in ((100, 0, 40), (100, 90, 100), (100, 10, 50), (7, 0, 7)):
        assert scene.repeated(vfl.BoostedTrees(n_estimators=made, guest_only_trees=own), 400).n_estimators == kept
    assert [scene.key_for(spec).bits for spec in (vfl.MLPClassifier(), *STOPPING)] == [512, 1024, 1024]


def test_attacks_are_numbers() -> None:
    for wrong in (13, "13", [0], []):
        with pytest.raises(ConfigError, match="attacks are some of"):
            vfl.audit(federation(), attacks=wrong)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("spec", STOPPING, ids=["regression", "network"])
def test_verdicts_are_attacked(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> Audit:
        return vfl.audit(federation(cipher=scene.LONGER), spec, seeds=2, attacks=[13])

    assert len(found().tried) == 1
    monkeypatch.setattr(scene, "DECIDE", 0.1)  # the planted fault: about 24 of 120 rows decide
    with pytest.raises(TooFewHeldOut):
        found()
    monkeypatch.undo()
    monkeypatch.setattr(scene, "LONGER", scene.SHORT)  # likewise: no room for a sign
    with pytest.raises(ConfigError, match="key is too small"):
        found()
