"""The section of a search: every candidate and fold, the one that was chosen, and what that disclosed."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from rich.console import Console

from tests.unit.vfl.report.html_page import Page
from tests.unit.vfl.report.searched import SCORED, SCORES, SEARCH
from vfl.report import render
from vfl.report.page import as_csv
from vfl.report.terminal import print_summary


def test_the_guests_page_has_each_fold_and_what_it_disclosed(guest_result: dict[str, Any]) -> None:
    page = Page(render(guest_result | {"search": SCORED}))
    assert "search" in page.ids
    assert "C 0.1 0.7500 0.0500 0.7000 0.8000" in page.words
    assert "C 1.0 0.7650 0.0450 0.7200 0.8100 chosen" in page.words
    assert "Fold 1 430 rows" in page.words
    assert (
        "In 4 openings the guest learnt 1,800 rounded scores; nobody learnt a weight of these 4 models." in page.words
    )
    assert "search" not in Page(render(guest_result)).ids


def test_a_host_is_shown_the_choice_alone(host_result: dict[str, Any]) -> None:
    page = Page(render(host_result | {"search": SEARCH}))
    assert "C 1.0 chosen" in page.words
    assert "0.76" not in page.words


def test_of_trees_the_page_says_that_every_fold_told(guest_result: dict[str, Any]) -> None:
    page = Page(render(guest_result | {"search": SCORED | {"models_told": 5}}))
    assert (
        "From each of the 4 models of the folds, hosts and guest learnt what they learn from a model; with "
        "the last one, 5 count against" in page.words
    )


def test_a_single_candidate_is_cross_validated(guest_result: dict[str, Any]) -> None:
    one = {"candidates": [{}], "trainings": 3, "best": 0, "scores": SCORES[:1], "mean": [0.75], "sd": [0.05]}
    page = Page(render(guest_result | {"search": SCORED | one}))
    assert "Cross-validation" in page.words
    assert "as in [model] 0.7500" in page.words
    assert "chosen" not in page.words


def test_the_terminal_and_the_csv_have_the_means(guest_result: dict[str, Any], tmp_path: Any) -> None:
    out = io.StringIO()
    print_summary(guest_result | {"search": SCORED}, Console(file=out, width=100), tmp_path)
    assert "On 2 folds of the training rows, by AUC" in " ".join(out.getvalue().split())
    rows = list(csv.reader(io.StringIO(as_csv(guest_result | {"search": SCORED}))))
    assert ["search", "", "C 1.0", "mean", "0.765"] in rows


@pytest.mark.parametrize("missing", ["best", "scores"])
def test_an_arbiters_page_needs_nothing_more(arbiter_result: dict[str, Any], missing: str) -> None:
    known = {k: v for k, v in SEARCH.items() if k not in ("best", "fold_rows", missing)}
    assert (
        "a rounded score of each training row for every candidate"
        in Page(render(arbiter_result | {"search": known})).words
    )
