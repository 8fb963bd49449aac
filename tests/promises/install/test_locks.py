"""The three locks: each has all of the one before, in the same releases, and no more than its purpose needs."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.promises.processes.institutions import ROOT

LOCKS = ("requirements.lock", "requirements-test.lock", "requirements-oracles.lock")
Pins = dict[str, str]


def named(requirement: str) -> str:
    """The normalised name in a requirement."""
    return re.split(r"[ \[<>=!~;]", requirement)[0].lower().replace("_", "-")


def pinned(text: str) -> Pins:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", text, re.MULTILINE))


def faults(texts: tuple[str, ...], project: dict[str, list[str]]) -> list[str]:
    """What is wrong with the texts of the locks; project: the requirements of pyproject.toml by extra, of a run as
    ""."""
    run, test, oracles = (pinned(text) for text in texts)
    wanted = [
        ("", run),
        *((extra, test) for extra in ("data", "ray", "dask", "evidence", "node", "dev")),
        ("oracles", oracles),
    ]
    found = [
        f"{extra or 'a run'} lacks {n}" for extra, pins in wanted for n in map(named, project[extra]) if n not in pins
    ]
    found += [f"{n} is pinned twice" for a, b in ((run, test), (test, oracles)) for n in a if b.get(n) != a[n]]
    later = {*map(named, project["dev"]), *map(named, project["oracles"])} - {"maturin"}  # which builds the core
    later |= {
        "pyarrow",
        "sqlalchemy",
        "ray",
        "distributed",
        "dask",
        "fastapi",
        "uvicorn",
        "prometheus-client",
        "cyclonedx-python-lib",
    }
    found += [f"a run needs no {n}" for n in sorted(later & set(run))]
    found += [f"the default tests need no {n}" for n in map(named, project["oracles"]) if n in test]
    found += [
        f"{name} has no hash or names an index" for name, text in zip(LOCKS, texts, strict=True) if not sound(text)
    ]
    return found


def sound(text: str) -> bool:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return "://" not in "".join(lines) and all(
        len(re.findall("--hash=sha256:", block)) for block in "\n".join(lines).split("==")[1:]
    )


@pytest.fixture(scope="module")
def project() -> dict[str, list[str]]:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"": content["dependencies"], **content["optional-dependencies"]}


@pytest.fixture(scope="module")
def texts() -> tuple[str, ...]:
    return tuple((ROOT / name).read_text(encoding="utf-8") for name in LOCKS)


def test_locks_hold_what_they_are_for(texts: tuple[str, ...], project: dict[str, list[str]]) -> None:
    assert all(len(pinned(text)) > 25 for text in texts)
    assert faults(texts, project) == []


def test_planted_faults_are_found(texts: tuple[str, ...], project: dict[str, list[str]]) -> None:
    run, test, oracles = texts
    extra = "\npytest==9.0 \\\n    --hash=sha256:00\n"
    assert "a run needs no pytest" in faults((run + extra, test, oracles), project)
    assert "numpy is pinned twice" in faults((re.sub(r"numpy==\S+", "numpy==1.0", run), test, oracles), project)
    assert "a run lacks scikit-learn" in faults(
        (run.replace("scikit-learn==", "scikit-learned=="), test, oracles), project
    )
    assert "the default tests need no gmpy2" in faults((run, oracles, oracles), project)
    assert f"{LOCKS[0]} has no hash or names an index" in faults((run + "\nextra==1.0 \\\n", test, oracles), project)
    assert f"{LOCKS[0]} has no hash or names an index" in faults(
        ("--index-url https://x\n" + run, test, oracles), project
    )
