"""`vfl check` finds what would go wrong: head-room for the job's rows, the same at every party, and columns that can
carry nothing or lie too far out."""

import dataclasses
import datetime
import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from protocols import codec
from protocols.alignment.ecdh import HostRows
from protocols.alignment.outcome import most_common
from protocols.errors import ConfigError, DataError, DisclosureRefused, TooFewHeldOut
from tests.unit.vfl.job.samples import MINIMAL, with_key
from tests.unit.vfl.job.test_model_kinds import OPEN, SEALED
from vfl.cli.check import carried, carries
from vfl.cli.jobs import print_disclosed
from vfl.cost import cost, estimate
from vfl.cost.machine import Machine
from vfl.data import Table, split_rows, table_from_frame
from vfl.job import load_job
from vfl.job.opened import numbers_of_wins
from vfl.job.plan import plan_of, roles_of
from vfl.job.shown import disclosed_by
from vfl.models.registry import kind_of
from vfl.run.preflight import check_held_out, check_label_numbers, table_cautions
from vfl.run.result_frame import result_frame


def table(**columns: object) -> Table:
    rows = max(map(np.size, columns.values()))
    frame = pd.DataFrame({"national_id": np.arange(rows), **columns})
    return table_from_frame(
        frame,
        party="bank",
        keys=["national_id"],
        normalise={},
        duplicates="error",
        label=None,
        columns=None,
        missing=True,
    )


def test_a_permission_that_no_message_needs_is_not_told_as_disclosed(write):
    job = load_job(write(with_key("model", 'link = "taylor"')))
    assert "edge-count-to-arbiter" in job.disclosure.allow
    text = io.StringIO()
    print_disclosed(disclosed_by(job), Console(file=text, width=400))
    disclosed, _, caution = text.getvalue().partition("caution")
    assert "edge-count-to-arbiter" not in disclosed
    assert "scores-to-guest" in disclosed
    assert "edge-count-to-arbiter, which none of its messages needs" in caution
    party = SimpleNamespace(role="guest", name="bank", data=None)
    assert (
        "edge-count-to-arbiter" not in result_frame(job, party, datetime.datetime.now(datetime.UTC), "run")["permits"]
    )
    exact = io.StringIO()
    print_disclosed(disclosed_by(load_job(write(MINIMAL))), Console(file=exact, width=400))
    assert "edge-count-to-arbiter" in exact.getvalue()
    assert "caution" not in exact.getvalue()


@pytest.mark.parametrize("text", [MINIMAL, SEALED, OPEN], ids=["regression", "sealed", "open"])
def test_the_most_rows_are_carried_and_twice_as_many_are_not(write, text):
    job = load_job(write(with_key("crypto", "key_bits = 2048", text)))
    most = carried(job)
    kind_of(job.model).carries(plan_of(job), roles_of(job), most)
    assert most >= 1 << 20
    with pytest.raises(ConfigError) as caught:
        carries(job, 2 * most)
    assert caught.value.remedy


def test_no_job_carries_more_rows_than_a_message_can_name(write, monkeypatch):
    """Vectors travel in blocks: what is left of the limit is the list of common rows, 4 bytes for each."""
    assert carried(load_job(write(MINIMAL))) == most_common() == (1 << 29) - 14
    monkeypatch.setattr(codec, "MAX_MESSAGE_BYTES", 4000)
    job = load_job(write(with_key("align", "min_intersection = 986")))
    assert carried(job) == most_common() == 986
    codec.encode(HostRows(np.zeros(986, np.int32), b""), ["host"], "guest")
    with pytest.raises(ConfigError, match="expected at most 986, found 987"):
        carried(load_job(write(with_key("align", "min_intersection = 987"))))


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (
            with_key(
                "model",
                "max_depth = 7",
                with_key("align", "min_intersection = 10000000", with_key("crypto", "key_bits = 2048", SEALED)),
            ),
            "smaller max_depth",
        ),
        (with_key("model", "max_depth = 9", with_key("crypto", "key_bits = 4096", SEALED)), "smaller max_depth"),
    ],
)
def test_a_job_that_the_key_cannot_carry_is_refused(write, text, remedy):
    with pytest.raises(ConfigError, match=remedy):
        carried(load_job(write(text)))


def test_more_own_rows_than_the_key_carries_are_warned_about(write):
    job, own = load_job(write(SEALED)), table(x=np.arange(2000.0))
    assert table_cautions(job, own, 2000) == []
    (said,) = table_cautions(job, own, 1999)
    assert "2,000 rows: if more than 1,999" in said


VERDICTS = MINIMAL.replace(
    '"scores-to-guest"', '"scores-to-guest", "loss-verdict-to-parties", "label-scale-to-parties"'
)


def stopping(write, part, more=""):
    return load_job(write(with_key("model", f"early_stopping = true\nvalidation_fraction = {part}{more}", VERDICTS)))


@pytest.mark.parametrize(("part", "few"), [(0.1, False), (0.03, True)])
def test_early_stopping_with_few_rows_is_warned_about(write, part, few):
    job, own = stopping(write, part), table(x=np.random.default_rng(0).normal(size=2000))
    check_held_out(job, own)
    said = [one for one in table_cautions(job, own, 1 << 20) if "early stopping needs 30 rows" in one]
    assert len(said) == few
    assert not few or "of the 2,000 rows here" in said[0]


def test_early_stopping_that_is_sure_to_lack_rows_is_refused_before_the_run(write):
    """Rows that decide are drawn by their ids, so that the table alone bounds them."""
    own = table(x=np.random.default_rng(0).normal(size=300))
    job = stopping(write, 0.05)
    test, seed = job.split.test, job.split.seed
    decide = split_rows(own.ids, test + (1 - test) * 0.05, seed) & ~split_rows(own.ids, test, seed)
    count = int(decide.sum())
    assert 0 < count < 30
    with pytest.raises(TooFewHeldOut, match=f"bank: {count} rows of the 300 here can decide") as refused:
        check_held_out(job, own)
    assert refused.value.party == "bank"
    assert "Raise model.validation_fraction" in refused.value.remedy
    check_held_out(stopping(write, 0.3), own)  # the control
    check_held_out(load_job(write(MINIMAL)), own)


def test_trees_that_are_sure_to_lack_rows_are_refused_too(write):
    own = table(x=np.random.default_rng(0).normal(size=300))
    sealed = SEALED.replace("allow = [", 'allow = ["loss-verdict-to-parties", ')
    with pytest.raises(TooFewHeldOut, match=r"model\.validation is 0\.02"):
        check_held_out(load_job(write(with_key("model", "early_stopping_rounds = 2\nvalidation = 0.02", sealed))), own)


def test_more_label_numbers_than_training_rows_allow_are_refused_before_the_run(write):
    """Held-out rows count for nothing: a table that would be large enough with them is refused."""
    job = load_job(write(SEALED))
    numbers, rate = numbers_of_wins(job), 10
    guest = SimpleNamespace(role="guest", name="bank", policy=SimpleNamespace(rows_per_label_number=rate))
    assert numbers > 0
    assert job.split.test > 0
    own = table(x=np.random.default_rng(0).normal(size=numbers * rate))
    kept = int((~split_rows(own.ids, job.split.test, job.split.seed)).sum())
    with pytest.raises(DisclosureRefused, match=f"at most {kept:,} of the {len(own):,} rows") as refused:
        check_label_numbers(job, guest, own)
    assert f"{numbers * rate:,} training rows" in refused.value.remedy
    enough = table(x=np.random.default_rng(0).normal(size=round(1.2 * numbers * rate / (1 - job.split.test))))
    check_label_numbers(job, guest, enough)  # the control
    check_label_numbers(load_job(write(OPEN)), guest, own)


def test_weights_that_make_a_few_rows_count_are_warned_about(write):
    job, rng = stopping(write, 0.3, "\nsample_weight = true"), np.random.default_rng(0)
    weights = {"even": np.ones(400), "uneven": np.exp(3 * rng.normal(size=400))}
    found = {}
    for name, own in weights.items():
        rows = dataclasses.replace(table(x=rng.normal(size=400)), weight=pd.Series(own))
        found[name] = [one for one in table_cautions(job, rows, 1 << 20) if "rows of the heaviest one" in one]
    assert (len(found["even"]), len(found["uneven"])) == (0, 1)


def test_mini_batches_are_told_and_a_table_that_one_holds_is_refused(write):
    job = load_job(write(with_key("model", 'solver = "sgd"\nbatch_size = 1000')))
    assert (
        "100 iterations in mini-batches of at most 1,000 rows"
        in kind_of(job.model).described(plan_of(job), roles_of(job))["train"]
    )
    own = table(x=np.random.default_rng(0).normal(size=2000))
    assert table_cautions(job, own, 1 << 20) == []
    with pytest.raises(ConfigError, match="single batch holds all rows"):
        table_cautions(load_job(write(with_key("model", 'solver = "sgd"\nbatch_size = 2048'))), own, 1 << 20)
    assert carried(job) >= 1 << 20


def test_the_time_of_mini_batches_is_that_of_their_rows_and_of_more_steps(write, monkeypatch):
    monkeypatch.setattr(Machine, "measured", lambda bits: Machine(1e-6, 0.01))
    said = {
        lines: load_job(write(with_key("model", lines)))
        for lines in ("max_iter = 100", 'solver = "sgd"', 'solver = "sgd"\nbatch_size = 64')
    }
    whole, usual, small = (estimate.times(job, 100_000, 10) for job in said.values())
    for network in whole:
        assert whole[network] < usual[network] < small[network]
        assert usual[network] < 1.5 * whole[network]  # batches of thousands of rows cost little more than a pass
    assert ["mini-batches" in estimate.in_words(job, (100_000, 10)) for job in said.values()] == [False, True, True]
    work = estimate.workload(said['solver = "sgd"'], 100_000, 10)
    halves = [(sign, cost.predict(w, 2048)["products"]) for sign, w in estimate.in_batches(work, 2)]
    assert sum(sign * products for sign, products in halves) == pytest.approx(
        cost.predict(work, 2048)["products"], rel=0.01
    )


def test_columns_that_lie_far_out_are_named(write):
    many = np.where(np.arange(20_000) == 7, 1e9, np.random.default_rng(0).normal(size=20_000))
    (said,) = table_cautions(load_job(write(MINIMAL)), table(heavy=many), 1 << 20)
    assert "values are limited to 128 standard deviations from the mean in training rows of 'heavy' (1)" in said
    assert "1000000000" not in said
    assert "1e+09" not in said


def test_columns_too_large_to_standardise_are_refused_before_the_run(write):
    own = table(x=np.arange(2000.0), huge=np.arange(-1000.0, 1000) * 1e305)
    with pytest.raises(DataError, match="bank: column huge: values too large to standardise"):
        table_cautions(load_job(write(MINIMAL)), own, 1 << 20)
    assert table_cautions(load_job(write(SEALED)), own, 1 << 20) == []


def test_gaps_that_a_step_fills_are_no_reason_to_stop(write):
    """Numbers are looked at without their gaps; of a column that is cut or binned before nothing is limited."""
    x = np.random.default_rng(0).normal(size=20_000)
    wild = np.where(np.arange(20_000) == 7, 1e9, np.where(x < -1, np.nan, x))
    gaps = table(income=np.where(x > 1, np.nan, x), wild=wild)
    (said,) = table_cautions(load_job(write(MINIMAL + '\n[preprocess]\nimpute = "mean"\n')), gaps, 1 << 20)
    assert "in training rows of 'wild' (1)" in said
    for steps in ('impute = "mean"\nclip_quantiles = [0.01, 0.99]', 'encode = "quantile"'):
        assert table_cautions(load_job(write(MINIMAL + f"\n[preprocess]\n{steps}\n")), gaps, 1 << 20) == []


def test_a_guest_with_rare_events_is_told_of_more_passes(write):
    frame = pd.DataFrame(
        {
            "national_id": np.arange(2000),
            "y": np.arange(2000) % 100 == 0,
            "x": np.random.default_rng(0).normal(size=2000),
        }
    )
    rare, even = (
        table_from_frame(
            f, party="bank", keys=["national_id"], normalise={}, duplicates="error", label="y", columns=None
        )
        for f in (frame, frame.assign(y=np.arange(2000) % 2))
    )
    (said,) = table_cautions(load_job(write(MINIMAL)), rare, 1 << 20)
    assert said.startswith("max_iter = 100: labels like these usually take about 340 iterations between 2 parties")
    assert table_cautions(load_job(write(with_key("model", "max_iter = 340", MINIMAL))), rare, 1 << 20) == []
    assert table_cautions(load_job(write(MINIMAL)), even, 1 << 20) == []
    permits = MINIMAL.replace('"scores-to-guest"', '"scores-to-guest", "label-scale-to-parties"')
    planned = load_job(write(with_key("model", 'max_iter = "auto"', permits)))
    assert table_cautions(planned, rare, 1 << 20) == []
    kind, plan, roles = kind_of(planned.model), plan_of(planned), roles_of(planned)
    assert [kind.usual_passes(plan, roles, one) for one in (rare, even, table(x=np.arange(2000.0)))] == [340, 60, None]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], ""),
        (["colsample_bytree = 0.5"], "with colsample_bytree they do not"),
        ([f'continue_from = "{"ab" * 16}"'], "rounds that the model already has are included"),
    ],
    ids=["trees", "columns", "continued"],
)
def test_the_estimate_of_trees_says_what_it_does_not_know(write, monkeypatch, lines, words):
    monkeypatch.setattr(Machine, "measured", lambda bits: Machine(1e-6, 0.01))
    text = SEALED
    for line in lines:
        text = with_key("model", line, text)
    told = estimate.in_words(load_job(write(text)), (10_000, 5))
    assert words in told
    assert told.endswith("%") == (not words)
