"""Which options of `vfl job new` belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from protocols.errors import ConfigError
from vfl.cli.files import job_new

MEMBERS = {"kind": "averaging", "member": ["a", "b", "c"], "column": ["age"]}
MATCHED = {"kind": "scorecard", "key": ["id"]}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (MEMBERS | {"key": ["id"]}, "kind averaging does not use --key. Leave it out"),
        (MEMBERS | {"host": ["x"], "guest": "y"}, "kind averaging does not use --host and --guest"),
        (MATCHED | {"member": ["a"]}, "kind scorecard does not use --member. Leave it out"),
        (MATCHED | {"column": ["age"], "label": "back"}, "kind scorecard does not use --column and --label"),
        (MEMBERS | {"column": None}, "--column is missing.*Give it once or more"),
    ],
)
def test_an_option_of_another_kind_is_refused(tmp_path: Path, given: dict[str, Any], text: str) -> None:
    """It is not ignored; without it, the same options write a file."""
    with pytest.raises(ConfigError, match=text):
        job_new(tmp_path / "job.toml", **given)
    assert not (tmp_path / "job.toml").exists()
    job_new(tmp_path / "job.toml", **(MEMBERS if given["kind"] == "averaging" else MATCHED))
    assert (tmp_path / "job.toml").exists()
