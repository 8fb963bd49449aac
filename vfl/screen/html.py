"""Small cards of HTML for notebooks: self-contained, in the colours of the report's page, with every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

# The colours are those of vfl/report/templates/style.css.  A card has its own ground, so that it can be read in a light and in a dark notebook.
STYLE = """<style>
.vfl-card { --paper: #ffffff; --ink: #18222c; --soft: #55616d; --hair: #dfe2e4; --faint: #eef0f1; --joint: #12597c; color-scheme: light dark;
  display: inline-block; box-sizing: border-box; max-width: 100%; overflow-x: auto; margin: 4px 0; padding: 14px 20px 16px;
  background: var(--paper); color: var(--ink); border: 1px solid var(--hair); border-radius: 12px;
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif; font-variant-numeric: tabular-nums; }
@media (prefers-color-scheme: dark) { .vfl-card { --paper: #1a2129; --ink: #e6ebf0; --soft: #a3b0bc; --hair: #333d47; --faint: #242d36; --joint: #6fbbe4; } }
.vfl-card .title { font-weight: 650; font-size: 1.05rem; letter-spacing: -.01em; }
.vfl-card .says, .vfl-card summary { color: var(--soft); font-size: .85rem; }
.vfl-card table { border-collapse: collapse; margin: 8px 0 0; font-size: .9rem; background: none; color: inherit; border: 0; }
.vfl-card tr { background: none; }
.vfl-card th, .vfl-card td { text-align: left; padding: 4px 18px 4px 0; border: 0; border-top: 1px solid var(--faint); vertical-align: top; background: none; }
.vfl-card tr > :last-child { padding-right: 0; }
.vfl-card thead th { border-top: 0; border-bottom: 1px solid var(--hair); color: var(--soft); font-weight: 500; font-size: .82rem; }
.vfl-card tbody th { font-weight: 500; } .vfl-card td.n, .vfl-card th.n { text-align: right; white-space: nowrap; }
.vfl-card td.strong { font-weight: 600; color: var(--joint); } .vfl-card details { margin-top: 8px; } .vfl-card summary { cursor: pointer; }
</style>"""


def card(title: str, says: str, *parts: str) -> str:
    """A title, a line below it, and parts made by `table` and `folded`."""
    below = f'<div class="says">{escape(says)}</div>' if says else ""
    return f'{STYLE}<div class="vfl-card"><div class="title">{escape(title)}</div>{below}{"".join(parts)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0, strong: int | None = None) -> str:
    """Rows of texts, of which the first names the row; numbers: how many of the last columns are aligned as such; strong: the column that stands out."""
    edge = len(head) - numbers

    def cell(tag: str, k: int, text: str) -> str:
        classes = " ".join(name for name, given in (("n", k >= edge), ("strong", k == strong and tag == "td")) if given)
        named = f' class="{classes}"' if classes else ""
        return f"<{tag}{named}>{escape(text)}</{tag}>"

    top = "".join(cell("th", k, text) for k, text in enumerate(head))
    body = "".join(
        f"<tr>{''.join(cell('td' if k else 'th', k, text) for k, text in enumerate(row))}</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def folded(summary: str, inside: str) -> str:
    """A part that opens on a click."""
    return f"<details><summary>{escape(summary)}</summary>{inside}</details>"


def progress(words: str, part: float | None, after: str) -> str:
    """A line with a bar; part: how much is done, None where that is not known."""
    filled = "" if part is None else f' value="{part:.3f}"'
    bar = f'<progress max="1"{filled} style="width:14em;vertical-align:middle"></progress>'
    return f'{STYLE}<div class="vfl-card">{bar} {escape(words)} <span class="says">{escape(after)}</span></div>'
