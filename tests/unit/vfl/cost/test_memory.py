"""How much memory workers need: more with rows and columns, less with more workers, and what was measured is within."""

from __future__ import annotations

from tests.unit.vfl.cost.test_estimate import EVERYTHING
from tests.unit.vfl.job.samples import MINIMAL, with_key
from tests.unit.vfl.job.test_model_kinds import OPEN
from vfl.cost.memory import PROCESS, worker_bytes
from vfl.job import AlignmentJob, load_agreement

MIB = 1 << 20
REGRESSION = with_key("disclosure", EVERYTHING)


def test_it_grows_with_the_table_and_shrinks_with_workers(write):
    job = load_agreement(write(REGRESSION))
    one = worker_bytes(job, 1_000_000, 20, 1)
    assert one > worker_bytes(job, 1_000_000, 20, 4) > worker_bytes(job, 1000, 20, 4) > PROCESS
    assert worker_bytes(job, 1_000_000, 200, 4) > worker_bytes(job, 1_000_000, 20, 4)
    assert worker_bytes(load_agreement(write(OPEN)), 10**7, 20, 1) > 2 * worker_bytes(job, 10**7, 20, 1)


def test_an_alignment_needs_no_ciphertext(write):
    aligns = load_agreement(write(MINIMAL.replace('[model]\nkind = "logistic-regression"\n', "")))
    assert isinstance(aligns, AlignmentJob)
    assert worker_bytes(aligns, 10**6, 0, 2) < worker_bytes(load_agreement(write(REGRESSION)), 10**6, 20, 2)


def test_what_was_measured(write):
    """30,000 rows, ten columns and a key of 2048 bits on one worker of Dask each: 227, 198 and 290 MiB at guest, host
    and arbiter, which started with 108."""
    job = load_agreement(write(with_key("crypto", "key_bits = 2048", REGRESSION)))
    above = worker_bytes(job, 30_000, 10, 1) - PROCESS
    assert 182 * MIB * 0.7 < above < 182 * MIB * 1.3
