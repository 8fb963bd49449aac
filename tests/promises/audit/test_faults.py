"""A fault planted in the product is found by its attack: each is a patch, applied to a copy of the package.

Attack 11 has none: in one process it succeeds without a fault (test_attacks.py), and what stops it is that `vfl run`
refuses such a host (tests/unit/vfl/job/test_floors.py).  That of attack 15 is a penalty that nobody reads.  It shows in
more columns than the audit tries the attack on: with fewer, a model memorises too little either way.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.places import ROOT
from tests.promises.audit.scenes import MANY, MEMBERS, SIZES, WIDE, scene
from tests.promises.packages import copied, python
from vfl.attacks.audit import one_thread
from vfl.attacks.registry import ATTACKS

FAULTS = Path(__file__).parent / "faults"
KIND = {  # of the run in which an attack's fault is planted; the others in a regression
    2: SIZES,
    8: "sealed trees",
    9: MANY,
    10: "sealed trees",
    14: "network",
    15: WIDE,
    17: "scorecard",
    18: MEMBERS,
}
SCRIPT = """
import sys
from tests.promises.audit.scenes import run_of
from vfl.attacks.audit import one_thread
from vfl.attacks.registry import ATTACKS
(attack,) = (one for one in ATTACKS if one.number == int(sys.argv[1]))
with one_thread():
    run = run_of(sys.argv[2])
    assert bool(attack.unfit(run)) == (attack.number == 15)
    found = [attack.product(run, seed) for seed in range(3)]
print(min(found), attack.bound)
"""


@pytest.mark.slow
def test_without_its_fault_the_wide_regression_gives_no_member_away() -> None:
    (attack,) = (one for one in ATTACKS if one.number == 15)
    with one_thread():
        found = [attack.product(scene(WIDE), seed) for seed in range(3)]
    print(f"{max(found):.3f}, bound {attack.bound}")
    assert max(found) <= attack.bound


def test_every_fault_fits_the_product_as_it_is() -> None:
    """What the slow test needs, told at once to whoever changes the product."""
    for patch in sorted(FAULTS.glob("*.patch")):
        done = subprocess.run(
            ["git", "apply", "--check", "-C1", str(patch)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{patch.name}: {done.stderr}"
    assert {int(patch.name[:2]) for patch in FAULTS.glob("*.patch")} == {a.number for a in ATTACKS} - {11}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("patch", sorted(FAULTS.glob("*.patch")), ids=lambda path: path.stem)
def test_a_planted_fault_is_found_by_its_attack(patch: Path, tmp_path: Path) -> None:
    number = int(patch.name[:2])
    assert number in {attack.number for attack in ATTACKS}
    package = copied(tmp_path)
    (package / "tests").symlink_to(ROOT / "tests")
    alone = os.environ | {"GIT_CEILING_DIRECTORIES": str(package.parent), "GIT_CONFIG_GLOBAL": os.devnull}
    applied = subprocess.run(
        ["git", "apply", "-C1", str(patch)], cwd=package, env=alone, capture_output=True, text=True, check=False
    )
    assert applied.returncode == 0, applied.stderr
    done = python(package, "-c", SCRIPT, str(number), KIND.get(number, "regression"))
    assert done.returncode == 0, done.stderr
    found, bound = map(float, done.stdout.split())
    print(f"{patch.stem}: {found:.3f}, bound {bound}")
    assert found > bound
