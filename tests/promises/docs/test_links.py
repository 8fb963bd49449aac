"""Does every link of a page lead to a file, and to a heading or an anchor in it?"""

from __future__ import annotations

import re
from pathlib import Path

from tests.places import ROOT
from tests.promises.docs.test_language import PAGES

LINK = re.compile(r"\]\((?!\w+:)([^()\s#]*)(?:#([^()\s]*))?\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def anchors(page: str) -> set[str]:
    """What a link to this page can end in: its headings, as GitHub names them, and its own anchors."""
    found = set(re.findall(r'<a id="([^"]+)">', page))
    for heading in re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    ):
        name = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        found.add(next(one for one in (name, *(f"{name}-{k}" for k in range(1, 99))) if one not in found))
    return found


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere in this checkout."""
    found = []
    for file, anchor in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        target = page.parent / file if file else page
        whole = target.exists()
        if whole and anchor and target.suffix == ".md":
            whole = anchor in anchors(target.read_text(encoding="utf-8"))
        if not whole:
            found.append(f"{file}#{anchor}" if anchor else file)
    return found


def test_no_link_leads_nowhere() -> None:
    pages = [page for pattern in PAGES for page in sorted(ROOT.glob(pattern))]
    assert ROOT / "docs" / "protocols" / "network.md" in pages
    assert {str(page.relative_to(ROOT)): found for page in pages if (found := broken(page))} == {}


def test_planted_fault_a_lost_file_heading_and_anchor_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text('# A title, `code` too\n\n## Twice\n\n## Twice\n\n<a id="here"></a>\nText.\n')
    page = tmp_path / "page.md"
    good = (
        "other.md",
        "other.md#a-title-code-too",
        "other.md#twice-1",
        "other.md#here",
        "#mine",
        "https://x.example/#a",
    )
    bad = ("lost.md", "other.md#title", "other.md#twice-2", "other.md#there", "#yours")
    page.write_text("# Mine\n\n" + " ".join(f"[one]({link})" for link in (*good, *bad)) + " `[x](in-code.md)`\n")
    assert broken(page) == list(bad)
