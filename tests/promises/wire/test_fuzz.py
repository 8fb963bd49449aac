"""Whatever a peer sends or a disk holds ends in a typed error or in what it says: never in another exception, a hang or
a large allocation.

The long run (`make fuzz`) takes other bytes each time, and prints how to repeat what it finds.
"""

from __future__ import annotations

import contextlib
import functools
import resource
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols import codec
from tests.promises.wire.mutations import nearly
from tests.promises.wire.target import Target
from tests.promises.wire.targets import targets

GROWTH = 64 << 10  # KiB of memory that one target may take at its most


@functools.cache
def known() -> list[Target]:
    return targets(Path(tempfile.mkdtemp(prefix="vfl-fuzz-")))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames:
        metafunc.parametrize("target", known(), ids=repr)


def check(target: Target, data: bytes) -> None:
    """Raises everything but what the target may raise."""
    with contextlib.suppress(*target.typed):
        target.feed(data)


def run(target: Target, examples: int, *, repeatable: bool) -> None:
    """Feeds `examples` damaged inputs."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(
        max_examples=examples,
        deadline=5000,
        derandomize=repeatable,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(nearly(target.seeds))
    def feed(data: bytes) -> None:
        check(target, data)

    feed()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GROWTH


def test_every_seed_is_accepted(target: Target) -> None:
    for seed in target.seeds:
        target.feed(seed)


def test_damaged_bytes_end_in_a_typed_error(target: Target) -> None:
    run(target, 12, repeatable=True)


@pytest.mark.fuzz
@pytest.mark.timeout(1200)
def test_damaged_bytes_end_in_a_typed_error_at_length(target: Target) -> None:
    run(target, 1500, repeatable=False)


def test_planted_fault_an_untyped_exception_is_found() -> None:
    def careless(data: bytes) -> object:
        return data[7]

    with pytest.raises(IndexError):
        run(Target("careless", careless, [bytes(9)]), 200, repeatable=True)


def test_planted_fault_a_large_allocation_is_found() -> None:
    held: list[bytes] = []

    def greedy(data: bytes) -> None:
        if not held:
            peak = (
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
            )  # what was taken and given back before does not count
            held.append(b"\1" * (peak + (80 << 20)))

    with pytest.raises(AssertionError):
        run(Target("greedy", greedy, [bytes(9)]), 200, repeatable=True)


@given(st.binary(min_size=1, max_size=8).filter(lambda b: not _text(b)))
def test_a_name_that_is_no_text_is_refused(name: bytes) -> None:
    """The fault that fuzzing found first: msgspec's own error for it is another one."""
    data = b"\x91" + bytes([0xA0 + len(name)]) + name
    with pytest.raises(codec.RemoteProtocolError):
        codec.peek(data, "telecom")


def _text(data: bytes) -> bool:
    try:
        return bool(data.decode())
    except UnicodeDecodeError:
        return False
