"""What the page of an alignment is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vfl.report.words import number
from vfl.screen.sentences import listed

SAME = (
    "format",
    "job",
    "job_digest",
    "job_file",
    "run",
    "party",
    "role",
    "started",
    "phases",
    "peak_memory",
    "disclosure",
    "resumed",
    "privacy",
    "environment",
)


def as_result(content: Mapping[str, Any]) -> dict[str, Any]:
    """What the page is made of: the content of alignment.json under the names of report.json."""
    found: dict[str, Any] = {key: content[key] for key in SAME if key in content} | {"purpose": "align"}
    if "rows" not in content:  # the arbiter's
        return found
    matched = {" + ".join(key["columns"]): key["matched"] for key in content["by_key"]}
    alignment = {"intersection": content["common"], "rows": content["rows"], "repeated": content["repeated"]}
    return found | {
        "alignment": alignment | ({"by_key": matched} if len(matched) > 1 else {}),
        "file": content["file"],
    }


def aligning(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the section Alignment says first on the page of an alignment; nothing on any other page."""
    if result.get("purpose") != "align":
        return {}
    party, told = str(result.get("party")), result.get("alignment") or {}
    common = told.get("intersection")
    if common is None:
        return {"lead": f"{party} compared ids that were encrypted for it. It saw no id and no row."}
    others = [str(name) for name in told["rows"] if name != party]
    whole = told["rows"].get(party)
    of = "" if whole is None else f" of {party}’s {number(whole)}"
    known = f"{number(common)}{of} row{'' if (common if whole is None else whole) == 1 else 's'}"
    known = f"About {known}" if result.get("privacy") else known
    return {
        "lead": f"{known} {'is' if common == 1 else 'are'} known to {listed(others, 'and')} too.",
        "share": common / whole if whole else None,
        "file": result.get("file"),
    }
