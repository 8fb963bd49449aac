"""docs/file-formats.md says what the code does."""

import re

import pytest
from pydantic import BaseModel

from protocols import errors
from protocols.alignment.ecdh import BlindedIds
from tests.places import ROOT
from tools.reference import TABLES, page
from vfl.data.literals import MISSING
from vfl.job import PERMITS, AlignmentJob, Job, Party, cautions, cross_check, load_agreement, load_job, load_party
from vfl.ledger import LedgerWriter, continued, read_ledger
from vfl.models.scorecard.spec import Scorecard
from vfl.schema.described import Described
from vfl.schema.section import Section
from vfl.schema.spec import Spec

TEXT = (ROOT / "docs" / "file-formats.md").read_text()
BLOCKS = {b.split("\n", 1)[0].removeprefix("# "): b for b in re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)}


def sections(base: type[Section]) -> list[type[Section]]:
    return [s for child in base.__subclasses__() for s in (child, *sections(child))]


def keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Each key."""
    found: set[str] = set()
    for name, field in ((name, field) for name, field in model.model_fields.items() if field.exclude is not True):
        kinds = re.findall(r"(\w+)(?:\]|\||>|$| )", str(field.annotation).replace("'", ""))
        inner = [s for s in sections(Section) if s.__name__ in kinds and not s.__module__.startswith("vfl.evidence.")]
        if not inner:
            found.add(prefix + name)
        for section in inner:
            found |= keys(section, f"{prefix}{name}." + ("NAME." if name in ("peers", "partners", "access") else ""))
    return found


@pytest.mark.parametrize("role", ["guest", "host", "arbiter"])
def test_the_examples_fit_each_other(tmp_path, role):
    (tmp_path / "job.toml").write_text(BLOCKS["job"])
    (tmp_path / "party.toml").write_text(BLOCKS[role])
    job, party = load_job(tmp_path / "job.toml"), load_party(tmp_path / "party.toml")
    assert party.role == role
    cross_check(job, party)
    assert cautions(job, party) == []


@pytest.mark.parametrize("model", [Job, Party])
def test_every_key_has_a_row(model):
    rows = set(re.findall(r"^\| `([\w.]+)` \|", TEXT, re.MULTILINE))
    assert keys(model) <= rows
    assert rows >= {"parties.hosts", "peers.NAME.address", "run.directory"}


def test_tables_are_as_declared(monkeypatch):
    assert page(TEXT) == TEXT, "run `make docs`"
    assert set(re.findall(r"<!-- table: ([\w.-]+) -->", TEXT)) == set(TABLES)
    monkeypatch.setattr(Scorecard.model_fields["pdo"], "default", 21.0)  # planted: the page is stale
    assert page(TEXT) != TEXT


def test_every_key_says_what_it_takes_and_means():
    for section in (one for one in sections(Section) if one.__module__.startswith("vfl.") and one is not Spec):
        for name, field in section.model_fields.items():
            if name != "kind":
                described = Described.of(field)
                assert described.values, (section, name)
                assert described.expected.startswith("Expected "), (section, name)


def test_the_job_for_alignment_alone_loads(tmp_path):
    (tmp_path / "job.toml").write_text(BLOCKS["alignment"])
    job = load_agreement(tmp_path / "job.toml")
    assert isinstance(job, AlignmentJob)
    assert job.parties.names == ("bank", "telecom")


def test_the_job_for_trees_loads(tmp_path):
    (tmp_path / "job.toml").write_text(BLOCKS["trees"])
    assert load_job(tmp_path / "job.toml").model.kind == "boosted-trees"


def test_every_permission_is_told_in_the_words_of_the_code():
    for permit, discloses in PERMITS.items():
        assert f"| `{permit}` | {discloses} |" in TEXT


def test_every_line_of_the_ledger_has_its_keys(tmp_path):
    with LedgerWriter(tmp_path / "l", job="j", job_digest=bytes(32), party="bank") as writer:
        writer.record("telecom", BlindedIds, b"")
        writer.received("telecom", BlindedIds, b"")
    (tmp_path / "l").write_bytes(
        (tmp_path / "l").read_bytes().rsplit(b"\n", 2)[0] + b"\n"
    )  # the run is killed before the last line
    continued(tmp_path / "l", job="j", job_digest=bytes(32), party="bank", sign=None).close()
    names = ("first", "one per message sent", "one per message received", "one where the run resumed", "last")
    rows = dict(re.findall(rf"^\| ({'|'.join(names)}) \| (.*) \|$", TEXT, re.MULTILINE))
    for row, line in zip(names, read_ledger(tmp_path / "l"), strict=True):
        assert {k for k in line if f"`{k}`" in rows[row]} == set(line)


def test_the_exit_codes_are_those_of_the_errors():
    rows = re.findall(r"^\| (\d) \| ([A-Za-z, ]*) ?\|", TEXT, re.MULTILINE)
    told = {name.strip(): int(code) for code, names in rows for name in names.split(",") if name.strip()}
    assert told == {error.__name__: error.exit_code for error in errors.VFLError.__subclasses__()}


def test_the_words_for_missing_cells():
    for word in MISSING[1:]:
        assert f"`{word}`" in TEXT
