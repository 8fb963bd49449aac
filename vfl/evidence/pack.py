"""Makes the pack of a run: `vfl evidence pack`.  The same run, fields and libraries give the same bytes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from protocols.errors import ConfigError
from vfl.evidence.about import About, keys, load_about
from vfl.evidence.archive import Files, packed
from vfl.evidence.blocks import Block, Grid, Page
from vfl.evidence.checking import AGREED, LEDGER, PARTNERS, SIGNER
from vfl.evidence.commands import numbers
from vfl.evidence.components import component_list, differing
from vfl.evidence.documents import documents, subtitle
from vfl.evidence.figures import figures
from vfl.evidence.grids import tiles
from vfl.evidence.pages import render
from vfl.evidence.questions import QUESTIONS, answers
from vfl.evidence.recorded import Recorded, agreed, recorded, with_permits
from vfl.evidence.seal import CERTIFICATE, FORMAT, INDEX, SIGNATURE, as_json, listed, sealed, sha256
from vfl.evidence.spent import Budgets, budgets
from vfl.evidence.subject import Subject
from vfl.evidence.terms import FILE as TERMS
from vfl.evidence.terms import terms
from vfl.job import Party, load_agreement, load_party
from vfl.ledger import LedgerBroken, partners_signed, verify_ledger
from vfl.report import words
from vfl.storage.files import out_written, write_private
from vfl.transport.identity import Identity, fingerprint
from vfl.version import __version__

ENTRY = "index.html"
PARTY_FILE = "party.toml"
SAYS = {
    ENTRY: "the entry page: twelve questions and their answers",
    "model-documentation.html": "model documentation, in the order of SR 26-2",
    "annex-iv.html": "technical documentation, in the order of Annex IV of the AI Act",
    "data-protection.html": "impact assessment: what each party receives",
    TERMS: "what the words of the pack mean",
    "figures.json": "the numbers of the run",
    "commands.json": "each number with the commands that show and compute it",
    "budgets.json": "what the budgets stood at",
    "environment.json": "releases and machine of the run",
    "components.cdx.json": "the software that the run stood on, CycloneDX 1.6",
    AGREED: "the job as agreed: its SHA-256 is the job's digest",
    LEDGER: "one line for each message, chained and signed",
    PARTNERS: "what partners signed of the ledger",
    SIGNER: "the certificate under which the ledger is signed",
    CERTIFICATE: "the certificate of the party that made the pack",
    "audit/audit.html": "checks of the run's own transcript, and attacks on what the page names (a twin of the run)",
    "audit/audit.json": "the same for programs",
}


@dataclasses.dataclass(frozen=True)
class Packed:
    """A pack that was written.  open: the fields that nobody filled in; certificate: its fingerprint."""

    file: Path
    sha256: str
    files: tuple[str, ...]
    open: tuple[str, ...]
    certificate: str


def pack(run: Path, out: Path, party: Path | None = None, about: Path | None = None, job: Path | None = None) -> Packed:
    """Writes the pack of a finished run, mode 0600.

    party: this party's file, otherwise the party.toml above the run's folder; about: evidence.toml; job: the job file,
    for an alignment, whose folder does not hold the job.
    Raises ConfigError, ModelError, LedgerBroken.
    """
    made = recorded(run)
    made = made if job is None else with_job(made, job)
    own = load_party(party_file(run) if party is None else party)
    if own.name != made.party:
        raise ConfigError(
            f"the run in {run} is of {made.party}, and the party file of {own.name}",
            remedy="Name the party file of the party whose run it is with --party",
        )
    identity = Identity.load(own.identity.key, own.identity.certificate, own.name)
    said = load_about(about)
    files = contents(made, said, identity, ledger_certificate(made, own, identity), budgets(own, made))
    data = packed(files)
    with out_written(out):
        write_private(out, data)
    return Packed(out, sha256(data), tuple(sorted(files)), said.open, identity.fingerprint())


def with_job(run: Recorded, path: Path) -> Recorded:
    """The run with the content of its job file.  Raises ConfigError where it is of another job."""
    job = load_agreement(path)
    if job.digest.hex() != run.report.get("job_digest"):
        raise ConfigError(
            f"{path} is not the job of this run",
            expected=run.report.get("job_digest"),
            found=job.digest.hex(),
            remedy="Name the job file of this run: vfl job digest shows a file's digest",
        )
    report = {**run.report, "job_file": json.loads(job.canonical)}
    return dataclasses.replace(run, report=with_permits(report) if run.purpose == "align" else report)


def party_file(run: Path) -> Path:
    """The party file above the folder of a run; raises ConfigError where there is none."""
    for folder in run.resolve().parents:
        if (folder / PARTY_FILE).is_file():
            return folder / PARTY_FILE
    raise ConfigError(f"no {PARTY_FILE} is above {run}", remedy="Name this party's file with --party")


def ledger_certificate(run: Recorded, party: Party, identity: Identity) -> bytes | None:
    """The certificate under which the run's ledger is signed: the party's, or one that it had before a renewal.  Raises
    LedgerBroken where none fits."""
    if run.ledger is None:
        return None
    former = sorted(party.identity.certificate.parent.glob("until-*/*.pem"))
    certificates = [identity.certificate_pem]
    certificates += [pem for path in former if b"PRIVATE KEY" not in (pem := path.read_bytes())]
    for pem in certificates:
        try:
            verify_ledger(run.folder / "ledger.jsonl", pem)
        except (LedgerBroken, ConfigError):
            continue
        return pem
    raise LedgerBroken(
        f"the ledger in {run.folder} is not signed by {party.name}, with its certificate or a former one",
        remedy="Find the unchanged ledger, or put the former certificate back where vfl renew kept it",
    )


def contents(run: Recorded, about: About, identity: Identity, signer: bytes | None, spent: Budgets) -> Files:
    """Every file of the pack, by name."""
    content = figures(run.report)
    signers = {run.party: fingerprint(identity.certificate_pem)}
    if run.ledger is not None:
        partners = partners_signed(run.folder / "ledger.jsonl")
        signers |= {name: fingerprint(pem) for name, pem in partners.items()}
    environment = content.get("environment") or {}
    versions = tuple(differing(environment.get("versions") or {}))
    subject = Subject(run, content, about, spent, signers, versions)
    files = _records(run, identity, signer) | _numbers(subject)
    pages = (entry_page(subject), *documents(subject), terms(subtitle(subject)))
    links = tuple((page.file, page.title) for page in pages)
    files |= {page.file: render(page, links).encode() for page in pages}
    files |= {f"audit/{name}": data for name, data in run.audit.items()}
    index = as_json(_index(subject, files, identity))
    return files | {INDEX: index, SIGNATURE: sealed(index, identity.certificate_pem, identity.sign)}


def _records(run: Recorded, identity: Identity, signer: bytes | None) -> Files:
    """The files that the run wrote, as they are, and certificates."""
    found = {AGREED: agreed(run.report), LEDGER: run.ledger, PARTNERS: run.signatures, SIGNER: signer}
    return {CERTIFICATE: identity.certificate_pem} | {name: data for name, data in found.items() if data is not None}


def _numbers(subject: Subject) -> Files:
    run, content = subject.run, subject.figures
    spent = {
        "limits": [dataclasses.asdict(one) | {"left": one.left} for one in subject.budgets.limits],
        "partners": [dataclasses.asdict(one) for one in subject.budgets.partners],
        "unreadable": subject.budgets.unreadable,
    }
    run_id = f"{run.start.get('run')} {run.party} {run.started}"
    return {
        "figures.json": as_json(content),
        "commands.json": as_json(numbers(content, run.purpose)),
        "budgets.json": as_json(spent),
        "environment.json": as_json(content.get("environment") or {}),
        "components.cdx.json": component_list(run_id, run.started).encode(),
    }


def entry_page(subject: Subject) -> Page:
    """Twelve questions and their answers, and what is left open."""
    run = subject.run
    first = tiles(subject.figures, words.outcome_of(run.report), subject.names)
    lead = (
        "Everything that this party can prove about one run. `vfl evidence verify` finds any byte that was changed "
        "and says whose key signed the pack."
    ).replace("`", "")
    note = (
        "Left out on purpose: ids, values of rows, quantiles, texts of categories, and names of partners’ columns. "
        "Whoever has the ledger learns when the parties worked and how much they sent, and can guess a message that "
        "has few possible contents from its hash."
    )
    columns = tuple(str(one["column"]) for one in subject.figures.get("columns") or ())
    title, blocks = f"Evidence: {words.title(run.report)}", (*answers(subject), left_open(subject.about, columns))
    return Page(ENTRY, title, subtitle(subject), lead, blocks, first, note)


def left_open(about: About, columns: tuple[str, ...] = ()) -> Block:
    """The fields that nobody has filled in, and own columns whose meaning nobody said, in one place."""
    unsaid = [name for name in columns if name not in about.data.columns]
    rows = (
        *((key, about.entry(key).words) for key in about.open),
        *((f"data.columns: {name}", "what this own column means") for name in unsaid),
    )
    if not rows:
        return Block("open", "Open fields", "The institution has filled in every field.")
    lead = (
        f"{len(about.open)} of {len(keys())} fields, and the meanings of {len(unsaid)} of {len(columns)} columns, are "
        "the institution’s own to fill in, and stand open where the pages need them. `vfl evidence pack --about "
        "evidence.toml` fills them in."
    )
    return Block(
        "open", "Open fields", lead, grids=(Grid("Fields of evidence.toml", ("Field", "What it holds"), rows),)
    )


def _index(subject: Subject, files: Mapping[str, bytes], identity: Identity) -> dict[str, Any]:
    """The machine-readable index."""
    run, about = subject.run, subject.about
    named = {key: about.entry(key).text or None for key in keys()}
    return {
        "format": FORMAT,
        "release": __version__,
        "job": run.report.get("job"),
        "job_digest": run.report.get("job_digest"),
        "run": run.start.get("run"),
        "purpose": run.purpose,
        "party": run.party,
        "role": run.role,
        "partners": list(run.partners()),
        "started": run.started,
        "certificate": identity.fingerprint(),
        "questions": [
            {
                "number": k,
                "question": QUESTIONS[k - 1],
                "answer": f"{ENTRY}#{block.id}",
                "files": [file for file, _ in block.links],
                "fields": [entry.key for entry in block.entries],
            }
            for k, block in enumerate(answers(subject), 1)
        ],
        "fields": named,
        "files": listed(files, SAYS),
    }
