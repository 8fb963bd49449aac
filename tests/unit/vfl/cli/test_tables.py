"""What the terminal shows is easy to follow with the eye, and said once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import vfl
from tests.unit.vfl.job.samples import MINIMAL
from vfl.cli.main import app
from vfl.data.writing import WRITERS
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


def test_help_names_every_format_that_is_written() -> None:
    """Of each option that says in which formats it writes."""
    lists = [
        parameter.help
        for command in click_commands(typer.main.get_command(app))
        for parameter in command.params
        if ".parquet or" in (parameter.help or "") or ", .parquet" in (parameter.help or "")
    ]
    assert len(lists) >= 2
    assert [text for text in lists if not all(suffix in text for suffix in WRITERS)] == []


def click_commands(command: Any) -> Iterator[Any]:
    """The command, and those within it."""
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from click_commands(inner)


def test_every_parameter_is_described_in_whole_sentences() -> None:
    declared = [getattr(vfl, name) for name in vfl.__all__]
    docs = {one.__name__: one.__doc__ for one in declared if isinstance(one, type) and issubclass(one, Spec)}
    docs["GridSearchCV"] = vfl.GridSearchCV.__doc__
    assert len(docs) > 4
    assert [name for name, doc in docs.items() if ": ." in str(doc) or ".." in str(doc).replace("...", "")] == []
