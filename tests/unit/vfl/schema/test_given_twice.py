"""A key or table that a file has twice is named, with both lines."""

from __future__ import annotations

import pytest

from protocols.errors import ConfigError
from vfl.schema.toml import parse_toml


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = 1\nname = 2", "line 2: name is given twice, first in line 1"),
        ("[model]\nC = 1\n# C = 3\nmax_iter = 3\nC = 2\n", "line 5: model.C is given twice, first in line 2"),
        ("[a]\nx = 1\n[b]\nx = 1\n\n[a] # again\n", r"line 6: \[a\] is given twice, first in line 1"),
        ('[a]\ntext = """\nx = 1\n"""\nx = 1\nx = 2\n', "line 6: a.x is given twice, first in line 5"),
    ],
)
def test_it_is_named_with_its_lines(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"job.toml, {words}. Remove one of them"):
        parse_toml(text, "job.toml")


@pytest.mark.parametrize("text", ["a = {b = 1, b = 2}", '"a" = 1\n"a" = 2', "a = 1\n[a]\nb = 1", "a ="])
def test_what_is_wrong_otherwise_is_said_as_before(text: str) -> None:
    with pytest.raises(ConfigError, match="is not valid TOML"):
        parse_toml(text, "job.toml")


def test_the_same_key_of_two_tables_is_fine() -> None:
    assert parse_toml("[a]\nx = 1\n[b]\nx = 1\n[[c]]\nx = 1\n[[c]]\nx = 2\n", "job.toml")["b"] == {"x": 1}
