"""Of each kind of run the pages say what is so of it, and nothing that is so of other kinds only."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from protocols.message import registry
from tests.unit.vfl.evidence.conftest import RUN, the_report
from tests.unit.vfl.evidence.subjects import (
    aligned,
    answer,
    audit_of,
    averaged,
    line,
    page,
    spent,
    subject,
    text,
    trained,
)
from vfl.data.normalise import NORMALISERS
from vfl.evidence.about import About
from vfl.evidence.figures import figures
from vfl.evidence.pack import left_open
from vfl.evidence.resolved import PHRASES, learnt
from vfl.evidence.terms import GROUPS
from vfl.evidence.treatment import FORMS
from vfl.ledger import Signed
from vfl.run.budget.used import Told

SUMS = [line("from", "trustco", "OpenedSum", 300)] * 8 + [line("from", "trustco", "RelayedShares", 90)]


# -- averagings


def test_of_members_the_others_receive_sums_and_boxes_through_the_aggregator() -> None:
    s = subject(averaged(), *SUMS)
    south = next(block for block in page(s, "data-protection").blocks if block.id == "party-south")
    assert "north sends nothing to south itself. Through trustco, south receives the sums" in south.lead
    assert [row[2] for row in south.grids[0].rows] == ["OpenedSum", "RelayedShares"]
    assert "trustco sends each of them to every member that still takes part: south, west" in text(answer(s, 7))
    told = spent(s, told=[Told("trustco", revealed={"with those of the threshold: the sum": 8})])
    assert "The sums of this run reached south, west too" in text(answer(told, 9))
    assert "What north itself sent that tells something" in text(answer(told, 9))
    assert "reached" not in text(answer(subject(trained("network")), 9))


@pytest.mark.parametrize(("members", "needed"), [(3, 3), (10, 7)])
def test_of_members_the_threshold_is_a_number_and_so_is_who_may_drop_out(members: int, needed: int) -> None:
    names = ["north", "south", "west", *(f"m{k}" for k in range(7))][:members]
    s = subject(averaged(names), *SUMS)
    assert f"with those of {needed} members in all: the sum" in text(answer(s, 7))
    fails = text(answer(s, 10))
    assert f"needs {needed} of them to the end; no sum is of fewer than 3" in fails
    assert ("In this run no member may drop out" in fails) == (members == 3)
    assert ("One member may drop out" in fails) == (members == 10)
    assert "If trustco, which adds up, is gone" in fails
    assert "resumes with the same command" not in fails


def test_of_members_nobody_is_matched_and_names_of_columns_are_in_the_job() -> None:
    s = subject(averaged(), *SUMS)
    processing = page(s, "data-protection").blocks[0].lead
    assert "Nobody is matched, and no id is compared" in processing
    assert "blinded" not in processing
    assert "Their names are in the job, which all parties have" in text(answer(s, 2))
    assert "No other party learnt their names" not in text(answer(s, 2))
    assert "compute the other’s" in text(answer(subject(averaged(("north", "south"), min_members=2)), 2))
    found = text(answer(spent(s, ("models_per_label", "south", 1, 20)), 9))
    assert "the number of averagings of the same columns" in found
    assert "at the guest" not in found
    assert "at the guest" in text(answer(spent(subject(trained("network")), ("models_per_label", "telecom", 1, 20)), 9))


# -- alignments


def test_an_alignment_says_that_it_has_no_model_wherever_one_is_asked_for() -> None:
    s = subject(aligned(), line("from", "telecom", "BlindedIds"))
    assert answer(s, 4).lead.startswith("An alignment makes no model, so there is nothing to measure.")
    assert "there are no training rows" in answer(s, 5).lead
    assert "with the scores" not in text(answer(s, 5))
    assert "nothing to monitor" in answer(s, 11).lead
    assert "no list of common rows" in text(answer(s, 10))
    processing = page(s, "data-protection").blocks[0].lead
    assert "take part in an alignment of ids" in processing


def test_a_prediction_and_a_training_without_held_out_rows_say_why_nothing_is_compared() -> None:
    whole = trained("regression") | {"stability": {}, "metrics": {}}
    assert (
        answer(subject(whole), 5).lead == "No row was held out in this run, so none is compared with the training rows."
    )
    assert "is not known yet" in answer(subject(whole | {"purpose": "predict"}), 4).lead
    assert "holds no data, and so" in answer(subject(whole | {"role": "arbiter", "party": "trustco"}), 5).lead
    assert "does not compare held-out rows" in answer(subject(averaged()), 5).lead


# -- what messages declare


def test_the_phrases_that_are_resolved_are_those_of_messages() -> None:
    every = [kind.learns for kind in registry().values()]
    assert [phrase for phrase in PHRASES if not any(phrase in text for text in every)] == []


def learns(report: dict[str, Any], message: str) -> str:
    return learnt(registry()[message].learns, subject(report).run)


def test_what_a_message_tells_is_said_for_this_run() -> None:
    known = ("guest-weights-to-guest", "scores-to-guest")
    assert "and with the guest's own weights, which it knows" in learns(trained("scorecard", *known), "ArbiterScores")
    assert "but no party's own part" in learns(trained("regression", "scores-to-guest"), "ArbiterScores")
    one = learns(trained("regression"), "Scores")
    assert one.endswith("error. It tells something only together with what the arbiter sends")
    assert learns(trained("regression", "host-weights-to-host"), "Scores").endswith(
        "It is that host's own linear predictor"
    )
    several = trained("regression")
    several["job_file"] = several["job_file"] | {"parties": {"hosts": ["telecom", "shop"]}}
    assert learns(several, "Scores").endswith("Only the sum of all hosts tells something, and only together with what "
                                              "the arbiter sends")  # fmt: skip
    assert "with privacy" not in learns(trained("scorecard"), "MergedCounts")
    noisy = trained("scorecard")
    noisy["job_file"] = noisy["job_file"] | {"privacy": {"epsilon": 1}}
    assert "with privacy" in learns(noisy, "MergedCounts")
    assert "for counts" not in learns(trained("scorecard"), "EdgeShare")
    assert "for counts" in learns(trained("regression", outcome="count"), "EdgeShare")
    assert learns(trained("regression", job_file=None), "EdgeShare") == registry()["EdgeShare"].learns


# -- budgets, approvals, signatures, open fields


def test_a_budget_of_numbers_is_not_called_a_minimum_of_rows() -> None:
    s = spent(
        subject(trained("scorecard")),
        ("rows_per_label_number", "telecom", 41, 600),
        policy={"rows_per_label_number": 1},
    )
    found = text(answer(s, 9))
    assert "the limit is the number of training rows divided by this key of the policy. The key is 1" in found
    assert "minimum number" not in found


def test_labels_that_hosts_read_from_nodes_are_said_to_fall_under_no_budget() -> None:
    allowed = subject(trained("open", "partition-to-hosts"))
    assert "falls under no budget of numbers" in text(answer(allowed, 9))
    assert "falls under no budget" not in text(answer(subject(trained("sealed")), 9))


def test_what_a_signature_covers_and_why_a_partner_signed_nothing_is_said() -> None:
    lines = [
        {**line("to", "telecom", "Standing"), "seq": 0},
        line("to", "telecom", "BlindedIds"),
        line("to", "telecom", "Kept"),
    ]
    s = subject(aligned(), *lines)
    assert "nothing: bank and trustco exchanged no message directly in this run" in text(answer(s, 1))
    assert "nothing: this pack holds no signature of it" in text(answer(s, 1))
    signed = Signed({"sent": 0, "received": 1}, b"", b"")
    whole = dataclasses.replace(s, run=dataclasses.replace(s.run, signed={"telecom": signed}))
    found = text(answer(whole, 1))
    assert "1 of the 3 messages between both, by their hashes. The signature does not cover 1 in which" in found
    assert "and 1 after it was made" in found
    assert "the ledger names nobody" in found


def test_own_columns_without_a_meaning_are_open() -> None:
    about = About.model_validate({"data": {"columns": {"age": "age in years"}}})
    block = left_open(about, ("age", "limit"))
    assert ("data.columns: limit", "what this own column means") in block.grids[0].rows
    assert "the meanings of 1 of 2 columns" in block.lead
    assert not any("data.columns: age" in row[0] for row in block.grids[0].rows)


# -- why one person has a score, treatment, measures, stability, commands


@pytest.mark.parametrize("kind", ["sealed", "open"])
def test_of_trees_counts_of_splits_are_not_called_an_explanation(kind: str) -> None:
    found = text(answer(subject(trained(kind)), 6))
    assert "They do not explain the score of one person, and no party alone can" in found
    assert "What decides a score" not in found


def test_of_a_scorecard_weights_are_explained_and_the_table_of_points_is_said_to_be_left_out() -> None:
    report = trained("scorecard")
    report["model"] |= {"coefficients": [{"column": "age", "coef": -1.1}]}
    found = text(answer(subject(report), 6))
    assert "The table of points is not in this pack" in found
    assert "A weight above zero runs against the column’s own event rates" in found
    assert "Weights of bank’s weights of evidence" in found
    assert "Weights of bank’s weights of evidence" not in text(answer(subject(the_report()), 6))


def test_of_an_averaging_a_score_can_be_computed_but_for_the_means() -> None:
    block = answer(subject(averaged()), 6)
    assert ("Intercept", "0.3600") in block.facts
    assert block.grids[0].head == ("Column", "Weight", "Standard deviation")
    assert block.grids[0].rows[0] == ("age", "0.5000", "8.0000")
    assert "The means over all members’ rows are in the model’s file" in text(block)
    numbers = answer(subject(averaged(estimator="linear")), 6)
    assert numbers.grids[0].head == ("Column", "Weight")  # coef_raw holds the outcome's deviation too
    assert "intercept" not in figures(the_report() | {"model": the_report()["model"] | {"intercept": 0.5}})["model"]


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (trained("scorecard"), ("Fine bins of each column at most\n20", "replaced by its weight of evidence")),
        (trained("open"), ("Bins of each column at most, at quantiles of its owner’s training rows\n32",)),
        (trained("network"), ("standard deviation of its training rows",)),
        (averaged(), ("standard deviation of the training rows of all members",)),
        (aligned(), ("Key column, and how it was compared\nid (text: case, width",)),
    ],
    ids=["scorecard", "trees", "network", "averaging", "alignment"],
)  # fmt: skip
def test_how_columns_were_treated_is_said_of_every_kind(report: dict[str, Any], said: tuple[str, ...]) -> None:
    found = text(answer(subject(report), 2))
    assert [words for words in said if words not in found] == []


def test_layers_of_a_network_are_among_its_parameters() -> None:
    method = next(
        block for block in page(subject(trained("network")), "model-documentation").blocks if block.id == "method"
    )
    assert ("hidden layer sizes", "4") in method.facts


def test_every_normaliser_is_explained() -> None:
    assert {name.partition(":")[0] for name in NORMALISERS} <= set(FORMS)


def test_measures_say_how_rows_were_held_out_and_which_have_no_interval() -> None:
    found = text(answer(subject(trained("regression")), 4))
    assert "about 25.0 % of the rows, drawn with seed 7: the outcome" in found
    assert "by the columns of bank alone" in found
    assert "No interval is computed of KS and Log-loss" in found
    members = text(answer(subject(averaged()), 4))
    assert "north’s own training rows alone (figures.json calls it guest_alone)" in members
    assert "No interval" not in members


def test_stability_says_what_a_draw_does_and_why_the_score_is_not_in_it() -> None:
    report = trained("regression")
    assert "training rows were not scored" in text(answer(subject(report), 5))
    assert "It is the draw" not in text(answer(subject(report), 5))
    column = report["stability"]["columns"][0]
    shifted = report | {"stability": {"columns": [column | {"mark": "shifted"}], "score": None}}
    assert "age: held-out rows were drawn at random" in text(answer(subject(shifted), 5))
    scored = report | {"stability": {"columns": [column], "score": column | {"column": "score"}}}
    assert "The score is not compared" not in text(answer(subject(scored), 5))


def test_commands_name_what_they_need_and_nothing_else() -> None:
    found = text(answer(subject(trained("regression")), 12))
    assert "--about TEXTS" in found
    assert "MODEL" not in found
    assert "TABLE" not in found
    assert "results of attacks" not in found
    assert "results of attacks in audit/audit.json" in text(
        answer(subject(trained("regression"), audit=audit_of(1)), 12)
    )
    predicted = text(answer(subject(trained("regression") | {"purpose": "predict"}), 12))
    assert "MODEL the model’s folder, TABLE the file of new rows" in predicted


def test_the_entry_page_names_the_run() -> None:
    assert ("Run", RUN.hex()) in answer(subject(trained("network")), 1).facts


def test_no_term_means_two_things() -> None:
    names = [name.strip() for _, _, facts in GROUPS for key, _ in facts for name in key.split(",")]
    words = " ".join(value for _, _, facts in GROUPS for _, value in facts)
    assert len(names) == len(set(names))
    assert "PSI" not in words
    assert {"g", "h", "predictor", "residual", "lattice reduction", "pinned", "mutual TLS"} <= set(names)
