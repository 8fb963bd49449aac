"""Budgets between real processes: who refuses, with which words, and that what was refused has not left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.promises.processes.institutions import Ended, Institutions
from tests.promises.processes.test_predict import new_tables, predicted


def allow(parties: Institutions, permit: str) -> None:
    """In the job and in every policy."""
    for file in (parties.job, *map(parties.file, parties.roles)):
        file.write_text(file.read_text().replace("allow = [\n", f'allow = [\n  "{permit}",\n', 1))


def sent(parties: Institutions, name: str, kind: str) -> int:
    """How many messages of this kind the ledgers of a party say that it sent."""
    lines = [
        json.loads(line)
        for path in (parties.folder / name).rglob("ledger.jsonl")
        for line in path.read_text().splitlines()
    ]
    return sum(line.get("message") == kind and "to" in line for line in lines)


def others_name(ended: dict[str, Ended], who: str) -> None:
    """All others stopped too, and say because of whom."""
    assert all(e.code and who in e.err and "disclosure-refused" in e.err for name, e in ended.items() if name != who), (
        ended
    )


@pytest.mark.slow
def test_more_weights_for_a_host_than_its_rows_allow(parties: Institutions) -> None:
    """48 training rows allow no number that is computed from their labels: nobody computes one."""
    parties.lay_out(settings={"policy": {"score_vectors": 9, "rows_per_label_number": 50}})
    allow(parties, "host-weights-to-host")
    ended = parties.together()
    said = (
        r"bank: telecom would learn 2 numbers computed from these labels \(weights\), hosts learnt 0 before, "
        r"and \d+ training rows allow 0"
    )
    ended["bank"].says(6, said, "policy.rows_per_label_number is 50", "Use more rows")
    others_name(ended, "bank")
    assert sent(parties, "trustco", "HostWeights") == 0
    assert sent(parties, "bank", "Residual") == 0 < sent(parties, "telecom", "Columns")


@pytest.mark.slow
def test_a_host_opens_no_more_than_its_budgets(parties: Institutions) -> None:
    """One score vector of two columns, and one score of each row: a second prediction of the rows and a second model
    are refused."""
    parties.lay_out(settings={"policy": {"rows_per_label_number": 1}}, test=0.0)
    models: dict[str, Path] = parties.models(parties.done())
    new_tables(parties)
    assert [e.code for e in predicted(parties, models).values()] == [0, 0, 0]
    scored = sent(parties, "telecom", "Scores")
    again = predicted(parties, models)
    again["telecom"].says(
        6,
        "42 of the rows to be scored were scored by this model for bank 1 times this month",
        "policy.scores_per_row is 1",
    )
    others_name(again, "telecom")
    assert sent(parties, "telecom", "Scores") == scored > 0
    parties.job.write_text(parties.job.read_text().replace("seed = 7", "seed = 8").replace("test = 0.0", "test = 0.25"))
    messages = parties.sent("telecom")
    words = (
        "1 score vectors of these 2 columns were opened to bank, this run opens 1 more",
        "policy.score_vectors is 1",
        "raise policy.score_vectors",
    )
    for command in (("run", "--progress", "none"), ("check",)):
        parties.here(*command, parties.job, parties.file("telecom")).says(6, *words)
    assert parties.sent("telecom") == messages  # before anything is sent
