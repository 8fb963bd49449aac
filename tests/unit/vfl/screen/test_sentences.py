"""Lists and counts read as a person would write them."""

from __future__ import annotations

import io

import msgspec
import pytest

from vfl.screen.console import Console
from vfl.screen.events import Event
from vfl.screen.progress import ConsoleWatch, worded
from vfl.screen.sentences import counted, listed

THREE = ["telecom", "shop", "trustco"]
WAITS = Event(
    time="2026-11-20T11:42:07+00:00", event="waits", job="credit", party="bank", attempt=1, phase="connect",
    missing=THREE,
)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists(words: list[str], text: str) -> None:
    assert listed(words, "and") == text


def test_counts() -> None:
    assert [counted(n, "row") for n in (0, 1, 2, 1200)] == ["0 rows", "1 row", "2 rows", "1,200 rows"]


def test_progress_names_all_that_are_waited_for_with_commas() -> None:
    assert worded(WAITS).endswith("; waiting for telecom, shop and trustco")
    assert worded(msgspec.structs.replace(WAITS, missing=THREE[:1])).endswith("; waiting for telecom")
    with ConsoleWatch(Console(file=io.StringIO(), width=100)) as watch:
        watch.phase_begins("connect")
        watch.event(WAITS)
        (task,) = watch._progress.tasks
        assert task.description == "waiting for telecom, shop and trustco"
