"""Whatever a caller passes, a public function works or raises a typed error of the project, which names a remedy and
holds no cell: never a raw traceback."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, VFLError

CELL = 31415.926535
TABLE = pd.DataFrame({"id": [f"CANARY-{k}" for k in range(40)], "label": [0, 1] * 20, "x": np.arange(40) % 7 + CELL})
HOST = pd.DataFrame({"id": TABLE["id"], "y": np.arange(40) % 11 + CELL, "z": np.arange(40) % 5 - 1.5})
FEW: dict[str, Any] = {  # in `make test`; the others are slow
    "None": None,
    "a number": 3,
    "nan": float("nan"),
    "a text": "x",
    "bytes": b"x",
    "a list": [1],
    "a list of frames": [HOST],
    "a mapping": {"a": 1},
    "a frame": TABLE,
    "an object": object(),
}
MORE: dict[str, Any] = {
    "a negative number": -1,
    "a truth value": True,
    "infinity": float("inf"),
    "a huge number": 10**400,
    "an empty text": "",
    "a zero byte": "\0",
    "an empty list": [],
    "nested lists": [["x"], [None]],
    "an empty mapping": {},
    "a mapping of objects": {object(): object()},
    "a mapping of frames": {"lab": TABLE, "guest": TABLE, 3: TABLE},
    "an empty frame": TABLE.iloc[:0],
    "a frame without columns": pd.DataFrame(index=range(3)),
    "a frame of numbers": pd.DataFrame(np.full((3, 2), CELL)),
    "a series": TABLE["x"],
    "an array": np.full(3, CELL),
    "an array of objects": np.array([object(), None], dtype=object),
    "a set": {"x"},
    "a generator": (k for k in "ab"),
    "a class": dict,
    "a function": len,
    "a complex number": 1j,
    "a date": pd.Timestamp("2026-01-01"),
    "not a number of pandas": pd.NA,
}
BY_PARTY: dict[str, Any] = {f"of a party, {what}": {"guest": one} for what, one in (FEW | MORE).items()}
BY_HOST: dict[str, Any] = {f"of a host, {what}": {"lab": one} for what, one in (FEW | MORE).items()}
DECLARED = (
    *(vfl.BoostedTrees, vfl.LinearRegression, vfl.LogisticRegression, vfl.PoissonRegression, vfl.Scorecard),
    *(vfl.GridSearchCV, vfl.Preprocessing, vfl.Split, vfl.TableOptions),
)
MODELS = {
    "regression": vfl.FederatedModel,
    "scorecard": vfl.FederatedScorecard,
    "trees": vfl.FederatedTrees,
    "search": vfl.FederatedSearch,
}
MADE_BY_US = (vfl.Federation, vfl.Evaluation, vfl.Aligned, *MODELS.values())


@cache
def federation() -> vfl.Federation:
    return vfl.Federation.local(
        TABLE, {"lab": HOST}, "id", "label", cipher=Identity(), reveal=("guest", "hosts"), convergence=False
    )


def small() -> vfl.LogisticRegression:
    return vfl.LogisticRegression(max_iter=5, link="taylor")


@cache
def model(kind: str) -> Any:
    estimators = {
        "regression": small,
        "scorecard": lambda: vfl.Scorecard(max_iter=5, link="taylor", min_bin_rows=5),
        "trees": lambda: vfl.BoostedTrees(n_estimators=1, max_depth=1, max_bin=4, min_bin_rows=4),
        "search": lambda: vfl.GridSearchCV(small(), {"C": [1.0]}, cv=2),
    }
    with warnings.catch_warnings():  # of a scorecard of so few rows
        warnings.filterwarnings("ignore", message=".*a weight of the wrong sign", category=UserWarning)
        return federation().fit(estimators[kind]())


@cache
def evaluation() -> vfl.Evaluation:
    return vfl.evaluate(TABLE["label"], TABLE["x"] / TABLE["x"].max())


def methods(thing: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(thing, inspect.isfunction) if not name.startswith("_")]


def everything() -> dict[str, Callable[[], Callable[..., Any]]]:
    """Every public function and method, by name; called, each gives what is called in the test."""
    found: dict[str, Callable[[], Callable[..., Any]]] = {
        "align": lambda: vfl.align,
        "evaluate": lambda: vfl.evaluate,
        "load_model": lambda: vfl.load_model,
        "Federation.local": lambda: vfl.Federation.local,
        "Federation.fit": lambda: federation().fit,
        "Evaluation.save": lambda: evaluation().save,
    }
    found |= {cls.__name__: (lambda cls=cls: cls) for cls in (*DECLARED, *MADE_BY_US)}
    found |= {f"{cls.__name__}.set_params": (lambda cls=cls: made(cls).set_params) for cls in DECLARED}
    found["get_params"] = lambda: small().get_params
    for kind, cls in MODELS.items():
        found |= {f"{kind}.{name}": (lambda k=kind, n=name: getattr(model(k), n)) for name in methods(cls)}
    return found


def made(cls: Any) -> Any:
    return cls(small(), {"C": [1.0]}) if cls is vfl.GridSearchCV else cls()


def good(name: str, saved: Path, folder: Path) -> dict[str, Any]:
    """By parameter, what works."""
    if name in {cls.__name__ for cls in MADE_BY_US}:  # which nobody but this package makes
        return dict.fromkeys(inspect.signature(getattr(vfl, name)).parameters)
    if name in {cls.__name__ for cls in DECLARED} or name.endswith("set_params"):
        return {"estimator": small(), "param_grid": {"C": [1.0]}} if name == "GridSearchCV" else {}
    values = {"guest": TABLE, "hosts": {"lab": HOST}, "on": "id", "label": "label", "estimator": small()}
    values |= {
        "y": TABLE["label"],
        "joint": TABLE["x"] / TABLE["x"].max(),
        "most": 1,
        "kind": "split",
        "deep": True,
        "cipher": Identity(),
    }
    return values | {"folder": saved if name == "load_model" else folder / "new"}


def parameters(name: str, call: Callable[..., Any]) -> list[str]:
    found = inspect.signature(call).parameters.values()
    names = [p.name for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(names) < len(found):  # of an estimator
        names += [n for n in (call if isinstance(call, type) else call.__self__).parameters() if n not in names]  # type: ignore[attr-defined]
    return names


def check(name: str, wrong: dict[str, Any], saved: Path, folder: Path) -> None:
    """Passes each wrong value as each parameter."""
    call = everything()[name]()
    taken = inspect.signature(call).parameters
    given = {key: value for key, value in good(name, saved, folder).items() if key in taken}
    for parameter in parameters(name, call):
        for what, value in wrong.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    call(**{**given, parameter: value})
                except VFLError as error:
                    if wrong_words := faults(error):
                        raise AssertionError(f"{name}({parameter}={what}): {wrong_words}") from error
                except Exception as error:
                    raise AssertionError(f"{name}({parameter}={what}) ends in a raw {type(error).__name__}") from error


def faults(error: VFLError) -> list[str]:
    """What a typed error lacks, or has too much of."""
    cells = [cell for cell in ("CANARY", str(int(CELL))) if cell in str(error)]
    return [f"it holds {cell}" for cell in cells] + ["it names no remedy"] * (not error.remedy)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model("regression").save(tmp_path_factory.mktemp("models") / "m")


@pytest.mark.parametrize("name", everything())
def test_an_argument_of_a_wrong_type(name: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where a relative path is written
    check(name, FEW, saved, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", everything())
def test_more_of_them(name: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(name, MORE | BY_PARTY | BY_HOST, saved, tmp_path)


def test_the_check_finds_raw_tracebacks_and_cells(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raw(guest: Any) -> None:
        guest.columns  # noqa: B018

    def leaks(guest: Any) -> None:
        raise ConfigError(f"guest = {guest!r} is not possible", remedy="Pass another")

    def speechless(guest: Any) -> None:
        raise ConfigError("no")

    for planted, words in ((raw, "in a raw AttributeError"), (leaks, "it holds CANARY"), (speechless, "no remedy")):
        monkeypatch.setattr(f"{__name__}.everything", lambda planted=planted: {"planted": lambda: planted})
        with pytest.raises(AssertionError, match=words):
            check("planted", FEW, saved, tmp_path)


@pytest.mark.parametrize("cls", DECLARED)
def test_parameters_are_passed_by_name(cls: Any) -> None:
    first = (small(), {"C": [1.0]}) if cls is vfl.GridSearchCV else ()
    with pytest.raises(ConfigError, match=f"{cls.__name__} takes its parameters by name. Name each one, out of"):
        cls(*first, 0.5)


@pytest.mark.parametrize("cls", DECLARED)
def test_a_parameter_is_changed_by_set_params_alone(cls: Any) -> None:
    one = made(cls)
    name = one.parameters()[-1]
    with pytest.raises(ConfigError, match=rf"{cls.__name__}: {name} cannot be assigned.*Use set_params\({name}=...\)"):
        setattr(one, name, 3)
    with pytest.raises(ConfigError, match=f"{cls.__name__} has no parameter Cx"):
        one.Cx = 3
    with pytest.raises(ConfigError, match="cannot be assigned"):
        delattr(one, name)
    assert one == made(cls)
