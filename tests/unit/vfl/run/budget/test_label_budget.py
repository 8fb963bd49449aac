"""How many models of one label a guest has fitted: what counts as the same labels, and that the limit holds."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.errors import DisclosureRefused
from protocols.randomness import run_seed
from vfl.data import Table, table_from_frame
from vfl.job import Party, load_party
from vfl.job.setup import init_party
from vfl.run.budget import SKETCH, Budget, overlap
from vfl.run.budget import table as counting

NOW = datetime.datetime(2026, 3, 5, tzinfo=datetime.UTC)
ROWS = 2000


def table(rows: slice = slice(0, ROWS), changed: int = 0, key: str = "id", normalise: str = "text") -> Table:
    label, numbers = np.arange(2 * ROWS) % 3 == 0, range(2 * ROWS)
    label[:changed] = ~label[:changed]
    ids = {
        "id": [f"{'C' if normalise == 'exact' else 'c'}{i}" for i in numbers],
        "email": [f"u{i}@x.org" for i in numbers],
    }
    frame = pd.DataFrame({key: ids[key], "default": label.astype(int), "age": np.arange(2 * ROWS) * 0.1}).iloc[rows]
    return table_from_frame(
        frame.sample(frac=1, random_state=3),
        party="bank",
        keys=[key],
        normalise={key: normalise},
        duplicates="error",
        label="default",
        columns=None,
    )


@pytest.fixture
def party(tmp_path: Path) -> Party:
    init_party(tmp_path / "bank", "guest", "bank")
    found = load_party(tmp_path / "bank" / "party.toml")
    found.run.directory.mkdir()
    return found.model_copy(update={"policy": found.policy.model_copy(update={"models_per_label": 2})})


def fitted(party: Party, labels: Table | None, partner: str = "telecom") -> None:
    trained(party, labels, run_seed(), NOW, partner)


def trained(party: Party, labels: Table | None, run: bytes, now: datetime.datetime, partner: str = "telecom") -> None:
    """A run that begins, and trains."""
    budget = Budget(party, "run", labels)
    budget.charge([partner], run, now)
    budget.allowance(run, [partner]).training({}, 0)


SAME = {
    "the same rows in another order": table(),
    "a row less": table(slice(1, ROWS)),
    "a fifth of the labels turned": table(changed=ROWS // 5),
    "a third of the rows left out": table(slice(ROWS // 3, ROWS)),
    "all labels turned": table(changed=2 * ROWS),
    "ids in capitals": table(normalise="exact"),
    "another key, and the same numbers": table(key="email"),
    "another key, and all labels turned": table(changed=2 * ROWS, key="email"),
}
OTHER = {
    "other rows": table(slice(ROWS, 2 * ROWS)),
    "other rows under another key": table(slice(ROWS, 2 * ROWS), key="email"),
}


@pytest.mark.parametrize("labels", SAME.values(), ids=SAME)
def test_a_model_of_the_same_labels_beyond_the_limit_is_refused(party: Party, labels: Table) -> None:
    fitted(party, table())
    fitted(party, labels)
    with pytest.raises(
        DisclosureRefused, match=r"2 models of these labels were trained with telecom, and policy.models_per_label is 2"
    ) as refused:
        Budget(party, "run", labels).check(["telecom"])
    assert refused.value.party == "bank"
    with pytest.raises(DisclosureRefused):
        fitted(party, labels)
    fitted(party, labels, "shop")  # another partner has seen none
    fitted(party, None)  # a prediction fits nothing


@pytest.mark.parametrize("labels", OTHER.values(), ids=OTHER)
def test_other_labels_begin_a_count_of_their_own(party: Party, labels: Table) -> None:
    fitted(party, table())
    fitted(party, table())
    fitted(party, labels)
    fitted(party, labels)
    with pytest.raises(DisclosureRefused):
        fitted(party, labels)


def test_the_estimate_is_right_to_its_stated_error() -> None:
    rng, off = np.random.default_rng(0), []
    for _ in range(50):
        values = rng.integers(0, 2**63, 9000).astype(np.uint64)
        first, second = (np.sort(part)[:SKETCH] for part in (values[:6000], values[3000:]))
        off.append(overlap(first, second) - 1 / 3)
    assert np.abs(np.mean(off)) < 0.02
    assert np.std(off) < 0.04
    assert overlap(np.zeros(0, np.uint64), np.zeros(0, np.uint64)) == 0.0


def test_a_run_counts_once(party: Party) -> None:
    """Its name decides, not when or how often it is said: two of them reach the limit, however often each comes
    back."""
    now = datetime.datetime.now(datetime.UTC)
    for _ in range(3):
        for run in (bytes(16), bytes([1]) * 16):
            trained(party, table(), run, now)
    assert Budget(party).used("telecom") == 2
    with pytest.raises(DisclosureRefused):
        trained(party, table(), bytes([2]) * 16, now)
    assert Budget(party).used("telecom") == 2


def test_numbers_that_few_rows_have_alone_do_not_make_labels_the_same(party: Party) -> None:
    """A column of 50 values, as in any other table: under other ids these are other customers."""

    def of(ids: str) -> Table:
        found = table(key=ids)
        return dataclasses.replace(found, features=found.features.assign(age=np.arange(ROWS) % 50 * 1.0))

    for labels in (of("id"), of("id"), of("email"), of("email")):
        fitted(party, labels)


def test_sketches_of_pairs_of_id_and_label_let_turned_labels_through(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: as releases before format 4 counted."""
    monkeypatch.setattr(counting, "sketches_of", lambda table, key: (counting.paired(table, key),))
    for labels in (
        table(),
        table(),
        *[SAME[name] for name in ("all labels turned", "another key, and all labels turned")],
    ):
        fitted(party, labels)
