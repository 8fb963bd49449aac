"""What is said of values that are nearly right, and of lines that are nearly TOML."""

from __future__ import annotations

import pytest

from protocols.errors import ConfigError
from tests.unit.vfl.job.samples import MINIMAL, with_key
from vfl.job import load_job, load_party, starter_party
from vfl.schema.toml import parse_toml


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MINIMAL.replace("logistic-regression", "logistic_regression"), 'Did you mean "logistic-regression"?'),
        (MINIMAL.replace("scores-to-guest", "score-to-guest"), 'Did you mean "scores-to-guest"?'),
        (with_key("model", 'link = "exakt"'), 'Did you mean "exact"?'),
        (with_key("align", 'keys = [["national_id"]]\nduplicates = "frist"'), 'Did you mean "first"?'),
        (with_key("split", "tset = 0.5"), "Did you mean 'test'?"),
    ],
)
def test_a_value_that_is_nearly_one_is_guessed(write, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_job(write(text))
    assert words in str(refused.value)


def test_what_is_like_nothing_is_not_guessed(write) -> None:
    with pytest.raises(ConfigError) as refused:
        load_job(write(with_key("model", 'link = "zzz"')))
    assert "Did you mean" not in str(refused.value)
    assert 'Use "exact" or "taylor"' in str(refused.value)


def test_values_of_a_party_file_are_guessed_too(tmp_path) -> None:
    path = tmp_path / "party.toml"
    path.write_text(starter_party("guest", "bank").replace('role = "guest"', 'role = "gest"'))
    with pytest.raises(ConfigError, match=r'role .*is "gest".* Did you mean "guest"\?'):
        load_party(path)


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("name = \u201ccredit\u201d", "quotes are curly"),
        ("name = \u2018credit\u2019", "quotes are curly"),
        ("name = credit", 'Text goes in quotes: name = "..."'),
        ("source = postgresql:CANARY", 'Text goes in quotes: source = "..."'),
        ('name = "credit', "does not end on this line"),
        ('name: "credit"', "Write = between"),
        ("name = [1, 2", "Text goes in quotes, lists in"),
    ],
)
def test_a_line_that_is_nearly_toml(line: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_toml(f"version = 1\n{line}\nother = 2\n", "job.toml")
    assert remedy in refused.value.remedy
    assert "CANARY" not in str(refused.value)
    assert "job.toml" in str(refused.value)
