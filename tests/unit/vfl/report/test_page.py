"""Does every party get a page that is complete, and the same numbers as JSON?"""

from __future__ import annotations

import copy
import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from protocols.errors import ConfigError, ModelError
from protocols.message import registry
from tests.unit.vfl.report.conftest import other_kind
from tests.unit.vfl.report.html_page import Page
from vfl.job.permits import PERMITS, SCORING
from vfl.metrics import binary_metrics, plot_series
from vfl.report import read_report, render, write_report
from vfl.report.page import as_csv


def test_both_files_are_written_and_json_holds_the_contract(guest_result, tmp_path):
    path = write_report(tmp_path / "run", guest_result)
    assert path == tmp_path / "run" / "report.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found == guest_result
    assert read_report(path.parent) == found
    assert {
        "format",
        "job",
        "job_digest",
        "role",
        "alignment",
        "metrics",
        "phases",
        "disclosure",
        "environment",
    } <= set(found)
    assert sorted(p.name for p in path.parent.iterdir()) == ["report.csv", "report.html", "report.json"]
    assert {p.stat().st_mode & 0o777 for p in path.parent.iterdir()} == {0o600}
    assert (path.parent / "report.html").read_text(encoding="utf-8") == render(found)


def test_numpy_values_and_undefined_numbers_become_plain_json(arbiter_result, tmp_path):
    arbiter_result["model"] = {
        "cores": np.int64(2),
        "nan": float("nan"),
        "list": np.arange(2),
        "path": Path("x"),
        "set": {1},
    }
    found = json.loads(write_report(tmp_path, arbiter_result).read_text(encoding="utf-8"))
    assert found["model"] == {"cores": 2, "nan": None, "list": [0, 1], "path": "x", "set": [1]}


def test_the_guest_reads_the_answer_first(guest_result):
    page = Page(render(guest_result))
    assert page.sections() == ["answer", "alignment", "model", "evaluation", "disclosure", "cost", "run"]
    numbers = guest_result["metrics"]["test"]
    for name in ("auc", "ks", "log_loss"):
        assert f"{numbers['joint'][name]:.3f}" in page.text
        assert f"{numbers['guest_alone'][name]:.3f}" in page.text
    assert "With the columns of telecom, the model is better on held-out rows than with bank’s alone." in page.words
    assert "900 rows are common to all" in page.words
    assert "taylor" in page.text
    for text in (
        "Revealed",
        "Blinded",
        "Sealed",
        "Public",
        "which of its own ids are common to all parties",
        "1 min 15 s",
        "40.0 MB",
        "ab" * 32,
    ):
        assert text in page.words


def test_a_full_result_fills_every_section(full_result):
    page = Page(render(full_result))
    sections = [
        "answer",
        "alignment",
        "columns",
        "features",
        "model",
        "evaluation",
        "search",
        "stability",
        "disclosure",
        "cost",
        "card",
        "run",
    ]
    assert page.sections() == sections
    assert [a["href"] for t, a in page.tags if t == "a"] == [f"#{name}" for name in sections]
    auc = full_result["uplift"]["test"]["measures"]["auc"]
    assert f"95 % interval {auc['low']:+.3f} to {auc['high']:+.3f}" in page.words.replace("−", "-")
    assert "paired bootstrap: 1,000 draws of the rows, seed 0" in page.words
    for words in (
        "At a cut-off", "scores-to-guest", "arbiter and guest", "ab" * 32, "cd" * 32, '"seed": 7', "“bad” rather than “good”", "joint score", "shifted",  # noqa: E501
        "400 rows that all data parties know", "200 because they are out of time", "3 rows of bank’s table repeated", "phone + birth_date 60 6.7", "98,412,345 products", "strong", "left out: one value only", "base points are 512", "600 points at odds of 20 to 1", "-29",  # noqa: E501
    ):  # fmt: skip
        assert words in page.words.replace("−", "-"), words
    moved = [line["column"] for line in sorted(full_result["stability"]["columns"], key=lambda line: -line["psi"])]
    at = page.words.index("Stability Held-out")
    assert page.words.index("joint score", at) < page.words.index(moved[0], at) < page.words.index(moved[1], at)
    later = full_result["metrics"]["out_of_time"]["joint"]["auc"]
    assert f"On out-of-time rows AUC {later:.3f}" in page.words
    assert page.words.count("ROC curve") == 2
    assert "Out-of-time rows What PSI" in page.words


@pytest.mark.parametrize(("role", "permit"), [("guest", "guest-weights-to-guest"), ("host", "host-weights-to-host")])
def test_weights_that_stay_shared_are_explained_with_the_way_to_change_it(guest_result, role, permit):
    del guest_result["model"]["coefficients"], guest_result["model"]["intercept"]
    without = Page(render(guest_result))
    assert "model" not in without.ids  # the planted line: nothing is said where nothing is known of it
    shared = guest_result | {"role": role, "model": guest_result["model"] | {"weights_known": False}}
    text = " ".join(render(shared).split())
    assert "There are no coefficients to show: each is shared between bank and the arbiter" in text
    assert f"<code>{permit}</code>" in text
    assert "weights known" not in text
    card = " ".join(render(shared | {"model": shared["model"] | {"kind": "scorecard"}}).split())
    assert "There are no points and coefficients to show" in card


def test_coefficients_of_several_classes_and_of_a_standardised_outcome_say_so(guest_result):
    rows = [{"column": "age", "coef": c, "coef_raw": c, "class": name} for c, name in ((0.5, "van"), (-0.9, "bus"))]
    guest_result["model"] |= {"coefficients": rows, "intercept": None, "link": "exact"}
    words = Page(render(guest_result)).words
    assert words.index("age, bus against the rest") < words.index("age, van against the rest")
    assert len(as_csv(guest_result).split("age bus,coef,")) == 2
    guest_result["model"] |= {
        "kind": "linear-regression",
        "coefficients": [{"column": "age", "coef": 0.5, "coef_raw": 0.1}],
        "label_scale": 12500.0,
    }
    words = Page(render(guest_result)).words
    assert "in standard deviations of the outcome" in words
    assert "One standard deviation of the outcome is 12,500." in words


@pytest.mark.parametrize(
    ("outcome", "first", "plots", "further"),
    [
        ("numeric", "R2", 2, "RMSE"),
        ("count", "D2", 2, "Poisson deviance"),
        ("multiclass", "Accuracy", 0, "assigned to bus"),
    ],
)
def test_every_kind_of_outcome_has_its_own_page(outcome, first, plots, further):
    html = render(other_kind(outcome))
    page = Page(html)
    assert page.sections() == ["answer", "alignment", "model", "evaluation", "disclosure", "cost", "card", "run"]
    assert "With the columns of telecom, the model is better on held-out rows" in page.words
    assert page.words.index(first) < page.words.index(further)
    assert "KS" not in page.words
    assert len([1 for tag, attrs in page.tags if attrs.get("class") == "plot"]) == plots
    assert page.words.index("telecom all columns 52.00 71") < page.words.index("bank limit 31.50 44")
    assert "nan" not in re.sub(r"<style>.*?</style>", "", html, flags=re.S).lower()


def test_a_prediction_says_how_many_rows_were_scored_and_whether_they_moved(full_result):
    kept = (
        "job",
        "job_digest",
        "party",
        "parties",
        "phases",
        "disclosure",
        "model",
        "environment",
        "stability",
        "started",
    )
    result = {key: full_result[key] for key in kept} | {
        "purpose": "predict",
        "role": "guest",
        "alignment": {"guest_rows": 60, "host_rows": None, "intersection": 42},
    }
    result["stability"] = {key: result["stability"][key] for key in ("columns", "score")}
    page = Page(render(result))
    assert "The joint model scored 42 of bank’s 60 rows; the others are not known to all parties." in page.words
    assert "New rows compared with training rows" in page.words
    assert "Only the guest can measure" not in page.words
    assert "card" not in page.sections()
    assert (
        "contributed its columns to score new rows" in Page(render(result | {"role": "host", "party": "telecom"})).words
    )


def test_a_prediction_repeats_neither_training_nor_what_its_first_section_says(full_result):
    known = {"guest_rows": 60, "host_rows": None, "intersection": 42}
    new = {"rows": 60, "scored": 42, "left_out": 0, "missing": {}, "unseen": {}, "unknown": 18}
    page = Page(render(full_result | {"purpose": "predict", "prediction": new, "alignment": known}))
    assert "alignment" not in page.sections()
    assert "What could be learnt together" not in page.words
    assert "What the job reveals when rows are scored" in page.words
    told = known | {"host_rows": 70}
    page = Page(render(full_result | {"purpose": "predict", "prediction": new, "alignment": told}))
    assert "alignment" in page.sections()


def test_permissions_of_a_prediction_are_those_that_its_messages_can_need():
    modules = r"protocols\.(alignment\.(ecdh|ring)|glm\.scoring|boosting\.(scoring|walk))"
    needed = {m.permit for m in registry().values() if m.permit and re.fullmatch(modules, m.__module__)}
    assert needed - {"intersection-size-to-parties"} == SCORING - {"few-columns"}  # no message is about few columns
    assert set(PERMITS) >= SCORING


def test_one_process_and_one_cut_off_are_called_by_name(full_result):
    local = {"job": "local federation", "job_digest": "none: made in one process", "party": "guest", "job_file": {}}
    made = {"kind": "logistic-regression", "passes": 200, "passes_made": [20], "settled": True}
    page = Page(render(full_result | local | {"model": full_result["model"] | made}))
    assert page.words.startswith("Logistic regression: report of guest Logistic regression")
    assert "Report of the guest, which holds the outcome" in page.words
    assert "All parties ran in one process" in page.words
    assert "Digest of the job file" not in page.words
    assert "iterations 20 of at most 200" in page.words
    assert "settled" not in page.words
    assert "Accuracy at 0.5" in page.words
    assert "Accuracy at 0.5" not in Page(render(other_kind("multiclass"))).words


def test_a_chosen_cut_off_is_shown(full_result):
    series = full_result["plots"]["test"]["joint"]["cutoffs"]
    full_result["cutoff"] = 0.3
    words = Page(render(full_result)).words
    flagged, missed = series["events"][60], series["events"][0] - series["events"][60]
    assert "Rows that score 0.300 or more are flagged" in words
    assert f"joint {flagged} {missed} {series['non_events'][60]}" in words


def test_a_difference_that_could_be_chance_is_called_so(full_result):
    for bounds in full_result["uplift"]["test"]["measures"].values():
        bounds |= {"low": -0.01, "high": 0.02}
    words = Page(render(full_result)).words
    assert "the columns of telecom make no clear difference" in words
    assert words.count(", no clear difference") == 3


def test_the_csv_holds_the_numbers_of_the_json(full_result):
    lines = list(csv.DictReader(io.StringIO(as_csv(full_result))))
    found = {(r["section"], r["part"], r["item"], r["measure"]): r["value"] for r in lines}
    assert len(found) == len(lines)
    assert float(found["metrics", "test", "joint", "auc"]) == full_result["metrics"]["test"]["joint"]["auc"]
    assert float(found["uplift", "test", "auc", "low"]) == full_result["uplift"]["test"]["measures"]["auc"]["low"]
    assert float(found["stability", "", "limit", "psi"]) == full_result["stability"]["columns"][0]["psi"]
    assert found["cost", "", "train", "bytes_sent"] == "40000000"
    assert found["model", "", "age", "coef"] == "0.9"
    assert len([1 for key in found if key[0] == "binning"]) == 2 * 2 * 5
    assert as_csv({"job": "j"}).splitlines() == ["section,part,item,measure,value"]


def test_hosts_and_arbiters_get_a_page_of_what_they_know(host_result, arbiter_result):
    host, arbiter = Page(render(host_result)), Page(render(arbiter_result))
    assert host.sections() == ["answer", "alignment", "model", "disclosure", "cost", "run"]
    assert arbiter.sections() == ["answer", "disclosure", "cost", "run"]
    assert "late_bills" in host.text
    assert "its own final weights" in arbiter.text
    for page in (host, arbiter):
        assert "AUC" not in page.text
        assert "Only the guest can measure" in page.words


@pytest.mark.parametrize("role", ["guest", "host", "arbiter", "auditor"])
def test_a_result_with_nothing_in_it_is_a_page_too(role):
    page = Page(render({"job": "j", "job_digest": "d", "role": role}))
    assert page.sections() == ["answer", "run"]


def test_the_sentence_follows_the_numbers(guest_result):
    def sentence(joint: list[float], alone: list[float]) -> str:
        result = copy.deepcopy(guest_result)
        for model, values in (("joint", joint), ("guest_alone", alone)):
            result["metrics"]["test"][model] |= dict(zip(("auc", "ks", "log_loss"), values, strict=True))
        return Page(render(result)).words

    assert "the model is better on held-out rows" in sentence([0.8, 0.5, 0.3], [0.7, 0.4, 0.4])
    assert "do not improve the model" in sentence([0.7, 0.4, 0.4], [0.8, 0.5, 0.3])
    assert "improve AUC, KS, and worsen Log-loss" in sentence([0.8, 0.5, 0.4], [0.7, 0.4, 0.3])
    assert "there is nothing to compare" in sentence([0.8, 0.5, 0.4], [0.8, 0.5, 0.4])


@pytest.mark.parametrize(
    ("y", "p"),
    [([0, 0, 0], [0.1, 0.2, 0.3]), ([1, 1], [0.5, 0.5]), ([0, 1], [0.0, 0.0]), ([0, 1, 1], [1.0, 1.0, 0.2]), ([], [])],
)
def test_parts_that_define_little_are_drawn_without_a_crash(guest_result, y, p):
    guest_result["metrics"] = {"test": {m: binary_metrics(y, p) for m in ("joint", "guest_alone")}}
    guest_result["plots"] = {"test": {m: plot_series(y, p) for m in ("joint", "guest_alone")}}
    html = render(guest_result)
    assert "nan" not in re.sub(r"<style>.*?</style>", "", html, flags=re.S).lower()
    Page(html)


def test_only_one_model_or_only_training_rows_is_enough(guest_result):
    for series in (guest_result["metrics"], guest_result["plots"]):
        del series["test"], series["train"]["guest_alone"]
    page = Page(render(guest_result))
    assert "training rows" in page.text
    assert len([1 for tag, attrs in page.tags if attrs.get("class") == "plot"]) == 6


def test_what_cannot_be_written_or_read_is_a_named_error(arbiter_result, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_report(tmp_path / "file" / "run", arbiter_result)
    with pytest.raises(ModelError, match="holds no finished run"):
        read_report(tmp_path)
    for content, words in (("{", "is no report"), ("[1]", "is no report"), ('{"format": 2}', "another format")):
        (tmp_path / "report.json").write_text(content, encoding="utf-8")
        with pytest.raises(ModelError, match=words):
            read_report(tmp_path)
