"""Question 8 says on what the attacks were made, as whom, and what their results mean: no more than is so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.vfl.evidence.subjects import aligned, answer, audit_of, averaged, page, spent, subject, text, trained
from vfl.attacks.alignments import Aligning
from vfl.attacks.attack import Attack
from vfl.attacks.averages import Averaged
from vfl.attacks.page import answer as answered
from vfl.attacks.page import render
from vfl.attacks.registry import ATTACKS
from vfl.attacks.scene import Run
from vfl.models.trees.spec import BoostedTrees


def standing(report: dict[str, Any], *numbers: int) -> dict[str, str]:
    grids = answer(subject(report, audit=audit_of(*numbers)), 8).grids
    return dict(next(grid.rows for grid in grids if grid.caption.startswith("Which attack stands")))


def test_a_twin_is_called_a_twin_wherever_attacks_are_named() -> None:
    s = subject(trained("regression"), audit=audit_of(1, 7))
    found = text(answer(s, 8))
    assert "The attacks were made on a twin of this run, and not on its own messages" in found
    assert "checks of the messages that bank recorded in this run" in found
    for words in ("each coalition", "This run, or a twin of it"):
        assert words not in found
    risks = next(block for block in page(s, "data-protection").blocks if block.id == "risks")
    assert "a twin of this run" in risks.lead
    assert "tried on this run" not in risks.lead
    assert "attacks on this run" not in text(answer(s, 12))
    of_itself = subject(trained("regression"), audit=audit_of(1, source="this run"))
    assert answer(of_itself, 8).lead.startswith("The attacks were made on this run, as those who are listed below")


def test_without_an_audit_no_page_names_attacks_that_were_made() -> None:
    risks = next(b for b in page(subject(trained("regression")), "data-protection").blocks if b.id == "risks")
    assert risks.lead.endswith("No attack was tried on this run.")


@pytest.mark.parametrize(
    ("report", "numbers", "tried", "untried"),
    [
        (trained("regression"), (1, 7), {"arbiter and guest": "7 · "}, ("arbiter and any host",)),
        (trained("sealed"), (1, 9, 10), {}, ("arbiter and a host", "arbiter and guest")),
        (trained("open"), (9, 10), {"a host by itself": "9 · ", "the guest by itself": "10 · "}, ()),
        (trained("network"), (7, 14), {"arbiter and guest": "7 · "}, ("arbiter and host",)),
        (averaged(), (18,), {}, ("all but one member of a sum", "the arbiter by itself, if it deviates")),
        (aligned(), (1, 16), {}, ("a data party by itself, with a list of its choice",)),
    ],
    ids=["regression", "sealed", "open", "network", "averaging", "alignment"],
)  # fmt: skip
def test_every_line_of_question_7_has_its_attack_or_is_said_to_have_none(
    report: dict[str, Any], numbers: tuple[int, ...], tried: dict[str, str], untried: tuple[str, ...]
) -> None:
    found, s = standing(report, *numbers), subject(report, audit=audit_of(*numbers))
    table = next(grid for grid in answer(s, 7).grids if grid.caption.startswith("If parties"))
    assert list(found) == [row[0] for row in table.rows]
    assert all(found[who].startswith(start) for who, start in tried.items())
    assert all(found[who] == "none was tried: assume that they learn what question 7 says" for who in untried)


def test_guessed_ids_are_in_question_7_of_a_training_too() -> None:
    assert "a data party by itself, with a list of its choice" in text(answer(subject(trained("network"),
                                                                                    {"type": "x"}), 7))  # fmt: skip
    sentence = next(one["sentence"] for one in audit_of(1)["attacks"])
    assert "in what it received" in sentence


def test_of_open_trees_a_result_above_the_bound_is_what_the_job_permits() -> None:
    audit = audit_of(1, 9, over=(9,), expected="membership = open", reason="fixed for sealed trees")
    found = text(answer(subject(trained("open"), audit=audit), 8))
    assert "no: above the bound, as the job permits" in found
    assert (
        "as was to be expected: the bound is of jobs without these permissions. The job has membership = open" in found
    )
    said = answered(audit)
    assert said == "Attack 9: result is above its bound, as the job permits. Every control succeeded."
    audit["about"] |= {
        "kind": "boosted-trees",
        "rows": 9,
        "columns": {},
        "made": "2026-11-20T12:00:00+00:00",
        "version": "1",
    }
    shown = render(audit)
    assert "fixed for sealed trees" in shown
    assert "or a control failed" not in shown
    unexpected = audit_of(1, 9, over=(9,))
    assert answered(unexpected) == "Attack 9: result is above its bound. Every control succeeded."
    assert "as was to be expected" not in text(answer(subject(trained("sealed"), audit=unexpected), 8))
    assert "Every control succeeded" in answered(audit_of(1))
    assert "does not hold: a check." in answered(audit_of(1) | {"checks": [{"check": "a check", "holds": False}]})
    assert "Attack 1: control failed" in answered(
        {"checks": [], "attacks": [{"number": 1, "works": False, "holds": False}]}
    )


def test_an_attack_by_a_budget_says_which_one_it_was_made_with() -> None:
    card = subject(trained("scorecard"), audit=audit_of(17))
    assert "one number computed from labels for 50 labels, the default" in text(answer(card, 8))
    many = text(answer(spent(card, ("rows_per_label_number", "telecom", 41, 600)), 8))
    assert "Hosts have learnt 41 such numbers from the labels of 600 training rows, in all runs: more than" in many
    few = text(answer(spent(card, ("rows_per_label_number", "telecom", 12, 12)), 8))
    assert "Hosts have learnt 12 such numbers from the labels of 600 training rows, in all runs." in few


def test_the_value_of_a_guess_and_what_a_control_needs_stand_in_the_table() -> None:
    block = answer(subject(trained("regression"), audit=audit_of(5)), 8)
    table = next(grid for grid in block.grids if grid.caption == "Attacks that were tried")
    row = dict(zip(table.head, table.rows[0], strict=True))
    assert (row["A guess gets"], row["Bound"], row["Holds"]) == ("0.500", "0.550", "yes")
    assert row["Control"].endswith(f"needs {audit_of(5)['attacks'][0]['succeeds']:.3f}")
    assert "its result, a mean, is at most its bound" in block.lead


@pytest.mark.parametrize("attack", [one for one in ATTACKS if one.number in (9, 10)], ids=lambda one: str(one.number))
def test_bounds_of_sealed_trees_are_not_explained_by_what_open_trees_do_not_do(attack: Attack) -> None:
    def scene(membership: str) -> Any:
        return SimpleNamespace(asked=SimpleNamespace(estimator=BoostedTrees(membership=membership)))

    assert attack.texts(scene("sealed")) == {}
    texts = attack.texts(scene("open"))
    assert texts["reason"].startswith("fixed for sealed trees")
    assert texts["expected"].startswith('membership = "open" and the permission ')


@pytest.mark.parametrize("kind", [Averaged, Aligning])
def test_every_attack_has_a_reason_of_its_own_not_to_be_tried(kind: type[Run]) -> None:
    """Twelve is a check of the transcript too; of members nothing but the number 18 fits."""
    assert 12 in kind.reasons
    assert set(kind.reasons) <= {one.number for one in ATTACKS if kind not in one.on}
    assert not any("hospital" in one.sentence for one in ATTACKS)
