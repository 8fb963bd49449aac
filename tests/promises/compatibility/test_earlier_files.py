"""Job files and model parts of earlier releases are read as they were meant, or refused by name; one folder per release
(`release` writes that of this one)."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from protocols.errors import ConfigError, ModelError
from tests.promises.compatibility.release import AVERAGED, CASES, HERE, SCORES, averaged_scores, load, scored, tables
from vfl.job import Job, load_agreement, load_job
from vfl.models.averaging import files
from vfl.models.part_files import MANIFEST, NUMBERS, load_part
from vfl.models.registry import ARBITER_KINDS, KINDS
from vfl.version import __version__

FIRST = HERE / "1582fb9"  # the commit of the first format of model parts
RELEASES = [folder.name for folder in sorted(HERE.iterdir()) if any(folder.glob(f"*/{SCORES}"))]
EARLIER = sorted(FIRST.glob("*/job.toml"))
EVERY = [case.parent for release in RELEASES for case in sorted((HERE / release).glob("*/job.toml"))]
MODELS = [case for case in EVERY if case.name not in AVERAGED]
OF_MEMBERS = [case for case in EVERY if case.name in AVERAGED]

# what a job file of the first commit is refused for; all others load
REFUSED = {
    "logistic-stopping": ("lacks permissions that this job needs: 'loss-verdict-to-parties'",),
    "trees-hidden": (
        'model.membership (line 34) is "hidden": it was removed',
        '"own-wins-to-host": it was removed: sealed trees need "wins-to-owners"',
    ),
    "trees-shared": (
        'model.membership (line 32) is "shared": it is called "open" now',
        '"node-rows-to-hosts": it is called "partition-to-hosts" now',
    ),
    "trees-goss": (
        'model.membership (line 32) is "shared": it is called "open" now',
        '"node-rows-to-hosts": it is called "partition-to-hosts" now',
    ),
}


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


# -- the first commit


@pytest.mark.parametrize("file", EARLIER, ids=lambda file: file.parent.name)
def test_job_files_of_the_first_commit(file: Path) -> None:
    """Each loads with the permits that it had under their present names, or is refused with what was removed, and what
    takes its place."""
    if file.parent.name not in REFUSED:
        job, text = load_agreement(file), file.read_text()
        assert not isinstance(job, Job) or f'kind = "{job.model.kind}"' in text
        assert set(job.disclosure.allow) - set(text.split('"')) <= {"guest-weights-to-guest", "host-weights-to-host"}
        return
    with pytest.raises(ConfigError) as caught:
        load_agreement(file)
    for words in REFUSED[file.parent.name]:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "now", "missing"),
    [("trees-shared", 'membership = "open"\n', "partition-to-hosts"), ("trees-hidden", "", "bin-sums-to-arbiter")],
    ids=["open", "left out"],
)
def test_a_job_file_without_what_was_removed_names_the_missing_permits(
    tmp_path: Path, name: str, now: str, missing: str
) -> None:
    """Renamed or left out, the membership is another one, and nobody agrees to what it reveals without noticing."""
    text = re.sub('membership = "(hidden|shared)"\n', now, (FIRST / name / "job.toml").read_text())
    for permit in ("own-wins-to-host", "node-rows-to-hosts"):
        text = text.replace(f'  "{permit}",\n', "")
    (tmp_path / "job.toml").write_text(text)
    with pytest.raises(ConfigError, match=f"lacks permissions that this job needs: '{missing}'"):
        load_job(tmp_path / "job.toml")


@pytest.mark.parametrize("part", sorted(p.parent for p in FIRST.glob(f"*/*/{MANIFEST}")), ids=named)
def test_parts_of_the_first_commit_are_refused_by_name(part: Path) -> None:
    """None of them scores: every party knew its weights, and trees told the bins of rows."""
    with pytest.raises(ModelError) as caught:
        load_part(part)
    assert "was written by an earlier release, " in caught.value.what
    assert (
        "trees let the guest work out" if "trees" in part.parent.name else "every party knew the weights"
    ) in caught.value.what
    assert "Train the model again, or score with the release that wrote it" in caught.value.remedy


# -- every release since


def test_this_release_has_its_files() -> None:
    """A part of every registered kind, also of those that an arbiter keeps."""
    manifests = [json.loads(path.read_text()) for path in (HERE / __version__).glob(f"*/*/{MANIFEST}")]
    assert {one["kind"] for one in manifests} == {*KINDS, *ARBITER_KINDS}
    assert {case.name for case in (HERE / __version__).iterdir()} == {*CASES, *AVERAGED}


@pytest.mark.parametrize("case", MODELS, ids=named)
def test_a_model_scores_as_its_release_did(case: Path) -> None:
    """The job file keeps the digest that the parts name, and new rows have the same scores, bit for bit."""
    head = load(case)[1]
    assert load_job(case / "job.toml").digest.hex() == head.job_digest
    check(case, case, head.kind)


@pytest.mark.parametrize("case", OF_MEMBERS, ids=named)
def test_an_averaged_model_scores_as_its_release_did(case: Path) -> None:
    """The job file keeps the digest that the model names; predictions go through exp and tanh."""
    assert files.named(case / "model").job_digest == load_agreement(case / "job.toml").digest.hex()
    recorded = np.array(json.loads((case / SCORES).read_text())["predictions"])
    np.testing.assert_array_max_ulp(averaged_scores(case, case.name), recorded, 16)


def test_planted_fault_an_averaged_model_that_changed(tmp_path: Path) -> None:
    case = HERE / "0.1.0" / "averaging-logistic"
    shutil.copytree(case, tmp_path / "copy")
    file = tmp_path / "copy" / "model" / "model.json"
    content = json.loads(file.read_text())
    content["weights"][0] += 1e-12
    file.write_text(json.dumps(content))
    recorded = np.array(json.loads((case / SCORES).read_text())["predictions"])
    with pytest.raises(AssertionError):
        np.testing.assert_array_max_ulp(averaged_scores(tmp_path / "copy", case.name), recorded, 16)
    file.write_text(json.dumps(content | {"another": 1}))
    with pytest.raises(ModelError, match="is damaged"):
        files.load(file.parent)


def check(case: Path, folder: Path, kind: str) -> None:
    """The parts in `folder` give the scores recorded for `case`; predictions go through exp, whose last bit depends on
    the processor."""
    recorded = json.loads((case / SCORES).read_text())
    scores, predictions = scored(kind, load(folder)[0], tables(CASES[case.name], 12, 12))
    np.testing.assert_array_equal(scores, np.array(recorded["scores"]))
    np.testing.assert_array_max_ulp(predictions, np.array(recorded["predictions"]), 4)


def another_weight(part: Path) -> None:
    tensors = load_file(part / NUMBERS)
    tensors["shares"] = tensors["shares"] + np.uint64(1 << 40)
    save_file(tensors, part / NUMBERS)


def another_scale(part: Path) -> None:
    tensors = load_file(part / NUMBERS)
    tensors["scale"] = tensors["scale"] * 1.5
    save_file(tensors, part / NUMBERS)


def another_format(part: Path) -> None:
    manifest = json.loads((part / MANIFEST).read_text())
    (part / MANIFEST).write_text(json.dumps(manifest | {"format": 3}))


def another_key(part: Path) -> None:
    manifest = json.loads((part / MANIFEST).read_text())
    (part / MANIFEST).write_text(json.dumps(manifest | {"offset": 1.0}))


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (another_weight, AssertionError, "not equal"),
        (another_scale, AssertionError, "not equal"),
        (another_format, ModelError, "has a format that this release does not know"),
        (another_key, ModelError, "is damaged"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_planted_fault_a_part_that_changed(
    tmp_path: Path, fault: Callable[[Path], None], error: type[Exception], words: str
) -> None:
    case = HERE / "0.1.0" / "logistic-exact"
    shutil.copytree(case, tmp_path / "copy")
    check(case, tmp_path / "copy", "logistic-regression")
    fault(tmp_path / "copy" / "telecom")
    with pytest.raises(error, match=words):
        check(case, tmp_path / "copy", "logistic-regression")
