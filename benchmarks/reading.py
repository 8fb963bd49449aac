"""The memory that reading a table takes: bytes per row at the peak, above a process that has read a small one.

    python -m benchmarks.reading [--rows 1000000] [--format csv] [--format parquet]

The table has 12 columns: an id of text, 2 categories, and 9 numbers with 6 decimals.  "read" is the file as a frame,
"table" the checked table of a run, with the frame that it was made of.  For comparison, "objects" is a CSV file with
each cell as a Python object, and "copied" the checked table of a copy of the frame.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from vfl.data import read_source, table_from_frame

FORMATS = ("csv", "parquet")
SMALL = 1000  # rows, read first: what reading takes whatever the size
PIECE = 100_000  # rows made at a time


def make(path: Path, rows: int) -> None:
    """Writes the table to a .csv or .parquet file."""
    rng = np.random.default_rng(7)
    pieces = []
    for start in range(0, rows, PIECE):
        n = min(PIECE, rows - start)
        numbers = {f"x{k}": rng.normal(size=n).round(6) * 10.0**k for k in range(9)}
        columns = {
            "id": [f"C{i:09d}" for i in range(start, start + n)],
            "branch": rng.choice([f"branch {k}" for k in range(40)], n),
            "kind": rng.choice(["private", "business", "public"], n),
        }
        pieces.append(pd.DataFrame({**columns, **numbers}))
    frame = pd.concat(pieces, ignore_index=True)
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)


def peak() -> int:
    """The most bytes that this process has held since it began; `getrusage` would count those of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def read(path: Path, what: str) -> int:
    """Reads it; the rows."""
    frame = pd.read_csv(path, dtype=object) if what == "objects" else read_source(path, keys=["id"])
    if what not in ("table", "copied"):
        return len(frame)
    before = frame.copy() if what == "copied" else None
    asked = {"keys": ["id"], "normalise": {}, "duplicates": "error", "label": None, "columns": None}
    found = table_from_frame(frame, party="bank", texts=True, **asked)
    return len(found if before is None else before)


def measured(path: Path, small: Path, what: str) -> dict[str, float]:
    """In a process of its own: bytes per row at the peak, and seconds."""
    command = [sys.executable, "-m", "benchmarks.reading", "--child", what, str(small), str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def child(what: str, small: Path, path: Path) -> None:
    read(small, what)
    before, start = peak(), time.perf_counter()
    rows = read(path, what)
    print(json.dumps({"bytes_per_row": (peak() - before) / rows, "seconds": time.perf_counter() - start}))


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a line for each format and step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--format", action="append", choices=FORMATS)
    parser.add_argument("--child", nargs=3, metavar=("WHAT", "SMALL", "FILE"), help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.child:
        child(asked.child[0], Path(asked.child[1]), Path(asked.child[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        for format in asked.format or FORMATS:
            files = {rows: Path(folder) / f"{rows}.{format}" for rows in (SMALL, asked.rows)}
            for rows, path in files.items():
                make(path, rows)
            for what in ("read", "table", *(["objects"] if format == "csv" else [])):
                found = measured(files[asked.rows], files[SMALL], what)
                print(f"{format:8} {what:8} {found['bytes_per_row']:6.0f} bytes per row {found['seconds']:6.1f} s")


if __name__ == "__main__":
    main()
