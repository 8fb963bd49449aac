"""What pages of examples share: their code is executed, and its result is written into the page and into a picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
STYLE = (
    "<style>svg{font:12px sans-serif;background:#fff}.axis,.grid{stroke:#ccc}.grid{stroke:#eee}.tick,.label,.key"
    "{fill:#444}"
    ".end{text-anchor:end}.middle{text-anchor:middle}.dot.joint{fill:#0b6e4f}.dot.alone{fill:#fff;stroke:#b3541e;"
    "stroke-width:2}.line{stroke-width:3;fill:none}.line.joint{stroke:#0b6e4f}.line.alone{stroke:#b3541e}"
    ".area.joint{fill:#0b6e4f}.area.alone{fill:#e6c9b5}.note{fill:#444}.whisker{stroke-width:1.5}.whisker.joint{stroke:#0b6e4f}"
    ".whisker.alone{stroke:#b3541e}.chance{stroke:#999;stroke-dasharray:2 4}</style>"
)
RESULT = re.compile(r"(<!-- result -->\n).*(<!-- end of result -->)", re.DOTALL)


def executed(page: Path) -> dict[str, Any]:
    """What the Python code of a page leaves."""
    names: dict[str, Any] = {}
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
    exec(compile(code, str(page), "exec"), names)  # noqa: S102 (our own page)
    return names


def alone(svg: object) -> str:
    """A drawing of a report as a file of its own."""
    text = str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return re.sub(r"(<svg [^>]*>)", lambda found: found.group(1) + STYLE, text, count=1) + "\n"


def write(page: Path, picture: Path, table: str, drawn: str) -> None:
    """Puts table and picture where the page has them."""
    page.write_text(
        RESULT.sub(lambda found: found[1] + table + found[2], page.read_text(encoding="utf-8")), encoding="utf-8"
    )
    picture.write_text(drawn, encoding="utf-8")
