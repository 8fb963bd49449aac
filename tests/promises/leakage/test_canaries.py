"""Ids, features and labels never stand in what another party receives or keeps, in whatever form; and each form is
found where it is planted."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.errors import DataError
from protocols.message import Message
from tests.harness import TOY, Recording, Sent
from tests.promises.leakage import canaries
from tests.promises.leakage.canaries import Needles
from tests.promises.processes.institutions import Institutions, institutions
from tests.promises.processes.test_wire_and_ledger import in_threads
from vfl.preprocessing import Standardiser
from vfl.storage.run_store import FILE, RunStore

ROWS, WATCHED = 48, 3
Tables = dict[str, pd.DataFrame]


def tables() -> Tables:
    """A guest and two hosts whose every value is a canary: long ids, numbers with full mantissas."""
    rng = np.random.default_rng(11)
    ids = [f"canary-{rng.integers(10**11):011d}-{i:03d}" for i in range(ROWS)]
    x = rng.normal(size=(ROWS, 4)) * [0.731, 51.3, 1017.9, 7.7] + [0.377, 1234.5, 0.113, -3.3]
    label = (x[:, 0] + rng.normal(size=ROWS) > 0.4).astype(int)
    guest = pd.DataFrame({"id": ids, "default": label, "age": x[:, 0], "limit": x[:, 1]})
    hosts = {
        "telecom": pd.DataFrame({"id": ids, "bill": x[:, 2]}).iloc[3:],
        "shop": pd.DataFrame({"id": ids, "spend": x[:, 3]}).iloc[: ROWS - 2],
    }
    return {"guest": guest} | {
        name: table.sample(frac=1, random_state=2).reset_index(drop=True) for name, table in hosts.items()
    }


def needles(table: pd.DataFrame) -> Needles:
    """Of the first rows of one party's table: as they are, and standardised as a regression does; and its labels."""
    features = table.drop(columns=["id", "default"], errors="ignore")
    both = {
        "": features,
        "standardised ": pd.DataFrame(
            Standardiser.fit(features, 6.0).transform(features, "p"), columns=features.columns
        ),
    }
    parts = [canaries.of_id(text) for text in table["id"][:WATCHED]]
    for frame in both.values():
        for name in frame.columns:
            values = frame[name].tolist()
            parts += [canaries.of_number(value) for value in values[:WATCHED]]
            parts += [canaries.of_neighbours(values[i : i + 2]) for i in range(WATCHED)]
    if "default" in table:
        parts += [
            canaries.of_labels(table["default"].to_numpy()),
            canaries.of_labels(table.sort_values("id")["default"].to_numpy()),
        ]
    return canaries.merged(parts)


def leaks(transcript: list[Sent], data: Tables) -> set[str]:
    """What other parties receive of a party's canaries."""
    return {
        leak
        for party, table in data.items()
        for leak in canaries.found(needles(table), (s.data for s in transcript if s.receiver != party))
    }


MODELS: dict[str, Any] = {
    "logistic": vfl.LogisticRegression(max_iter=5),
    "taylor": vfl.LogisticRegression(max_iter=5, link="taylor"),
    "sealed": vfl.BoostedTrees(n_estimators=1, max_depth=2, max_bin=6, min_bin_rows=2),
    "open": vfl.BoostedTrees(n_estimators=1, max_depth=2, max_bin=6, min_bin_rows=2, membership="open"),
}


def fit(data: Tables, model: Any) -> list[Sent]:
    """Trains, and gives every message."""
    transcript: list[Sent] = []
    hosts = {name: data[name] for name in ("telecom", "shop")}
    federation = vfl.Federation.local(data["guest"], hosts, on="id", label="default", cipher=TOY, convergence=False)
    federation.fit(model, taps={p: [Recording(p, transcript)] for p in federation.roles.all})
    return transcript


@pytest.fixture(scope="module", params=["logistic", pytest.param("taylor", marks=pytest.mark.slow), "sealed", "open"])
def run(request: pytest.FixtureRequest) -> tuple[Tables, list[Sent]]:
    data = tables()
    return data, fit(data, MODELS[request.param])


def test_no_canary_crosses_in_any_form(run: tuple[Tables, list[Sent]]) -> None:
    data, transcript = run
    assert len(transcript) > 20
    assert leaks(transcript, data) == set()


def test_planted_every_form_is_found_in_traffic() -> None:
    """Each needle by itself, in the middle of a message."""
    data = tables()
    host = Sent("telecom", "guest", Message, bytes(range(100)))
    for party, table in {"guest": data["guest"]}.items():
        wanted = {needle: name for needle, name in needles(table).items() if len(set(needle)) > 1}
        assert len({name.split(":")[0] for name in wanted.values()}) >= 3
        planted = [Sent(party, "somebody", Message, host.data[:40] + needle + host.data[40:80]) for needle in wanted]
        assert canaries.found(wanted, (s.data for s in planted)) == set(wanted.values())


def test_planted_forms_cover_what_a_careless_program_would_send() -> None:
    """Encodings made here by other means than the needles'."""
    data = tables()["guest"]
    text, value = data["id"][0], float(data["limit"][1])
    careless = {
        "raw": json.dumps({"id": text}).encode(),
        "hex": text.encode().hex().encode(),
        "base64": base64.b64encode(f"id={text}".encode()),
        "sha256": hashlib.sha256(text.encode()).digest(),
        "sha256 hex": hashlib.sha256(text.encode()).hexdigest().encode(),
        "float64": data["limit"].to_numpy().tobytes(),
        "float32": data["limit"].to_numpy(np.float32).tobytes(),
        "fixed point": np.round(data["limit"].to_numpy() * 2**40).astype(np.int64).tobytes(),
        "coarse fixed point": np.round(data["limit"].to_numpy() * 2**16).astype(np.int64).tobytes(),
        "text": f"limit is {value!r}".encode(),
        "labels": data["default"].to_numpy(np.int64).tobytes(),
        "label bits": np.packbits(data["default"].to_numpy(bool)).tobytes(),
        "standardised": ((data["limit"] - data["limit"].mean()) / data["limit"].std(ddof=0)).to_numpy().tobytes(),
    }
    wanted = needles(data)
    for name, bytes_ in careless.items():
        assert canaries.found(wanted, [b"header" + bytes_ + b"tail"]), name


# -- by files: what lies at the other parties after a run


def of_files(data: Tables) -> dict[str, Needles]:
    """The needles of each party, by its name in the job."""
    renamed = {
        name: table.rename(columns={"canarycustomer": "id", "canarylabel": "default"}) for name, table in data.items()
    }
    renamed["bank"] = renamed["bank"].assign(default=(renamed["bank"]["default"] == "canarygood").astype(int))
    return {name: needles(table) for name, table in renamed.items()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Institutions, dict[str, Any], list[str]]]:
    """A run of three parties, with everything that was logged."""
    heard: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(self.format(record))

    honest = RunStore.keep

    def keep(self: RunStore, *given: Any) -> None:
        honest(self, *given)
        STORES.append((self.folder / FILE).read_bytes())

    patch = pytest.MonkeyPatch()
    patch.setattr(RunStore, "keep", keep)
    handler, logger = Keep(logging.DEBUG), logging.getLogger()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with institutions(tmp_path_factory.mktemp("canaries")) as made:
            made.lay_out()
            yield made, in_threads(made), heard
    finally:
        patch.undo()
        logger.removeHandler(handler)
        logger.setLevel(before)


STORES: list[bytes] = []  # every state of every party's run store


def contents(folder: Path, *, but: tuple[str, ...] = ()) -> list[bytes]:
    """Every file below it."""
    return [p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name not in but]


def test_no_canary_lies_in_any_run_folder(files: tuple[Institutions, dict[str, Any], list[str]]) -> None:
    """Ledger, reports, model part and whatever else is written, of all parties.

    Two files are for their owner alone: the guest's scores, by id, and the edges of a party's own columns that `vfl
    monitor` compares with.
    """
    made, folders, _ = files
    for owner, wanted in of_files(made.data).items():
        for party, folder in folders.items():
            kept = contents(Path(folder), but=("scores.csv", "baseline.json") if party == owner else ())
            assert len(kept) >= 3
            assert canaries.found(wanted, kept) == set(), (owner, party)


def test_no_canary_lies_in_a_run_store_at_any_moment(files: tuple[Institutions, dict[str, Any], list[str]]) -> None:
    """Not even its own party's: marks hold no id, feature or label.  (Every third state: each holds most of the one before.)"""  # noqa: E501
    made, _, _ = files
    assert len(STORES) >= 15
    for wanted in of_files(made.data).values():
        assert canaries.found(wanted, STORES[::3]) == set()


def test_nothing_of_the_tables_is_logged(files: tuple[Institutions, dict[str, Any], list[str]]) -> None:
    made, _, heard = files
    for wanted in of_files(made.data).values():
        assert canaries.found(wanted, [line.encode() for line in heard]) == set()


def test_planted_canaries_on_a_disk_are_found(
    files: tuple[Institutions, dict[str, Any], list[str]], tmp_path: Path
) -> None:
    made, _, _ = files
    for owner, wanted in of_files(made.data).items():
        assert canaries.found(wanted, contents(made.folder / owner, but=())), owner  # its own table
        made.data[owner].to_parquet(tmp_path / "leak.parquet", compression=None)
        assert canaries.found(wanted, contents(tmp_path))


def test_errors_name_no_value(tmp_path: Path) -> None:
    """Tables with every fault that is told in words: the words hold no canary."""
    data = tables()
    faults = {
        "repeated": lambda t: pd.concat([t, t.iloc[:1]]),
        "not finite": lambda t: t.assign(**{t.columns[-1]: np.where(np.arange(len(t)) == 3, np.inf, t[t.columns[-1]])}),
        "text": lambda t: t.assign(**{t.columns[-1]: t["id"]}),
        "nothing, or a label a row": lambda t: t.assign(default=t["id"]) if "default" in t else t.iloc[:0],
        "no id": lambda t: t.assign(id=[None, *t["id"][1:]]),
    }
    told = []
    for party in data:
        for fault in faults.values():
            broken = data | {party: fault(data[party])}
            with pytest.raises(DataError) as caught:
                fit(broken, MODELS["taylor"])
            told.append(f"{caught.value!r} {caught.value}".encode())
    assert len(told) == 15
    for table in data.values():
        assert canaries.found(needles(table), told) == set()
