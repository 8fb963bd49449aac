"""A customer's score has the same bits in every file: CSV, Parquet, SQL or frame, alone or among others, whatever the
order of rows and columns."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity, Scheme
from tests.harness import ContextFree
from vfl.data import Schema, read_source

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*every value is missing in the new rows"),
    pytest.mark.filterwarnings("ignore:.*(far outside of all|far from those of|far as those of|far out that)"),
]
ROWS = 48
ESTIMATORS: dict[str, tuple[Any, dict[str, Any]]] = {
    "trees": (vfl.BoostedTrees(n_estimators=3, max_depth=3, max_bin=16, min_bin_rows=2, key_bits=2048), {}),
    "scorecard": (vfl.Scorecard(max_iter=5, link="taylor", min_bin_rows=5, key_bits=2048), {}),
    "one-hot": (
        vfl.LogisticRegression(max_iter=5, link="taylor", key_bits=2048),
        {"preprocess": vfl.Preprocessing(encode="onehot", impute="median")},
    ),
}
OPTIONS = {"shop": vfl.TableOptions(types={"count": "category"})}


def column(rng: random.Random, kind: str) -> list[Any]:
    """Cells of one kind, none of which is the same in two ways of writing."""
    gap = rng.choice([0.0, 0.2])
    texts = {
        "codes": ["01", "1", "1.0", "007", "A1", "TRUE", "true", "1e3"],
        "truth": ["TRUE", "FALSE", "UNKNOWN"],
        "words": ["a b", "a, b", 'say "x"', "Ä", " lead", "NA", "", "two\nlines"],
    }
    draw: dict[str, Callable[[], Any]] = {
        "float": lambda: rng.choice([rng.gauss(0, 1), rng.uniform(-1, 1) * 10.0 ** rng.randint(-9, 9), 0.1 + 0.2]),
        "large": lambda: 2**53 + rng.randint(0, 9),
        "bool": lambda: rng.random() < 0.5,
        "count": lambda: rng.randint(1, 4),
        **{name: lambda words=words: rng.choice(words) for name, words in texts.items()},
    }
    return [None if rng.random() < gap else draw[kind]() for _ in range(ROWS)]


def tables(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A guest's and a host's, with the types that pandas has for such cells."""
    rng = random.Random(seed)
    made = {kind: column(rng, kind) for kind in ("float", "large", "bool", "count", "codes", "truth", "words")}
    cells = {
        name: pd.array(values, dtype={"large": "Int64", "bool": "boolean", "count": "Int64"}[name])
        if name in ("large", "bool", "count")
        else pd.Series(values, dtype=float if name == "float" else object)
        for name, values in made.items()
    }
    ids = [f"{k:04d}" for k in range(ROWS)]
    y = [int(rng.random() < (0.8 if code in ("01", "A1") else 0.3)) for code in made["codes"]]
    guest = pd.DataFrame({"id": ids, "y": y, **{n: cells[n] for n in ("float", "codes", "bool")}})
    host = pd.DataFrame({"id": ids, **{n: cells[n] for n in ("large", "truth", "words", "count")}})
    return guest, host


def through(form: str, frame: pd.DataFrame, folder: Path, schema: Schema | None) -> pd.DataFrame:
    """The frame as it is read back from a file of this form; schema: of the model part, as `vfl predict` has it."""
    texts, missing = (schema.categories, schema.missing) if schema else (("count",), ())
    if form == "frame":
        return frame
    if form == "csv":
        frame.to_csv(folder / "t.csv", index=False)
        return read_source(folder / "t.csv", keys=["id"], texts=texts, missing=missing)
    if form == "parquet":
        frame.to_parquet(folder / "t.parquet", index=False)
        return read_source(folder / "t.parquet", keys=["id"])
    (folder / "t.db").unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(folder / "t.db")) as connection, connection:
        frame.to_sql("t", connection, index=False)
    return read_source(f"sqlite:///{folder}/t.db", "SELECT * FROM t", keys=["id"])


FORMS = ("frame", "csv", "parquet", "sql")


def trained(estimator: Any, more: dict[str, Any], form: str, cipher: Scheme, seed: int, folder: Path) -> Any:
    read = [through(form, frame, folder, None) for frame in tables(seed)]
    fed = vfl.Federation.local(
        read[0],
        {"shop": read[1]},
        on="id",
        label="y",
        cipher=cipher,
        min_intersection=1,
        options=OPTIONS,
        convergence=False,
    )
    same: Any = {p: ContextFree(p) for p in ("guest", "shop", "arbiter")}
    return fed.fit(estimator, randomness=same, **more)


def scores(model: Any, rows: list[int], forms: tuple[str, str], seed: int, folder: Path) -> dict[str, bytes]:
    """The bits of each customer's score in a file of these rows, and the host's in one of all rows, in another
    order."""
    rng = random.Random(seed)
    guest, host = tables(seed)
    guest = guest.drop(columns="y").iloc[rows]
    host = host.iloc[rng.sample(range(ROWS), ROWS)]
    guest, host = (frame[rng.sample(list(frame.columns), frame.shape[1])] for frame in (guest, host))
    read = through(forms[0], guest, folder, model.parts["guest"].schema)
    told = model.predict_score(read, {"shop": through(forms[1], host, folder, model.parts["shop"].schema)})
    assert told.notna().all()
    return {str(i): np.float64(v).tobytes() for i, v in told.items()}


def check(kind: str, seed: int, cipher: Scheme, folder: Path, pieces: int = 4) -> None:
    rng = random.Random(100 + seed)
    estimator, more = ESTIMATORS[kind]
    model = trained(estimator, more, rng.choice(FORMS), cipher, seed, folder)
    every = scores(model, list(range(ROWS)), ("frame", "frame"), seed, folder)
    assert len(set(every.values())) > 3
    for form in FORMS:
        left = rng.sample(range(ROWS), ROWS)
        for size in (1, 2, ROWS // 3, ROWS)[:pieces]:
            piece, left = left[:size], [*left[size:], *left[:size]]
            found = scores(model, piece, (form, rng.choice(FORMS)), seed, folder)
            assert len(found) == size
            assert {name: every[name] for name in found} == found, (kind, form, size)


@pytest.mark.parametrize(("kind", "seed"), [(kind, seed) for seed, kind in enumerate(ESTIMATORS)])
def test_every_file_gives_a_customer_the_same_score(kind: str, seed: int, tmp_path: Path) -> None:
    check(kind, seed, Identity(), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 15))
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_so_do_many_tables(kind: str, seed: int, tmp_path: Path) -> None:
    check(kind, seed, Identity(), tmp_path)


@pytest.mark.slow
def test_under_encryption_too(tmp_path: Path) -> None:
    from protocols.cipher import Paillier

    check("one-hot", 5, Paillier(2048), tmp_path, pieces=2)


def test_planted_fault_a_file_read_without_the_models_types(tmp_path: Path) -> None:
    """A piece without text codes is then one of numbers: another score, or here a refusal."""
    model = trained(*ESTIMATORS["trees"], "csv", Identity(), 0, tmp_path)
    guest, host = tables(0)
    rows = guest[guest["codes"].isin(["01", "007"])].drop(columns="y")
    rows.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(vfl.errors.DataError, match="'codes' holds numbers in row"):
        model.predict_score(read_source(tmp_path / "t.csv", keys=["id"]), {"shop": host})
