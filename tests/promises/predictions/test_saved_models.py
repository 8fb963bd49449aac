"""A model that is saved, pickled or copied scores the same bits, and holds no table, id, label or feature."""

from __future__ import annotations

import copy
import io
import json
import pickle
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from sklearn.base import clone

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, ModelError, VFLError
from tests.promises.predictions.kinds import CASES, SHORT, each, fitted, scored, tables

RUN, LONG = 4, 24  # neighbours in a column of numbers that differ, and of labels or texts: chance makes none of them


def canaries(name: str) -> set[bytes]:
    """What no file or pickle of a model may hold: an id, and neighbours of any column, as numbers of any width or as
    text."""
    case = CASES[name]
    guest, hosts = tables(case.label, case.texts)
    found = [b"CANARY-"]
    for column in [table[name] for table in (guest, hosts["telecom"]) for name in table.columns[1:]]:
        size = RUN if column.dtype.kind == "f" else LONG
        for start in range(0, len(column) - size + 1, size):
            part = column.to_numpy()[start : start + size]
            widths = {"f": ("<f8", ">f8", "<f4"), "i": ("<f8", ">f8", "<f4", "<i8", ">i8", "<i4", "i1")}
            found += [part.astype(kind).tobytes() for kind in widths.get(part.dtype.kind, ())]
            found += [mark.join(map(repr, part.tolist())).encode() for mark in (",", ", ")]
    return set(found)


def sung(data: bytes, name: str) -> list[bytes]:
    return [one for one in canaries(name) if one in data]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", each(CASES))
def test_a_pickled_or_copied_model_scores_the_same_bits_and_holds_no_row(name: str) -> None:
    model, (guest, hosts) = fitted(name), tables(CASES[name].label, CASES[name].texts)
    data = pickle.dumps(model)
    assert sung(data, name) == []
    stream = io.BytesIO()
    joblib.dump(model, stream)
    expected = scored(model, guest, hosts)
    for other in (pickle.loads(data), copy.deepcopy(model), joblib.load(io.BytesIO(stream.getvalue()))):
        pd.testing.assert_frame_equal(scored(other, guest, hosts), expected, check_exact=True)
        assert repr(other) == repr(model)
    assert sung(stream.getvalue(), name) == []
    assert sung(pickle.dumps(model), name) == []  # nor after it has scored rows


@pytest.mark.parametrize("name", each(CASES))
def test_a_saved_model_scores_the_same_bits_and_holds_no_row(name: str, tmp_path: Path) -> None:
    model, (guest, hosts) = fitted(name), tables(CASES[name].label, CASES[name].texts)
    folder = model.save(tmp_path / "models" / "risk")
    assert folder == tmp_path / "models" / "risk"
    written = files(folder)
    assert {path: sung(data, name) for path, data in written.items() if sung(data, name)} == {}
    own = model.best_estimator_ if name.startswith("search") else model
    back = vfl.load_model(folder, cipher=Identity())
    pd.testing.assert_frame_equal(scored(back, guest, hosts), scored(model, guest, hosts), check_exact=True)
    assert type(back) is type(own)
    assert repr(back) == repr(own)
    assert back.estimator == own.estimator
    assert (back.sizes_, back.intersection_, back.drawn) == (own.sizes_, own.intersection_, own.drawn)
    assert back.reports_.keys() == own.reports_.keys()
    pd.testing.assert_frame_equal(back.reports_["guest"].metrics, own.reports_["guest"].metrics)
    assert "<table" in back._repr_html_()
    assert files(folder) == written  # a scoring changes no saved model
    secrets = {path for path in written if path.endswith(("key.pem", "safetensors", "json"))}
    assert all((folder / path).stat().st_mode & 0o077 == 0 for path in secrets)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder, *folder.glob("*/")))
    with pytest.raises(ConfigError, match="exists: a saved model is never overwritten"):
        model.save(folder)


def test_each_party_has_a_folder_of_its_own_and_the_arbiters_part_is_sealed(tmp_path: Path) -> None:
    model = fitted("logistic")
    folder = model.save(str(tmp_path / "risk"))
    assert {path.name for path in folder.iterdir()} == {"model.json", "guest", "telecom", "arbiter"}
    shared = (folder / "model.json").read_text()
    assert not any(name in shared for name in ("age", "bill", "outcome"))  # no party's columns in what all may read
    assert "bill" not in "".join(path.read_text() for path in (folder / "guest").glob("*.json"))
    assert "age" not in "".join(path.read_text() for path in (folder / "telecom").glob("*.json"))
    share = next(iter(model.kept.shares.values())).latest
    assert not any(share.tobytes() in data for data in files(folder).values())
    revealed = fitted("known weights").save(tmp_path / "known")
    assert {path.name for path in revealed.iterdir()} == {"model.json", "guest", "telecom"}


def test_a_passphrase_encrypts_the_arbiters_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fitted("logistic").save(tmp_path / "risk", passphrase="correct horse")
    assert b"ENCRYPTED" in (folder / "arbiter" / "identity" / "key.pem").read_bytes()
    vfl.load_model(folder, cipher=Identity(), passphrase="correct horse")
    with pytest.raises(ConfigError, match="passphrase"):
        vfl.load_model(folder, cipher=Identity(), passphrase="wrong")
    monkeypatch.setenv("VFL_KEY_PASSPHRASE", "correct horse")
    vfl.load_model(folder, cipher=Identity())


def test_what_a_model_says_of_itself_is_saved_with_it(tmp_path: Path) -> None:
    known = fitted("known weights")
    back = vfl.load_model(known.save(tmp_path / "a"), cipher=Identity())
    pd.testing.assert_series_equal(back.coef_["telecom"], known.coef_["telecom"])
    assert back.n_iter_ == known.n_iter_ == 5
    card = fitted("known points")
    again = vfl.load_model(card.save(tmp_path / "b"), cipher=Identity())
    pd.testing.assert_frame_equal(again.iv()["telecom"], card.iv()["telecom"])
    pd.testing.assert_frame_equal(again.points()["guest"], card.points()["guest"])
    trees = fitted("open trees")
    third = vfl.load_model(trees.save(tmp_path / "c"), cipher=Identity())
    pd.testing.assert_series_equal(third.feature_importances_["guest"], trees.feature_importances_["guest"])
    fed = vfl.Federation.local(*tables("binary", True), "customer", "outcome", cipher=Identity(), convergence=False)
    longer = clone(trees.estimator).set_params(n_estimators=3)
    assert fed.fit(longer, init_model=third).rounds_ == 3


def test_parameters_of_every_type_are_restored(tmp_path: Path) -> None:
    guest, hosts = tables("binary", False)
    fed = vfl.Federation.local(guest, hosts, "customer", "outcome", cipher=Identity(), convergence=False)
    asked = vfl.LogisticRegression(max_iter=5, link="taylor", class_weight={0: 1.0, 1: 2.5}, C=0.125, key_bits=4096)
    back = vfl.load_model(fed.fit(asked).save(tmp_path / "m"), cipher=Identity())
    assert back.estimator.get_params() == asked.get_params()


def test_how_tables_are_read_is_saved(tmp_path: Path) -> None:
    """A host's own name of the key, and a text that means a missing value."""
    guest, hosts = tables("binary", False)
    host = hosts["telecom"].rename(columns={"customer": "msisdn"}).astype({"bill": object})
    host.loc[:5, "bill"] = "none known"
    options = {"telecom": vfl.TableOptions(id_columns={"customer": "msisdn"}, missing=["none known"])}
    fed = vfl.Federation.local(
        guest, {"telecom": host}, "customer", "outcome", cipher=Identity(), options=options, convergence=False
    )
    model = fed.fit(vfl.BoostedTrees(n_estimators=1, max_depth=2, max_bin=8, min_bin_rows=4))
    back = vfl.load_model(model.save(tmp_path / "m"), cipher=Identity())
    found, expected = (one.predict_score(guest, {"telecom": host}) for one in (back, model))
    pd.testing.assert_series_equal(found, expected, check_exact=True)
    assert found.notna().all()


@pytest.mark.parametrize(
    ("reveal", "names"), [((), {"manifest.json"}), (("guest", "hosts"), {"manifest.json", "summary.json"})]
)
def test_what_a_model_tells_as_documented(reveal: tuple[str, ...], names: set[str], tmp_path: Path) -> None:
    """The text of a category that one row had, in files and pickles; in a pickle the arbiter's shares too."""
    guest, hosts = tables("binary", True)
    host = hosts["telecom"]
    rare = {"telecom": host.assign(town=host["town"].where(host.index != 3, "ONCE"))}
    fed = vfl.Federation.local(guest, rare, "customer", "outcome", cipher=Identity(), convergence=False, reveal=reveal)
    model = fed.fit(vfl.LogisticRegression(**SHORT), preprocess=vfl.Preprocessing(encode="onehot"))
    data, written = pickle.dumps(model), files(model.save(tmp_path / "m"))
    assert {path for path, content in written.items() if b"ONCE" in content} == {f"telecom/{name}" for name in names}
    assert b"ONCE" in data
    if reveal:
        return
    for shares in model.learned.kept.shares.values():
        stored = shares.values.tobytes()
        assert stored in data
        assert not any(stored in content for content in written.values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "model.json").unlink(), "holds no saved model"),
        (lambda f: (f / "model.json").write_text("{"), "is damaged"),
        (lambda f: edit(f, format=2), "a format that this release does not know"),
        (lambda f: edit(f, kind="neural-network"), "a format that this release does not know"),
        (lambda f: edit(f, kind="linear-regression"), "is damaged"),
        (lambda f: edit(f, parameters={"C": "much"}), "is damaged"),
        (lambda f: edit(f, parameters={"class_weight": {"items": 3}}), "is damaged"),
        (lambda f: edit(f, parameters={"class_weight": {"0": 1.0}}), "is damaged"),
        (lambda f: edit(f, parameters={"class_weight": {}}), "is damaged"),
        (lambda f: edit(f, parameters={"class_weight": {"items": [[[], 1.0]]}}), "is damaged"),
        (lambda f: edit(f, hosts=["shop"]), "is damaged"),
        (lambda f: edit(f, hosts=["../telecom"]), "is damaged"),
        (lambda f: (f / "guest" / "summary.json").write_text("{}"), "is damaged"),
        (lambda f: (f / "telecom" / "summary.json").unlink(), "holds no saved model"),
        (lambda f: edit(f, more=1), "is damaged"),
        (lambda f: (f / "guest" / "weights.safetensors").write_bytes(b"x"), "is damaged. Restore it from a copy of it"),
        (lambda f: (f / "guest" / "weights.safetensors").unlink(), "is damaged. Restore it from a copy of it"),
        (lambda f: (f / "telecom" / "manifest.json").write_text("{"), "is damaged. Restore it from a copy of it"),
        (lambda f: cut(f / "arbiter" / "identity" / "cert.pem"), "is damaged. Restore it from a copy of it"),
        (lambda f: cut(f / "arbiter" / "identity" / "key.pem"), "is damaged. Restore it from a copy of it"),
        (lambda f: (f / "arbiter" / "identity" / "cert.pem").unlink(), "is damaged. Restore it from a copy of it"),
        (lambda f: (f / "telecom").rename(f / "aside"), "holds no saved model"),
        (lambda f: swapped(f), "is damaged|holds parts of more than one model"),
    ],
)
def test_a_damaged_folder_is_a_typed_error(change: Any, words: str, tmp_path: Path) -> None:
    folder = fitted("logistic").save(tmp_path / "risk")
    change(folder)
    with pytest.raises(ModelError, match=words):
        vfl.load_model(folder, cipher=Identity())


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def edit(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(content | changes))


def swapped(folder: Path) -> None:
    (folder / "guest").rename(folder / "aside")
    (folder / "telecom").rename(folder / "guest")
    (folder / "aside").rename(folder / "telecom")


def test_parts_of_two_models_are_refused(tmp_path: Path) -> None:
    one, other = fitted("logistic").save(tmp_path / "a"), fitted("known weights").save(tmp_path / "b")
    (one / "telecom").rename(one / "aside")
    (other / "telecom").rename(one / "telecom")
    with pytest.raises(ModelError, match="parts of more than one model"):
        vfl.load_model(one, cipher=Identity())


def test_a_folder_that_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot be written"):
        fitted("logistic").save(tmp_path / "file" / "model")


def test_a_federation_is_never_pickled() -> None:
    fed = vfl.Federation.local(*tables("binary", False), "customer", "outcome", cipher=Identity(), convergence=False)
    for call in (pickle.dumps, copy.deepcopy, copy.copy):
        with pytest.raises(VFLError, match="never pickled"):
            call(fed)


def test_estimators_are_pickled_as_they_are() -> None:
    for case in CASES.values():
        for one in (case.estimator, *([case.preprocess] if case.preprocess else [])):
            assert pickle.loads(pickle.dumps(one)) == one == copy.deepcopy(one)


def test_the_search_for_canaries_finds_them() -> None:
    """A pickled table, and a model that keeps its tables as an earlier release did."""
    guest, hosts = tables("binary", False)
    features, label = guest[["age"]], guest[["outcome"]]
    for table in (guest[["customer"]], features, label, hosts["telecom"][["late"]]):
        assert sung(pickle.dumps(table), "logistic")
    assert sung(features.to_csv(index=False, lineterminator=",").encode(), "logistic")
    model = copy.copy(fitted("logistic"))
    model.kept_tables = features
    assert sung(pickle.dumps(model), "logistic")
