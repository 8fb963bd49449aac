"""What `vfl node publish` refuses before anything is sent."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from protocols.errors import ConfigError, DataError, DisclosureRefused, VFLError
from protocols.online.lists import MOST_BITS
from tests.promises.processes.institutions import KEY
from tests.unit.vfl.node.conftest import Bank
from vfl.job import load_job, load_party
from vfl.node.online import process

MODEL = Path("model")


@pytest.mark.parametrize(
    ("who", "old", "new", "error", "what"),
    [
        (
            "bank",
            'directory = "runs"',
            'directory = "runs"\ntranscript = true',
            ConfigError,
            "run.transcript",
        ),
        ("bank", "queries_per_partner_per_day = 10000", "queries_per_partner_per_day = 0", DisclosureRefused, "is 0"),
        ("job", f'keys = [["{KEY}"]]', f'keys = [["{KEY}"], ["{KEY}", "mail"]]', ConfigError, "several keys"),
        ("job", 'arbiter = "trustco"', "", VFLError, "arbiter"),
    ],
)
def test_what_cannot_be_published(bank: Bank, who: str, old: str, new: str, error: type[VFLError], what: str) -> None:
    file = bank.job if who == "job" else bank.file
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(error, match=what):
        process.check(load_job(bank.job), load_party(bank.file), MODEL)


@pytest.mark.parametrize(("rows", "refused"), [(0, True), (1, False), (2**MOST_BITS, False), (2**MOST_BITS + 1, True)])
def test_a_list_that_is_too_long_is_refused(
    bank: Bank, rows: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Any = SimpleNamespace(ready=SimpleNamespace(table=range(rows)))
    for name, does in (("own_part", None), ("check_part", None), ("prepare", read)):
        monkeypatch.setattr(process, name, lambda *_, does=does: does)
    party = load_party(bank.parties.file("telecom"))
    if not refused:
        process.check(load_job(bank.job), party, MODEL)
        return
    with pytest.raises(DataError, match=f"{rows:,} customers cannot be published") as error:
        process.check(load_job(bank.job), party, MODEL)
    assert error.value.party == "telecom"
