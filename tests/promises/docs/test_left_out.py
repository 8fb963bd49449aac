"""What `make test` leaves out for its length is run by what CI gives before it."""

from __future__ import annotations

import re

from tests.places import ROOT

LEFT_OUT = ("long", "cluster")  # slow and fuzz need other libraries or hours: make test-all, make fuzz


def run_by_ci(makefile: str, script: str) -> set[str]:
    """The markers whose tests the targets of CI's script run, and the targets that these need."""
    rules = re.findall(r"^([a-z-]+):([^#\n]*)[^\n]*\n((?:\t[^\n]*\n)*)", makefile, re.MULTILINE)
    needs, recipes = {name: rest.split() for name, rest, _ in rules}, {name: lines for name, _, lines in rules}
    wanted, reached = re.findall(r"^make ([a-z-]+)$", script, re.MULTILINE), set[str]()
    while wanted:
        target = wanted.pop()
        if target in needs and target not in reached:
            reached.add(target)
            wanted += needs[target]
    return {marker for target in reached for marker in re.findall(r"-m '(\w+) and not slow'", recipes[target])}


def test_what_is_left_out_is_run_by_ci() -> None:
    makefile, script = (ROOT / "Makefile").read_text(), (ROOT / ".ci" / "run").read_text()
    options = re.search(r"^addopts = .*-m '([^']*)'", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert options is not None
    assert set(re.findall(r"not (\w+)", options[1])) == {*LEFT_OUT, "slow", "fuzz"}
    assert run_by_ci(makefile, script) == set(LEFT_OUT)
    assert run_by_ci(makefile.replace("test-clusters test-long ", "test-clusters "), script) == {"cluster"}
    assert run_by_ci(makefile, script.replace("make test-serial\n", "")) == set()
