"""Promise: every text of the product is standard technical English.

The texts are README, the other pages, docstrings, `--help` pages, messages and reports.  This test knows a list of
phrases that readers stumble over, and fails where one of them is used again.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.places import ROOT

UNITS = (
    r"bits?|bytes?|[kMG]i?B|(?:milli|micro|nano)?seconds?|[mun]s|minutes?|CPU|time|rows?|columns?|bins?|keys?|ids?|seeds?|lines?|"
    r"numbers?|products?|operations?|exponentiations?|encryptions?|decryptions?|re-randomisations?|ciphertexts?|plaintexts?|slots?|"
    r"points?|hash(?:es)?|messages?|round "
    r"trips?|trees?|models?|units?|times|functions?|files?|folders?|threads?|weights?|"
    r"entry|entries|events?|functions?|category|categories|vectors?|values?|scores?|draws?|steps?|tables?|unit "
    r"in the last place|2\^-?\d+|\d+"
)
EACH = (
    r"row|party|role|measure|message|tree|pass|iteration|epoch|step|level|node|column|bin|class|run|month|day|key|id|pair|share|ciphertext|plaintext|"
    r"element|product|line|peer|host|guest|partner|protocol|block|batch|chunk|round|leaf|fold|candidate|model|kind|record|link|cell|"
    r"value|weight|gradient|second|nanosecond|connection|direction|job|file|section|unit|side|sum|group|thread|core|table"
)
# 'the rows a party holds' is a clause, and no rate
VERBS = r"holds?|is|has|can|may|must|does|keeps?|sends?|learns?|takes?|costs?|needs?|gives?|makes?|brings?|wins?|was|uses?|opens?|matches|leaves"  # noqa: E501


class Pattern(NamedTuple):
    """A phrase that is not used, what to write in its place, and a sentence with this fault."""

    regex: str
    instead: str
    planted: str


PATTERNS = (
    Pattern(
        rf"(?<!how many )(?<!which )\b(?:{UNITS})\b(?: of [\w-]+)? an? (?:(?!of|if|is)[\w-]+ "
        rf")?(?:{EACH})\b(?!'s| (?:{VERBS})\b)",
        "write 'per' or 'for each'",
        "A share has 8 bytes a row.",
    ),
    Pattern(r"\b(?:go(?:es|ing)?|went|gone) on\b", "write 'resume' or 'continue'", "The run goes on from there."),
    Pattern(r"\bfore(?:told|tells?)\b", "write 'predict' or 'estimate'", "The duration is foretold."),
    Pattern(r"\bhow-many", "write 'the number of ...'", "It is the how-manyeth of its kind."),
    Pattern(r"\bmarks?\b", "write 'checkpoint'", "It is kept at the last mark."),
    Pattern(r"\btold\b", "name who learns or reports what", "The guest is told the size."),
    Pattern(r"\banew\b", "write 'again'", "The file is written anew."),
    Pattern(r"\bbeside\b", "write 'with', 'besides', 'next to' or 'compared with'", "It is kept beside the model."),
    Pattern(r"\bso many\b(?! that)", "write 'this number of' or name the number", "A list of so many rows."),
    Pattern(
        r"\blook(?:s|ed|ing)?\b(?![- ]?ups?\b)",
        "write 'evaluate', 'check' or 'examine'",
        "Each look costs one message.",
    ),
)

# A phrase in which a word of the list is the right word, and why.
ALLOWED: dict[str, str] = {
    r"(?:from|into|table) marks": "SQL: the name of a table in `run.sqlite`",
    r"byte order marks?": "the name that Unicode gives it",
    r"quotation marks?": "the name of the character",
    r"question marks?": "the name of the character",
    r"(?:model|guest that|may|to) scores? a row": "the verb 'to score'",
}

PAGES = ("*.md", "docs/*.md", "docs/adr/*.md", "docs/protocols/*.md")
SOURCES = ("protocols/**/*.py", "vfl/**/*.py")

INLINE = re.compile(r"`[^`]*`")


class Text(NamedTuple):
    """A piece of text that a reader sees, and where it stands."""

    where: str
    words: str


def page_texts(path: Path) -> Iterator[Text]:
    """The prose of a page, paragraph by paragraph: without code."""
    code, start, paragraph = False, 1, ""
    for number, line in enumerate([*path.read_text(encoding="utf-8").splitlines(), ""], 1):
        fence = line.startswith("```")
        if fence or code or not line.strip() or line.startswith("|"):
            if paragraph:
                yield Text(f"{path.name}:{start}", INLINE.sub("`", paragraph))
            paragraph = ""
            if line.startswith("|") and not code:
                yield Text(f"{path.name}:{number}", INLINE.sub("`", line))
            code ^= fence
            continue
        start = start if paragraph else number
        paragraph += line + " "


def source_texts(path: Path) -> Iterator[Text]:
    """Docstrings, `--help` texts and messages of a module: every string constant with a space in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
    within = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            words = "".join(part.value if isinstance(part, ast.Constant) else "`" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in within:
            words = node.value
        else:
            continue
        if " " in words:
            yield Text(f"{name}:{node.lineno}", INLINE.sub("`", words))


def template_texts(path: Path) -> Iterator[Text]:
    """What a template of a report's page says, line by line: without tags and expressions."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        yield Text(f"{path.name}:{number}", re.sub(r"\{[{%].*?[%}]\}|<[^>]*>", " ` ", line))


def faults(texts: Iterator[Text]) -> list[str]:
    """Each use of a phrase of the list: where, the words around it, and what to write in its place."""
    found = []
    for where, words in texts:
        plain = re.sub(r"\s+", " ", words)
        for allowed in ALLOWED:
            plain = re.sub(allowed, "", plain, flags=re.IGNORECASE)
        for pattern in PATTERNS:
            for hit in re.finditer(pattern.regex, plain, re.IGNORECASE):
                found.append(f"{where}: ...{plain[max(0, hit.start() - 30) : hit.end() + 20]}...: {pattern.instead}")
    return found


@pytest.mark.parametrize("pages", PAGES)
def test_no_page_uses_a_phrase_of_the_list(pages: str) -> None:
    paths = sorted(ROOT.glob(pages))
    assert paths
    assert [fault for path in paths for fault in faults(page_texts(path))] == []


@pytest.mark.parametrize("pages", PAGES)
def test_no_line_of_prose_is_too_long(pages: str) -> None:
    """At most 140 characters; tables aside, whose rows Markdown keeps on one line."""
    lines = [(path.name, line) for path in ROOT.glob(pages) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(name, line) for name, line in lines if len(line) > 140 and not line.startswith("|")] == []


def test_no_source_uses_a_phrase_of_the_list() -> None:
    paths = sorted(path for sources in SOURCES for path in ROOT.glob(sources))
    assert [fault for path in paths for fault in faults(source_texts(path))] == []


def test_no_report_or_board_uses_a_phrase_of_the_list() -> None:
    paths = sorted(ROOT.glob("vfl/**/templates/*.html"))
    paths += sorted(ROOT.glob("vfl/**/templates/*.js"))
    assert len(paths) > 15
    assert [fault for path in paths for fault in faults(template_texts(path))] == []


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: p.planted)
def test_planted_fault_each_phrase_is_noticed(pattern: Pattern, tmp_path: Path) -> None:
    """In prose, in a table, in a docstring, in a message and in a report; and not in code."""
    page = tmp_path / "page.md"
    page.write_text(
        f"# Title\n\nA clean line.\n{pattern.planted}\n\n| cell | {pattern.planted} |\n\n```\n{pattern.planted}\n```\n"
    )
    assert [fault.split(": ")[0] for fault in faults(page_texts(page))] == ["page.md:3", "page.md:6"]
    source = tmp_path / "source.py"
    source.write_text(f'"""{pattern.planted}"""\nraise ValueError(f"{{size}}: {pattern.planted}")\n')
    assert [fault.split(": ")[0] for fault in faults(source_texts(source))] == ["source.py:1", "source.py:2"]
    template = tmp_path / "template.html"
    template.write_text(f"<p>{{{{ party }}}}</p>\n<p class='beside'>{pattern.planted}</p>\n")
    assert [fault.split(": ")[0] for fault in faults(template_texts(template))] == ["template.html:2"]
    assert all(fault.endswith(pattern.instead) for fault in faults(page_texts(page)))


def test_a_clean_sentence_passes() -> None:
    clean = (
        "A share has 8 bytes per row. There is one seed for each run and party. The run resumes from the "
        "last checkpoint. "
        "The duration is predicted. The arbiter reports the number of rows. Each look-up needs a key; a byte "
        "order mark is skipped."
    )
    assert faults(iter([Text("sample", clean)])) == []
