"""The time that `vfl check` tells: of every kind of model, of the job's own size, and at the arbiter, who has no
table."""

import json

import pytest

from protocols.parts import ROWS
from tests.unit.vfl.job.samples import MINIMAL, with_key
from tests.unit.vfl.job.test_model_kinds import OPEN, SCORECARD, SEALED
from vfl.cost import cost, estimate
from vfl.cost.machine import Machine, cores
from vfl.job import PERMITS, load_job

DIRECT = 'preparation = "none"'
EVERYTHING = f"allow = {json.dumps(list(PERMITS))}"
REGRESSION = with_key("disclosure", EVERYTHING)
LINEAR, POISSON = (with_key("model", f'kind = "{kind}-regression"', REGRESSION) for kind in ("linear", "poisson"))


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """The reference machine, so that nothing is measured."""
    found = Machine(3e-7, 0.05)
    monkeypatch.setattr(Machine, "measured", classmethod(lambda cls, key_bits: found))


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        (MINIMAL, "exact"),
        (with_key("model", 'link = "taylor"'), "taylor"),
        (LINEAR, "taylor"),
        (POISSON, "exact"),
        (SCORECARD, "exact"),
        (with_key("model", 'link = "taylor"', SCORECARD), "taylor"),
        (SEALED, "sealed"),
        (OPEN, "open"),
    ],
    ids=["logistic", "taylor", "linear", "poisson", "scorecard", "scorecard-taylor", "sealed", "open"],
)
def test_every_kind_is_told_how_long_it_takes(write, text, formula):
    job = load_job(write(with_key("crypto", DIRECT, text)))
    assert cost.variant(estimate.workload(job, 8000, 12)) == formula
    said = estimate.in_words(job, (8000, 12))
    assert said.startswith("at most " if "convergence-to-parties" in text else "about ")
    assert "if all 8,000 rows are common" in said
    assert f"were predicted within {cost.fitted()['errors'][formula]['worst']:.0%}" in said


def test_the_arbiter_is_told_for_a_table_that_it_can_scale(write):
    said = estimate.in_words(load_job(write(MINIMAL)), None)
    assert "for every 10,000 common rows, if each data party has 20 columns" in said


def test_what_makes_a_job_longer_makes_the_estimate_longer(write):
    def seconds(text: str, rows: int = 8000) -> float:
        job = load_job(write(with_key("crypto", DIRECT, text)))
        return min(estimate.times(job, rows, 12).values())

    base = seconds(REGRESSION)
    assert seconds(with_key("model", "num_class = 4", REGRESSION)) == pytest.approx(4 * base, rel=0.2)
    assert seconds(with_key("model", "max_iter = 600", REGRESSION)) == pytest.approx(3 * base, rel=0.1)
    assert seconds(REGRESSION, rows=16_000) == pytest.approx(2 * base, rel=0.1)
    assert seconds(with_key("split", "test = 0.0", REGRESSION)) == pytest.approx(base / 0.75, rel=0.1)
    assert seconds(with_key("model", 'class_weight = "balanced"', REGRESSION)) > 1.1 * base
    assert seconds(with_key("preprocess", 'encode = "woe"', REGRESSION)) > base
    assert seconds(with_key("crypto", "key_bits = 4096", REGRESSION)) > base
    assert seconds(with_key("model", "exposure = true", POISSON)) > 1.1 * seconds(POISSON)
    trees = seconds(SEALED)
    assert seconds(with_key("model", "guest_only_trees = 50", SEALED)) == pytest.approx(trees / 2, rel=0.1)


def test_a_training_that_may_end_early_is_told_the_most(write):
    early = with_key("model", "early_stopping_rounds = 5\nvalidation = 0.2", with_key("disclosure", EVERYTHING, SEALED))
    later = with_key("split", 'out_of_time = "2026-01-01"', REGRESSION)
    for text in (
        early,
        later,
        with_key("model", "subsample = 0.5", SEALED),
        with_key("model", "tol = 0.001", REGRESSION),
    ):
        assert estimate.in_words(load_job(write(text)), (8000, 12)).startswith("at most ")


def test_planned_passes_are_counted_where_they_can_be_told(write):
    """The guest's labels say how many are planned; the others are told the time of a hundred."""
    planned = load_job(write(with_key("model", 'max_iter = "auto"', REGRESSION)))
    assert estimate.workload(planned, 8000, 12, 60).passes == 60
    assert "every 100 iterations" not in estimate.in_words(planned, (8000, 12), 60)
    assert "every 100 iterations" in estimate.in_words(planned, (8000, 12))


def test_what_the_estimate_leaves_out_or_looks_at_everywhere_is_said(write):
    def told(text: str, table: tuple[int, int] | None = (8000, 12)) -> str:
        return estimate.in_words(load_job(write(text)), table)

    assert "[preprocess] makes more of them" in told(with_key("preprocess", 'encode = "onehot"', REGRESSION))
    assert "[preprocess]" not in told(with_key("preprocess", 'encode = "woe"', REGRESSION))
    searched = with_key(
        "disclosure", EVERYTHING, f"{SEALED}\n[search]\ncv = 2\nparam_grid = {{ subsample = [0.5, 1.0] }}\n"
    )
    assert told(searched).startswith("at most ")
    planned = f'{REGRESSION}\n[search]\ncv = 2\nparam_grid = {{ max_iter = [50, "auto"] }}\n'
    assert "every 100 iterations" in told(planned)
    assert "such a machine and 20 columns" in told(REGRESSION, (8000, 0))
    assert estimate.workload(load_job(write(REGRESSION)), 8000, 0).host_columns == 20
    assert told(with_key("model", f'continue_from = "{"0" * 32}"', SEALED)).startswith("at most ")
    fewer_columns = {text: told(with_key("model", "colsample_bytree = 0.5", text)) for text in (SEALED, OPEN)}
    assert "with colsample_bytree they do not" in fewer_columns[SEALED]
    assert fewer_columns[SEALED].startswith("about ")
    assert "colsample_bytree" not in fewer_columns[OPEN]
    assert fewer_columns[OPEN].startswith("at most ")


def test_looks_at_the_loss_take_their_time(write):
    never, often = (
        load_job(write(with_key("model", lines, REGRESSION)))
        for lines in ("max_iter = 100", "max_iter = 100\ntol = 0.001")
    )
    assert estimate.workload(often, 8000, 12).passes == estimate.workload(never, 8000, 12).passes + 10


def test_an_alignment_is_told_by_its_keys_and_shared_by_all_cores(write):
    def seconds(text: str, threads: int = 1) -> float:
        return min(
            estimate._alignment_seconds(load_job(write(text)), 100_000, Machine(3e-7, 0.05), network, threads)
            for network in estimate.NETWORKS
        )

    once, twice = seconds(MINIMAL), seconds(with_key("align", 'keys = [["national_id"], ["phone"]]', REGRESSION))
    assert twice == pytest.approx(2 * once)
    assert seconds(MINIMAL, 8) < 0.5 * once
    both = [
        min(estimate.times(load_job(write(text)), 8000, 12).values())
        for text in (REGRESSION, with_key("align", 'keys = [["national_id"], ["phone"]]', REGRESSION))
    ]
    assert both[1] > both[0]
    said = estimate.alignment_in_words(load_job(write(MINIMAL)), None)
    assert "for every 10,000 ids of each data party" in said
    assert "as this party (250,000), all of them common" in estimate.alignment_in_words(
        load_job(write(MINIMAL)), 250_000
    )


def test_a_search_aligns_once(write):
    """As many trainings as folds and candidates, on the rows of the other folds, and one alignment."""
    alone = load_job(write(REGRESSION))
    searched = load_job(write(f"{REGRESSION}\n[search]\ncv = 2\nparam_grid = {{ C = [0.5, 1.0] }}\n"))
    network, machine = estimate.NETWORKS[0], Machine.measured(2048)
    align = estimate._alignment_seconds(alone, 8000, machine, network, cores())
    whole, half = (estimate.times(alone, rows, 12)[network] for rows in (8000, 4000))
    halves = half - estimate._alignment_seconds(alone, 4000, machine, network, cores())
    assert estimate.times(searched, 8000, 12)[network] == pytest.approx(whole + 4 * halves)
    assert align > 0


def test_each_block_of_rows_has_a_table_of_its_own() -> None:
    assert cost.by_blocks(1000.0) == cost.windowed(1000)
    assert cost.by_blocks(3.0 * ROWS + 5) == 3 * cost.windowed(ROWS) + cost.windowed(5) > cost.windowed(3 * ROWS + 5)


def test_workers_take_the_place_of_cores(write):
    job = load_job(write(REGRESSION))
    few, many = (min(estimate.times(job, 8000, 12, workers=count).values()) for count in (1, 64))
    assert many < few
    said = estimate.in_words(job, (8000, 12), workers=64)
    assert "the others have 64 workers as fast as this machine's cores and as many columns" in said
    assert "3 workers as fast as" in estimate.alignment_in_words(load_job(write(MINIMAL)), None, 3)
