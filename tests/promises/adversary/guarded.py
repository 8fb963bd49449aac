"""`python -m tests.promises.adversary.guarded FOLDER [--planted]`: trains, saves, scores and reads everything back
while an audit hook watches; prints what ran code from bytes.

Python tells its audit hooks of every unpickled name, marshalled code, compilation and execution, whoever asks for it.
What importing a module does is not counted, nor what the standard library makes of its own declarations (data classes,
named tuples).
"""

from __future__ import annotations

import json
import marshal
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import joblib
import numpy as np
import pandas as pd

import vfl
from protocols import channel
from tests.harness import TOY
from tests.promises.processes.institutions import institutions
from tests.promises.processes.test_wire_and_ledger import in_threads
from vfl.data import read_source
from vfl.ledger import verify_ledger
from vfl.models.part_files import load_part
from vfl.report import read_report, write_report

WATCHED = {
    "pickle.find_class",
    "marshal.loads",
    "marshal.load",
    "exec",
    "compile",
    "code.__new__",
    "os.system",
    "os.exec",
    "subprocess.Popen",
    "ctypes.dlopen",
}
DECLARING = (
    "importlib",
    "dataclasses.py",
    "collections/__init__.py",
    "typing.py",
    "enum.py",
    "functools.py",
    "jinja2/environment.py",
    "pydantic",
    "msgspec",
)
# Modules that nothing should load.  scikit-learn imports joblib, and pyarrow cloudpickle: what these unpickle is an
# event, as `PLANTED` shows of joblib.
LOADERS = {"yaml", "dill", "shelve"}
on = threading.Event()
seen: set[str] = set()


def hook(event: str, given: tuple[Any, ...]) -> None:
    """Notes a watched event, unless one of the frames that led to it belongs to a declaration."""
    if event not in WATCHED or not on.is_set():
        return
    frame: FrameType | None = sys._getframe(1)
    where = ""
    while frame is not None:
        name = frame.f_code.co_filename
        if any(part in name for part in DECLARING):
            return
        where, frame = where or f"{Path(name).name}:{frame.f_lineno}", frame.f_back
    seen.add(f"{event} at {where}")


class Reduced:
    """What a pickle can do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return len, ("planted",)


PLANTED: dict[str, Callable[[], object]] = {
    "pickle": lambda: pickle.loads(pickle.dumps(Reduced())),
    "numpy": lambda: np.load(_pickled_array(), allow_pickle=True),
    "pandas": lambda: pd.read_pickle(_pickled_array()),
    "joblib": lambda: joblib.load(_pickled_array()),
    "marshal": lambda: marshal.loads(marshal.dumps(compile("1", "planted", "eval"))),
    "eval": lambda: eval("1 + 1"),
    "exec": lambda: exec("x = 1"),
    "compile": lambda: compile("1 + 1", "planted", "eval"),
}


def _pickled_array() -> Path:
    path = Path(sys.argv[1]) / "planted"
    if not path.exists():
        path.write_bytes(pickle.dumps(np.array([Reduced()], dtype=object)))
    return path


def decode_with(plant: Callable[[], object]) -> None:
    """Makes every received message run `plant`."""
    honest = channel.codec.decode_block

    def decode(*given: Any) -> Any:
        plant()
        return honest(*given)

    channel.codec.decode_block = decode  # type: ignore[assignment]


def local(folder: Path) -> None:
    """Both families in one process."""
    rng = np.random.default_rng(0)
    ids = [f"c{i}" for i in range(40)]
    guest = pd.DataFrame({"id": ids, "y": np.arange(40) % 2, "a": rng.normal(size=40)})
    hosts = {"shop": pd.DataFrame({"id": ids, "b": rng.normal(size=40)})}
    federation = vfl.Federation.local(guest, hosts, on="id", label="y", cipher=TOY, convergence=False)
    for model in (
        vfl.LogisticRegression(max_iter=5),
        vfl.BoostedTrees(n_estimators=1, max_depth=2, max_bin=4, min_bin_rows=1),
    ):
        federation.fit(model).predict_score(guest, hosts)  # type: ignore[arg-type]


def by_files(folder: Path) -> None:
    """A run between institutions, and everything that it left read again."""
    with institutions(folder) as made:
        made.lay_out()
        for name, run in in_threads(made).items():
            assert isinstance(run, Path), run
            verify_ledger(run / "ledger.jsonl", (made.folder / name / "identity" / "cert.pem").read_bytes())
            write_report(run, read_report(run))
            if name != "trustco":
                load_part(run / "model")
                read_source(made.folder / name / "customers.csv")
                made.data[name].to_parquet(made.folder / "table.parquet")
                read_source(made.folder / "table.parquet")


def planted(folder: Path) -> dict[str, list[str]]:
    """What is found where receiving a message runs code, by each means."""
    _pickled_array()
    honest, found = channel.codec.decode_block, {}
    ids = pd.DataFrame({"id": ["a", "b"]})
    for name, plant in PLANTED.items():
        seen.clear()
        decode_with(plant)
        on.set()
        vfl.align(ids, {"shop": ids}, on="id")
        on.clear()
        found[name] = sorted(seen)
        channel.codec.decode_block = honest  # type: ignore[assignment]
    return found


def main() -> None:
    """Prints the findings as JSON."""
    folder = Path(sys.argv[1])
    sys.addaudithook(hook)
    if len(sys.argv) > 2:
        print(json.dumps(planted(folder)))
        return
    on.set()
    local(folder)
    by_files(folder)
    on.clear()
    print(json.dumps(sorted(seen) + sorted(f"{name} is loaded" for name in LOADERS & set(sys.modules))))


if __name__ == "__main__":
    main()
