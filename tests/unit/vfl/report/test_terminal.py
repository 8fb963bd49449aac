"""Does the closing table fit the terminal, say what happened, and end with the line that scripts read?"""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from vfl.report import render
from vfl.report.noise import marked
from vfl.report.terminal import print_summary


def printed(result, width=80, others=(), encoding="utf-8") -> list[str]:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="\n") as file:
        print_summary(result, Console(file=file, width=width), "out/run-1", others)
        file.flush()
        return raw.getvalue().decode(encoding).splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_the_demo_sees_sizes_metrics_cost_and_every_disclosure(guest_result, host_result, arbiter_result, width):
    lines = printed(guest_result, width, [host_result, arbiter_result])
    text = " ".join(" ".join(lines).split())
    assert lines[-1] == "report: out/run-1/report.json"
    assert max(map(len, lines)) <= width
    numbers = guest_result["metrics"]["test"]
    for name in ("auc", "ks", "log_loss"):
        assert f"{numbers['guest_alone'][name]:.4f} {numbers['joint'][name]:.4f}" in text
    for words in (
        "bank 1,000 90.0 %",
        "telecom 1,200 75.0 %",
        "in common 900",
        "On 300 held-out rows",
        "train 1 min 15 s 40.0 MB 38.0 MB",
    ):
        assert words in text
    for words in ("trustco bank its own final weights", "(sealed)", "(blinded)", "(public)"):
        assert words in text


def test_hosts_and_arbiters_have_a_summary_too(host_result, arbiter_result):
    host, arbiter = (" ".join(" ".join(printed(r)).split()) for r in (host_result, arbiter_result))
    assert "telecom bank which of its own ids are common" in host
    assert "AUC" not in host
    assert "trustco telecom its own final weights" in arbiter


def test_nothing_known_is_only_the_path():
    assert printed({"role": "guest"}) == ["report: out/run-1/report.json"]


def test_undefined_metrics_are_dashes(guest_result):
    for model in guest_result["metrics"]["test"].values():
        model["auc"] = None
    assert any(line.split() == ["AUC", "-", "-", "-"] for line in printed(guest_result))


def test_names_are_text_not_markup(host_result):
    host_result |= {"party": "[red]x[/red]"}
    host_result["disclosure"][0] |= {"to": "[link=a]b[/link]", "learns": "[bold]c"}
    text = "".join(printed(host_result, 120))
    for name in ("[red]x[/red]", "[link=a]b[/link]", "[bold]c"):
        assert name in text


def test_an_ascii_terminal_is_enough(guest_result):
    assert printed(guest_result, encoding="ascii")[-1] == "report: out/run-1/report.json"


def test_a_long_path_is_not_wrapped(arbiter_result):
    file = io.StringIO()
    print_summary(arbiter_result, Console(file=file, width=40), "a" * 100)
    assert file.getvalue().splitlines()[-1] == f"report: {'a' * 100}/report.json"


def test_training_that_did_not_settle_is_said(guest_result, arbiter_result):
    said = "ll 100 iterations that max_iter allows were made: the loss had not settled"
    for told in (False, True):
        changed = guest_result | {
            "model": guest_result["model"] | {"passes_made": [60, 100]} | ({"settled": False} if told else {})
        }
        assert (said in " ".join(" ".join(printed(changed, 100)).split())) is told
        assert (said in render(changed)) is told
    assert ">60<" in render(arbiter_result | {"model": {"passes": 100, "passes_made": [60]}})


def test_what_a_resumed_run_cost_is_told_as_that_since_it_went_on(full_result, host_result):
    for resumed in (False, True):
        result = full_result | ({"resumed": True} if resumed else {})
        page = render(result)
        assert ("Cost, since the run resumed" in " ".join(printed(result))) is resumed
        assert ("Times, bytes and products on this page are those since then" in page) is resumed
    assert "Sent, since the run resumed" in render(host_result | {"phases": full_result["phases"], "resumed": True})


def test_a_chosen_cut_off_has_its_matrices_and_without_one_there_are_none(guest_result):
    cutoffs = {"cutoff": [0.0, 0.5], "events": [30, 20], "non_events": [70, 7]}
    series = {model: {"cutoffs": cutoffs} for model in ("joint", "guest_alone")}
    told = guest_result | {"plots": {"test": series}}
    assert "Flagged from" not in " ".join(printed(told))
    lines = [line.split() for line in printed(told | {"cutoff": 0.5})]
    assert ["Flagged", "from", "0.5", "up"] in lines
    assert ["joint", "20", "10", "7", "63", "74.1", "%", "66.7", "%"] in lines
    assert max(map(len, printed(told | {"cutoff": 0.5}))) <= 80


@pytest.mark.parametrize(
    ("name", "low", "high", "colour"),
    [
        ("auc", 0.01, 0.03, "32"),
        ("auc", -0.03, -0.01, "31"),
        ("auc", -0.01, 0.03, None),
        ("log_loss", -0.03, -0.01, "32"),
        ("log_loss", 0.01, 0.03, "31"),
        ("log_loss", -0.03, 0.0, None),
    ],
)
def test_a_change_has_a_colour_only_if_its_interval_leaves_out_0(guest_result, name, low, high, colour):
    part = {"level": 0.95, "measures": {name: {"low": low, "high": high}}}
    file = io.StringIO()
    print_summary(guest_result | {"uplift": {"test": part}}, Console(file=file, width=100, force_terminal=True), "out")
    label = {"auc": "AUC", "log_loss": "Log-loss"}[name]
    (line,) = (line for line in file.getvalue().splitlines() if line.strip().startswith(label))
    assert [code for code in ("31", "32") if f"\x1b[{code}m" in line] == ([colour] if colour else [])


def test_what_noise_promises_is_said_on_the_terminal(guest_result):
    told = {"unit": "row", "epsilon": 2.0, "delta": 1e-6, "multiplier": 7.9, "sums": 11}
    lines = " ".join(" ".join(printed(guest_result | {"privacy": told})).split())
    assert (
        "All sums carry noise. Whatever anybody learns of this run is at most exp(2.0000) times as likely, plus 1e-06"
        in lines
    )
    assert "carry noise" not in " ".join(printed(guest_result))


def test_messages_say_that_they_carry_noise(guest_result):
    sent = {"message": "HostWeights", "class": "REVEALED", "to": "telecom", "count": 1, "bytes": 9, "learns": "weights"}
    told = {"unit": "label", "epsilon": 2.0, "delta": 1e-6, "multiplier": 2.5, "sums": 1}
    told["on"] = "labels that are trained on"
    result = guest_result | {"disclosure": [sent, sent | {"message": "Another"}], "privacy": told}
    shown = " ".join(" ".join(printed(result)).split())
    said = "computed from labels that are trained on with noise, sigma = 2.5000 times what one label can change"
    assert "trained on labels with noise. Whatever hosts and the arbiter learn" in shown
    assert marked(result)["disclosure"] == [sent | {"noise": said}, sent | {"message": "Another"}]
    assert said in render(marked(result))
    assert "with noise" not in render(result | {"privacy": None})


def test_memory_is_said_on_the_terminal_and_on_the_page(guest_result):
    result = guest_result | {"peak_memory": 412_000_000}
    assert "Memory: this process held at most 412 MB" in printed(result)
    assert re.search(r"held at most\s412\s?MB\sof memory", render(result).replace("&nbsp;", " "))
    assert "Memory" not in " ".join(printed(guest_result))
