"""CONTRIBUTING.md says how to add a model, a message, a data source and a report section; each recipe is a patch that
does it and is tried here.

The recipe of a model is tried in tests/promises/conformance/test_new_kind.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.promises.packages import RECIPES, ROOT, cooked, python

NAMES = ("model", "message", "data-source", "report-section")
TOUCHED = {  # besides the new files
    "model": {"vfl/models/registry.py"},
    "message": {"vfl/job/permits.py", "docs/leakage.md", "docs/file-formats.md"},
    "data-source": {"vfl/data/source.py", "docs/file-formats.md"},
    "report-section": {"vfl/report/sections.py"},
}

MESSAGE = """
import pathlib, sys
from protocols.cipher import Identity
from protocols.column_count import ColumnCount, guest, host
from protocols.errors import DisclosureRefused
from protocols.local import run_local
from protocols.session import Roles
from tools.leakage_page import PAGE, leakage_page
from vfl.job import PERMITS
from vfl.taps.policy import PolicyTap

def counted(job, policy):
    programs = {"bank": guest, "telecom": lambda session: host(session, 7)}
    taps = {"telecom": [PolicyTap(job, policy, party="telecom")]}
    return run_local(Roles("bank", ("telecom",), ""), programs, Identity(), taps=taps)["bank"]

permit = ColumnCount.permit
assert permit in PERMITS
assert counted([permit], [permit]) == {"telecom": 7}
for job, policy, who in (([], [permit], "the job's disclosure.allow"), ([permit], [], "this party's policy.allow")):
    try:
        counted(job, policy)
    except DisclosureRefused as error:
        assert who in str(error) and permit in str(error) and ColumnCount.learns in str(error), error
    else:
        raise AssertionError("it left without the permission")
assert PAGE.read_text() == leakage_page()
assert pathlib.Path(sys.argv[1]).read_text() != leakage_page()  # the planted fault: the table as it was
"""

SOURCE = """
import pathlib
from protocols.errors import DataError
from vfl.data import read_source
from vfl.data.source import read_stored
import numpy as np
path = pathlib.Path("customers.jsonl")
path.write_text('{"id": "007", "age": 30, "bill": 1.5}\\n{"id": "08", "age": 41, "bill": null}\\n')
frame = read_source(path, keys=["id"])
assert frame["id"].tolist() == ["007", "08"] and frame["bill"].isna().tolist() == [False, True]
assert list(read_source(path, keys=["id"], only=["id", "age"])) == ["id", "age"]
assert read_stored(path, rows=np.array([False, True])).frame()["id"].tolist() == ["08"]
path.write_text('{"id": "CANARY"\\n')
for bad in (path, pathlib.Path("customers.xlsx")):
    bad.touch()
    try:
        read_source(bad, keys=["id"])
    except DataError as error:
        assert ".jsonl" in str(error) and "CANARY" not in str(error), error
    else:
        raise AssertionError(bad)
"""

REPORT = """
from vfl.report.page import render
phases = [{"name": "train", "seconds": 1.0, "bytes_sent": 40_000, "bytes_received": 20_000}]
result = {"job": "credit-risk", "role": "host", "party": "telecom", "job_digest": "00", "phases": phases}
page = render(result | {"alignment": {"guest_rows": 30, "host_rows": 30, "intersection": 20}})
assert page.count('<a href="#traffic">Traffic</a>') == 1
assert "2.00\\xa0kB" in page.split('id="traffic"')[1].split("</section>")[0], page.split('id="traffic"')[1]
assert "#traffic" not in render(result)  # nothing was aligned
"""


@pytest.mark.parametrize(
    ("recipe", "script"), [("message", MESSAGE), ("data-source", SOURCE), ("report-section", REPORT)]
)
def test_a_recipe_does_what_it_promises(tmp_path: Path, recipe: str, script: str) -> None:
    done = python(cooked(tmp_path, recipe), "-c", script, str(ROOT / "docs" / "leakage.md"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("recipe", NAMES)
def test_a_recipe_is_linted_and_touches_what_it_says(tmp_path: Path, recipe: str) -> None:
    files = re.findall(r"^\+\+\+ b/(.*)$", (RECIPES / f"{recipe}.patch").read_text(), re.MULTILINE)
    assert {name for name in files if (ROOT / name).exists()} == TOUCHED[recipe]
    package = cooked(tmp_path, recipe)
    shutil.copy(ROOT / "pyproject.toml", package / "pyproject.toml")
    sources = [name for name in files if name.endswith(".py")]
    for command in ("check", "format"):
        options = ["--check"] if command == "format" else []
        done = subprocess.run(
            [sys.executable, "-m", "ruff", command, "--no-cache", *options, *sources],
            cwd=package,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_contributing_names_every_recipe() -> None:
    assert {path.stem for path in RECIPES.iterdir()} == set(NAMES)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert set(re.findall(r"recipes/([\w-]+)\.patch", text)) == set(NAMES)
    for name, touched in TOUCHED.items():
        told = text.split(f"recipes/{name}.patch`\n")[1].split("###")[0]
        assert all(f"`{file}`" in told for file in touched), name
