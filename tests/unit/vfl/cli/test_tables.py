"""What the terminal shows is easy to follow with the eye, and said once."""

from __future__ import annotations

import io
from pathlib import Path

import vfl
from tests.unit.vfl.job.samples import MINIMAL
from vfl.job import load_job
from vfl.job.policy import values
from vfl.schema.spec import Spec
from vfl.screen.console import Console
from vfl.screen.tables import bullets


def test_long_lines_of_a_list_are_continued_under_their_first_word() -> None:
    stream = io.StringIO()
    bullets(Console(file=stream, width=40), ["a sentence of so many words that it needs two lines [bold]", "short"])
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert [line[:3] for line in lines] == [" - ", "   ", " - "]
    assert all(line[3] != " " for line in lines)
    assert "[bold]" in " ".join(lines)  # a name in brackets stays text


def test_a_key_has_one_name_in_what_a_policy_bounds(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(MINIMAL)
    assert [key for key, _ in values(load_job(path), "key_bits")] == ["crypto.key_bits"]


def test_every_parameter_is_described_in_whole_sentences() -> None:
    declared = [getattr(vfl, name) for name in vfl.__all__]
    docs = {one.__name__: one.__doc__ for one in declared if isinstance(one, type) and issubclass(one, Spec)}
    docs["GridSearchCV"] = vfl.GridSearchCV.__doc__
    assert len(docs) > 4
    assert [name for name, doc in docs.items() if ": ." in str(doc) or ".." in str(doc).replace("...", "")] == []
