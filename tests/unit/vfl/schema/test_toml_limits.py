"""A job or party file cannot make its reader work for hours, run out of stack or take memory: it is refused before it
is parsed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from protocols.errors import ConfigError
from tests.unit.vfl.job.samples import MINIMAL
from vfl.job import load_agreement, load_job, load_party, starter_party
from vfl.job.party_starter import with_peer
from vfl.schema import toml
from vfl.schema.toml import MAX_BYTES, MAX_DEPTH, MAX_PARTS, parse_toml

DOTTED = "a" + ".a" * 16_000 + " = 1\n"
BOMBS = [
    (DOTTED, "a key has more than 8 parts"),
    ("a" + " . a" * 2_000 + " = 1\n", "a key has more than 8 parts"),
    ('"a"' + '."a"' * 2_000 + " = 1\n", "a key has more than 8 parts"),
    ("[a" + ".a" * 2_000 + "]\n", "a key has more than 8 parts"),
    ("[[a" + ".a" * 2_000 + "]]\n", "a key has more than 8 parts"),
    ("x = {a" + ".a" * 2_000 + " = 1}\n", "a key has more than 8 parts"),
    ("x = " + "[" * 5_000, "more than 16 levels deep"),
    ("x = " + "[\n" * 5_000, "more than 16 levels deep"),
    ("x = " + "{a = " * 5_000, "more than 16 levels deep"),
    ("x = " + '["]", ' * 5_000, "more than 16 levels deep"),
    ("x = " + "[ # ]\n" * 5_000, "more than 16 levels deep"),
    ("x = " + "9" * 5_000, "more than 200 characters"),
    ("x = 0x" + "f" * 60_000, "more than 200 characters"),
    ("x = " + "1_" * 5_000 + "1", "more than 200 characters"),
    ("# " + "x" * MAX_BYTES, "larger than 64 kB"),
    ("name = '" + "\u00e9" * MAX_BYTES + "'", "larger than 64 kB"),
]


@pytest.mark.parametrize(("text", "says"), BOMBS)
@pytest.mark.parametrize("load", [load_job, load_agreement, load_party])
def test_a_bomb_is_refused_before_it_is_parsed(
    text: str, says: str, load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tomllib, "loads", lambda text: pytest.fail("it was parsed"))
    (tmp_path / "job.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"job\.toml") as caught:
        load(tmp_path / "job.toml")
    assert says in str(caught.value)
    assert caught.value.remedy


def test_a_party_file_that_a_peer_is_added_to_has_the_same_limits() -> None:
    with pytest.raises(ConfigError, match="more than 8 parts"):
        with_peer(DOTTED, "telecom", "peers/telecom.pem")


def test_planted_fault_without_the_check_the_parser_meets_the_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: tomllib's work on a dotted key grows with the square of its parts; counted, not timed."""
    parsed: list[int] = []
    monkeypatch.setattr(tomllib, "loads", lambda text: parsed.append(len(text)) or {})
    monkeypatch.setattr(toml, "check_nesting", lambda text, where: None)
    (tmp_path / "job.toml").write_text(DOTTED, encoding="utf-8")
    with pytest.raises(ConfigError):
        load_job(tmp_path / "job.toml")
    assert parsed == [len(DOTTED)]


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL,
        starter_party("guest", "bank"),
        "a." * (MAX_PARTS - 1) + "a = 1",
        "x = " + "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH,
        "x = '" + "[" * 500 + "a." * 500 + "'",
        'x = "' + "{" * 500 + '\\"' + "a." * 500 + '"',
        "x = '''" + "\n[{a.b.c.d.e.f.g.h.i.j" * 100 + "'''",
        'x = """' + '\n[{ \\""" a.b.c.d.e.f.g.h.i.j' * 100 + '"""',
        "# " + "a." * 500 + "\nx = [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5]",
        "x = 2026-01-01T10:00:00.5Z\ny = '''it's'''\nz = ''\n",
    ],
)
def test_what_is_within_the_limits_is_read_as_before(text: str) -> None:
    assert parse_toml(text, "job.toml") == tomllib.loads(text)


@pytest.mark.parametrize(
    "text", ['x = """' + '\\"""\n' * 9_000, "x = '" * 9_000, 'x = "' * 9_000, 'x = """' + "a" * 60_000 + "\\", "x = [1"]
)
def test_texts_that_do_not_end_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        parse_toml(text, "job.toml")
