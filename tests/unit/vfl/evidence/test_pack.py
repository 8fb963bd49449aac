"""What a pack holds and what it does not, and that the same run gives the same bytes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from protocols import codec
from protocols.boosting.open import OwnWins
from protocols.errors import ConfigError, ModelError
from tests.places import ROOT
from tests.unit.vfl.evidence.conftest import CANARY, RUN, VALUE, the_report
from vfl.attacks.attack import Estimate, Tried
from vfl.attacks.audit import Audit
from vfl.attacks.registry import ATTACKS
from vfl.evidence.about import About, keys
from vfl.evidence.archive import Files, unpacked
from vfl.evidence.figures import figures
from vfl.evidence.pack import left_open, pack
from vfl.evidence.questions import QUESTIONS
from vfl.evidence.terms import BINS, GROUPS
from vfl.job.setup import init_party
from vfl.ledger import LedgerBroken
from vfl.report import write_report
from vfl.schema.section import build
from vfl.transport.identity import create_identity

ABOUT = """
[model]
purpose = "ranks <applicants> & nobody else"
owner = "Retail credit risk"

[data.columns]
age = "age in years"
"""


@pytest.fixture(scope="module")
def packed(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    (folder / "evidence.toml").write_text(ABOUT)
    return pack(run, folder / "pack.zip", about=folder / "evidence.toml").file


@pytest.fixture(scope="module")
def files(packed: Path) -> Files:
    return unpacked(packed.read_bytes())


def test_the_pack_is_checked_without_this_engine(files: Files) -> None:
    """By what index.sig itself says is signed; one byte less is refused."""
    said = json.loads(files["index.sig"])
    assert said["signed"].startswith("the line 'vfl evidence 1', which ends with a line feed")
    key = x509.load_pem_x509_certificate(files["certificate.pem"]).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature, over = base64.b64decode(said["signature"]), b"vfl evidence 1\n" + files["index.json"]
    key.verify(signature, over, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        key.verify(signature, over[:-1], ec.ECDSA(hashes.SHA256()))


def test_the_same_run_gives_the_same_bytes(packed: Path, run: Path, tmp_path: Path) -> None:
    """In another folder, at another time, and whatever else was run since."""
    moved = shutil.copytree(run.parent.parent, tmp_path / "elsewhere") / "runs" / run.name
    again = pack(moved, tmp_path / "again.zip", about=packed.parent / "evidence.toml")
    assert again.file.read_bytes() == packed.read_bytes()
    assert again.sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert again.file.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(packed) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist() == sorted(archive.namelist())
    (moved / "report.json").write_text((moved / "report.json").read_text().replace("0.81", "0.82"))
    assert pack(moved, tmp_path / "other.zip").file.read_bytes() != packed.read_bytes()  # planted: another number


def test_the_index_lists_every_file_and_answers_every_question(files: Files) -> None:
    index = json.loads(files["index.json"])
    assert {one["path"]: one["sha256"] for one in index["files"]} == {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items() if not name.startswith("index.")
    } | {"index.html": hashlib.sha256(files["index.html"]).hexdigest()}
    assert [one["question"] for one in index["questions"]] == list(QUESTIONS)
    page = files["index.html"].decode()
    for one in index["questions"]:
        assert f'id="{one["answer"].partition("#")[2]}"' in page
        assert set(one["files"]) <= set(files)
    assert set(index["fields"]) == set(keys())
    assert index["fields"]["model.owner"] == "Retail credit risk"
    assert index["fields"]["monitoring.plan"] is None


def test_every_link_leads_to_a_file_or_a_section(files: Files) -> None:
    pages = {name: data.decode() for name, data in files.items() if name.endswith(".html")}
    assert len(pages) == 5
    for page in pages.values():
        for target in re.findall(r'href="([^"]+)"', page):
            if target != "data:,":
                file, _, place = target.partition("#")
                assert not file or file in files
                assert not place or f'id="{place}"' in page
        assert "<script" not in page
        assert "default-src 'none'" in page


def test_the_pages_say_what_a_reader_asks(files: Files) -> None:
    page = files["index.html"].decode().replace("\u00a0", " ")
    for words in ("Jane Doe", "ranks &lt;applicants&gt; &amp; nobody else", "age in years", "0.8100",
                  "+0.0100 to +0.1300", "which of its own ids are common to all parties", "arbiter and any host",
                  "vfl monitor", "runs_<wbr>per_<wbr>partner", "to be filled in by the institution"):  # fmt: skip
        assert words in page, words
    documentation = files["model-documentation.html"].decode()
    assert documentation.index("Development: method") < documentation.index(">Validation<")
    technical = files["annex-iv.html"].decode()
    assert all(f"{k} · " in technical for k in range(1, 10))
    assert "What telecom receives" in files["data-protection.html"].decode()


def test_the_agreed_job_hashes_to_its_digest(files: Files) -> None:
    assert hashlib.sha256(files["job/agreed.txt"]).hexdigest() == the_report()["job_digest"]


def test_every_number_has_its_commands(files: Files) -> None:
    listed = json.loads(files["commands.json"])
    content = json.loads(files["figures.json"])
    auc = next(one for one in listed if one["number"] == "metrics.test.joint.auc")
    assert auc == {"number": "metrics.test.joint.auc", "value": content["metrics"]["test"]["joint"]["auc"],
                   "shows": "vfl report RUN --json", "computes": "vfl run JOB PARTY"}  # fmt: skip


def test_the_component_list_names_what_the_run_stood_on(files: Files) -> None:
    found = json.loads(files["components.cdx.json"])
    assert found["bomFormat"] == "CycloneDX"
    names = {one["name"] for one in found["components"]}
    assert {"numpy", "pandas", "cryptography", "jinja2"} <= names
    assert not names & {"pytest", "ruff", "mypy"}
    assert found["metadata"]["timestamp"].startswith("2026-11-20")
    by_schema = JsonStrictValidator(SchemaVersion.V1_6).validate_str
    assert by_schema(files["components.cdx.json"].decode()) is None
    assert by_schema(json.dumps(found | {"components": [{"name": "numpy"}]})) is not None  # planted: without a type


def leaks(files: Files, *needles: str) -> list[str]:
    return [name for name, data in files.items() for needle in needles if needle.encode() in data]


def secrets(institution: Path) -> list[str]:
    key = (institution / "identity" / "key.pem").read_text().splitlines()
    return [CANARY, str(VALUE), "7777", *key[1:3]]


def test_no_id_value_key_or_partners_name_is_in_it(files: Files, institution: Path, run: Path) -> None:
    assert leaks(files, *secrets(institution), str(run.parent.parent), "scores.csv,") == []
    report = (run / "report.json").read_text()
    assert all(needle in report for needle in secrets(institution)[:3])  # the control: they were there


def test_planted_fault_a_figure_that_is_passed_on_whole_is_found(
    run: Path, institution: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfl.evidence.pack.figures", lambda report: dict(report))
    whole = unpacked(pack(run, tmp_path / "pack.zip").file.read_bytes())
    assert set(leaks(whole, *secrets(institution))) >= {"figures.json"}


def test_what_is_left_out_is_left_out_wherever_it_stands() -> None:
    report = the_report()
    report["model"] |= {"later": CANARY}  # a key of a later release
    text = json.dumps(figures(report))
    assert '"max_iter"' not in text  # the report calls it passes
    assert '"link": "taylor"' in text
    assert CANARY not in text
    assert "7777" not in text
    assert '"mean": 40.5' in text
    assert '"host": "telecom", "column": 1, "iv": 0.3' in text


def refused(folder: Path, change: dict[str, Any]) -> None:
    write_report(folder, {k: v for k, v in (the_report() | change).items() if v is not None})


def test_what_cannot_be_proved_is_refused(run: Path, institution: Path, tmp_path: Path) -> None:
    home = shutil.copytree(institution, tmp_path / "bank")
    folder, out = home / "runs" / run.name, tmp_path / "pack.zip"
    with pytest.raises(ConfigError, match="holds no finished run"):
        pack(home, out)
    few = {"purpose": "predict", "prediction": {"rows": 19, "left_out": 0}}
    refused(folder, few)
    with pytest.raises(ConfigError, match="fewer than 20 rows"):
        pack(folder, out)
    refused(folder, {"job_digest": "00" * 32})
    with pytest.raises(ConfigError, match="of different runs"):
        pack(folder, out)
    refused(folder, {"run": "00" * 16})
    with pytest.raises(ConfigError, match="is of another run of the same job"):
        pack(folder, out)
    refused(folder, {"run": None})
    with pytest.raises(ConfigError, match="does not name its run"):
        pack(folder, out)
    refused(folder, {})
    ledger = (folder / "ledger.jsonl").read_bytes()
    (folder / "ledger.jsonl").write_bytes(ledger.replace(b"batch", b"Batch"))
    with pytest.raises(LedgerBroken, match="does not follow"):
        pack(folder, out)
    (folder / "ledger.jsonl").unlink()
    with pytest.raises(ConfigError, match="is missing, and the run sent messages"):
        pack(folder, out)
    (folder / "ledger.jsonl").write_bytes(ledger)
    kept = (folder / "signatures.json").read_text()
    (folder / "signatures.json").write_text(kept.replace('"sent": 1', '"sent": 2'))
    with pytest.raises(LedgerBroken, match="telecom's signature does not hold"):
        pack(folder, out)
    (folder / "signatures.json").write_text(kept)
    (folder / "report.json").write_text(
        (folder / "report.json").read_text().replace('"peak', '"peek').replace('"role"', '"rolle"')
    )
    with pytest.raises(ModelError, match="is not what a run of this release wrote"):
        pack(folder, out)
    assert not out.exists()


def test_a_folder_as_out_is_refused_and_a_missing_one_named(run: Path, tmp_path: Path) -> None:
    for out in (tmp_path, Path()):
        with pytest.raises(ConfigError, match=r"is a folder\. Name a file in it"):
            pack(run, out)
    with pytest.raises(ConfigError, match=r"cannot be written to .*missing.* name another file with --out"):
        pack(run, tmp_path / "missing" / "pack.zip")


def test_another_party_cannot_sign_it(run: Path, institution: Path, tmp_path: Path) -> None:
    init_party(tmp_path / "shop", "guest", "shop", label="default", listen="127.0.0.1:7443")
    with pytest.raises(ConfigError, match="is of bank, and the party file of shop"):
        pack(run, tmp_path / "pack.zip", party=tmp_path / "shop" / "party.toml")
    home = shutil.copytree(institution, tmp_path / "bank")
    shutil.rmtree(home / "identity")
    create_identity(home / "identity", "bank")  # of the same name, with another key
    with pytest.raises(LedgerBroken, match="is not signed by bank"):
        pack(home / "runs" / run.name, tmp_path / "pack.zip")


def test_a_ledger_of_the_time_before_a_renewal_is_packed_with_its_certificate(
    run: Path, institution: Path, tmp_path: Path
) -> None:
    home = shutil.copytree(institution, tmp_path / "bank")
    former = home / "identity" / "until-20261121"
    former.mkdir()
    for name in ("key.pem", "cert.pem"):
        (home / "identity" / name).rename(former / name)
    create_identity(tmp_path / "new", "bank")
    for name in ("key.pem", "cert.pem"):
        shutil.copy(tmp_path / "new" / name, home / "identity" / name)
    files = unpacked(pack(home / "runs" / run.name, tmp_path / "pack.zip").file.read_bytes())
    assert files["ledger/certificate.pem"] == (former / "cert.pem").read_bytes()
    assert files["certificate.pem"] == (home / "identity" / "cert.pem").read_bytes()


def an_audit(digest: str, run: str = RUN.hex()) -> str:
    """The content of audit.json, as vfl audit writes it."""
    attack = next(iter(ATTACKS))
    nothing, control, textbook = Estimate(0.0, 0.0, 0.0, 2), Estimate(0.99, 0.98, 1.0, 2), Estimate(0.5, 0.5, 0.5, 1)
    tried = Tried(attack, nothing, control, textbook, 1.0, asked=20)
    checks = [{"check": "lengths of messages", "found": "as the job says", "holds": True}]
    return json.dumps(
        Audit(
            {"job_digest": digest, "run": run, "minutes": 10}, [tried], {"12 forensics": "no ciphertext"}, checks
        ).as_dict()
    )


def test_an_audit_of_the_run_is_packed_and_one_of_another_job_is_refused(
    run: Path, institution: Path, tmp_path: Path
) -> None:
    home = shutil.copytree(institution, tmp_path / "bank")
    folder, out = home / "runs" / run.name, tmp_path / "pack.zip"
    (folder / "audit.json").write_text(an_audit(the_report()["job_digest"]))
    (folder / "audit.html").write_text("<p>attacks</p>")
    files = unpacked(pack(folder, out).file.read_bytes())
    assert files["audit/audit.html"] == b"<p>attacks</p>"
    page = files["index.html"].decode()
    attack = next(iter(ATTACKS))
    result = ("0.990 (0.980 to 1.000)", "2 of 20</td>", "less often than asked, the time was up", ">0.500<")
    for words in (f"{attack.number} · {attack.name}", *result, "lengths of messages", "no ciphertext"):
        assert words in page.replace("\u00a0", " ").replace("<wbr>", ""), words
    (folder / "audit.json").write_text(an_audit("00" * 32))
    with pytest.raises(ConfigError, match="is of another job"):
        pack(folder, out)
    (folder / "audit.json").write_text(an_audit(the_report()["job_digest"], "00" * 16))
    with pytest.raises(ConfigError, match="is of another run of this job"):
        pack(folder, out)
    failed = json.loads(an_audit(the_report()["job_digest"]))
    failed["attacks"][0] |= {"holds": False, "works": False}
    (folder / "audit.json").write_text(json.dumps(failed))
    assert b"no: the control failed" in unpacked(pack(folder, out).file.read_bytes())["index.html"]
    for text in ("[]", "{}", '{"format": 1}', ""):
        (folder / "audit.json").write_text(text)
        with pytest.raises(ConfigError, match="is not what vfl audit"):
            pack(folder, out)


def test_the_page_lists_every_key() -> None:
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(\w+\.\w+)` \| (.*) \|$", page.partition("| key |")[2], re.MULTILINE))
    assert table == {key: About().entry(key).words for key in keys()} | {"data.columns": table["data.columns"]}
    example = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    assert build(About, tomllib.loads(example), "evidence.toml").model.owner == "Retail credit risk"


def test_terms_are_those_of_the_glossary(files: Files) -> None:
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (.*?) \| (.*) \|$", re.sub(r" \(\[\w+\]\([^)]*\)\)", "", page), re.MULTILINE))
    for name, text in (*(fact for _, _, facts in GROUPS for fact in facts), *BINS):
        assert rows[name] == text
        assert name in files["terms.html"].decode()


def test_what_is_open_is_listed_in_one_place(files: Files) -> None:
    page = files["index.html"].decode()
    section = page[page.index('<section id="open"') :].replace("<wbr>", "")
    assert f"{len(keys()) - 2} of {len(keys())} fields" in section
    assert all((f">{key}<" in section) == (key not in ("model.purpose", "model.owner")) for key in keys())
    whole = left_open(build(About, tomllib.loads(filled()), "evidence.toml"))
    assert (whole.lead, whole.grids) == ("The institution has filled in every field.", ())


def filled() -> str:
    """Every field with a text."""
    sections = dict.fromkeys(key.partition(".")[0] for key in keys())
    return "".join(
        f"[{one}]\n" + "".join(f'{k.partition(".")[2]} = "x"\n' for k in keys() if k.startswith(f"{one}."))
        for one in sections
    )


def test_evidence_toml_is_closed_and_says_where_it_is_wrong(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "evidence.toml"
    file.write_text("[model]\npurpos = 'x'\n")
    with pytest.raises(ConfigError, match=r"evidence.toml: model.purpos \(line 2\) is not a known key. Did you mean"):
        pack(run, tmp_path / "pack.zip", about=file)
    file.write_text("[monitoring]\nplan = 7\n")
    with pytest.raises(ConfigError, match=r"monitoring.plan \(line 2\) is 7"):
        pack(run, tmp_path / "pack.zip", about=file)
    assert About().open == keys()


def test_a_hash_tells_a_message_of_few_contents_and_the_pack_says_so(files: Files) -> None:
    """Which of a host's splits won at a root: the limit that docs/evidence.md states of whoever has the ledger."""

    def hashed(position: int) -> str:
        one, two, at = (np.array([v], np.int32) for v in (0, 1, position))
        return hashlib.sha256(codec.encode(OwnWins(one, two, at), ["telecom"], "bank")).hexdigest()

    line = hashed(137)
    assert [guess for guess in range(500) if hashed(guess) == line] == [137]
    assert b"can guess a message that has few possible contents" in files["index.html"]
