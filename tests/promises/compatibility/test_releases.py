"""Two releases whose defaults differ: the job digests differ, and both sides say that the release is the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises.packages import copied, there
from tests.promises.processes.institutions import Institutions, institutions

SAME_RELEASE = "Install the same release at both parties"


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Institutions]:
    """Their job leaves C out."""
    with institutions(tmp_path_factory.mktemp("parties")) as made:
        made.lay_out()
        lines = made.job.read_text().splitlines(keepends=True)
        made.job.write_text("".join(line for line in lines if not line.startswith("C = ")))
        yield made


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package in which C has another default."""
    copy = copied(tmp_path_factory.mktemp("package"))
    replace(
        copy / "vfl" / "models" / "regression" / "spec.py",
        "    C: float = Field(\n        default=1.0",
        "    C: float = Field(\n        default=2.0",
    )
    return copy


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def errors(parties: Institutions, package: Path) -> dict[str, str]:
    """What bank, of this release, and telecom, of the copy, say; both end, and nothing was sent."""
    started = {"bank": parties.start("bank"), "telecom": parties.start("telecom", **there(package))}
    ended = {name: process.wait(30) for name, process in started.items()}
    for one in ended.values():
        one.says(4, "the job differs")
    assert all(parties.sent(name) == 0 for name in parties.roles)
    return {name: one.err for name, one in ended.items()}


@pytest.mark.slow
def test_equal_releases_compare_the_job_files(parties: Institutions, package: Path) -> None:
    """The planted fault: another default in the same release is a difference between job files, as far as anybody can
    tell."""
    for text in errors(parties, package).values():
        assert "Compare `vfl job digest job.toml` at both parties and use the same file" in text
        assert "release" not in text


def test_a_difference_between_releases_is_named(parties: Institutions, package: Path) -> None:
    replace(package / "vfl" / "version.py", '"0.1.0"', '"0.2.0"')
    said = errors(parties, package)
    assert "telecom runs release 0.2.0, this party runs 0.1.0" in said["bank"]
    assert "bank runs release 0.1.0, this party runs 0.2.0" in said["telecom"]
    assert all(SAME_RELEASE in text for text in said.values())


def test_a_release_without_prepared_iterations_is_named(parties: Institutions, tmp_path: Path) -> None:
    """A job file that leaves `crypto.preparation` out means other messages there."""
    earlier = copied(tmp_path)
    replace(earlier / "vfl" / "job" / "job.py", 'kept = asked or "batched"', "kept = asked")
    replace(earlier / "vfl" / "version.py", '"0.1.0"', '"0.0.9"')
    said = errors(parties, earlier)
    assert "telecom runs release 0.0.9, this party runs 0.1.0" in said["bank"]
    assert all(SAME_RELEASE in text for text in said.values())


@pytest.mark.slow
def test_the_same_job_runs_between_releases(parties: Institutions, package: Path) -> None:
    """With the parameter written down, the digests are equal, and the release alone is no reason to refuse."""
    replace(parties.job, "[model]\n", "[model]\nC = 1.0\n")
    started = [parties.start(name, **(there(package) if name == "telecom" else {})) for name in parties.roles]
    assert [process.wait().code for process in started] == [0, 0, 0]
