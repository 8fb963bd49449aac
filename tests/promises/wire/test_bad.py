"""Every bad vector is refused with the error that it must give; the sound ones beside them are accepted."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.parts import guests
from tests.promises.wire.make_bad import FILE, document, unfold
from tests.promises.wire.readers import Reader, outcome, readers
from vfl.models.part_files import save_part
from vfl.preprocessing import Standardiser

VECTORS = json.loads(FILE.read_text(encoding="utf-8"))


def wrong(known: dict[str, Reader], folder: Path) -> list[str]:
    """The vectors that end otherwise than they must."""
    found = []
    for vector in VECTORS:
        place = folder / vector["reader"].split()[0]
        place.mkdir(exist_ok=True)
        if vector["reader"] in ("manifest", "weights"):
            sound(place)
        ended = outcome(known[vector["reader"]], unfold(vector["bytes"]), place)
        if ended != vector["error"]:
            found.append(f"{vector['reader']}, {vector['what']}: {ended} instead of {vector['error']}")
    return found


def sound(folder: Path) -> None:
    """A model part of which a vector replaces one file."""
    table = pd.DataFrame({"age": [30.0, 40.0], "limit": [1.0, 2.0]})
    save_part(
        guests(Standardiser.fit(table, 6.0), (0.5, 1.0), 0.3), folder, kind="logistic-regression", job_digest=bytes(32)
    )


def test_all_end_as_they_must(tmp_path: Path) -> None:
    assert wrong(readers(), tmp_path) == []


def test_there_are_many_and_each_reader_has_a_sound_one_beside_them() -> None:
    bad = [v for v in VECTORS if v["error"] != "accepted"]
    assert len(bad) >= 150
    assert len({(v["reader"], v["what"]) for v in VECTORS}) == len(VECTORS)
    with_good = {v["reader"] for v in VECTORS if v["error"] == "accepted"}
    assert {v["reader"] for v in bad} - with_good <= {"certificate"}  # its sound one is in every test of the transport


@pytest.mark.slow
def test_planted_acceptances_are_noticed(tmp_path: Path) -> None:
    """Each reader in turn takes everything."""
    for name in {v["reader"] for v in VECTORS}:
        careless = readers() | {name: lambda data, folder: None}
        bad = [v for v in VECTORS if v["reader"] == name and v["error"] != "accepted"]
        (tmp_path / name.replace(" ", "-")).mkdir()
        assert len(wrong(careless, tmp_path / name.replace(" ", "-"))) == len(bad) > 0 or not bad


def test_the_file_is_what_the_script_writes() -> None:
    pytest.importorskip("pyarrow")
    mine, theirs = json.loads(document()), VECTORS
    assert [(v["reader"], v["what"]) for v in mine] == [(v["reader"], v["what"]) for v in theirs]
    varying = {"table.parquet"}  # pyarrow writes its version into the file
    for made, kept in zip(mine, theirs, strict=True):
        assert made["reader"] in varying or made == kept
