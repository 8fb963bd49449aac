"""Model documentation, technical documentation and impact assessment: what the run knows, and what the institution has
to fill in."""

from __future__ import annotations

from dataclasses import replace

from vfl.evidence import grids
from vfl.evidence.attack_answer import what_was_tried
from vfl.evidence.blocks import Block, Facts, Page
from vfl.evidence.questions import answers
from vfl.evidence.recorded import Recorded
from vfl.evidence.subject import Subject, who_is_who
from vfl.evidence.through import indirect
from vfl.report import words
from vfl.report.noise import promised
from vfl.report.sections import moment

GENERAL = ("model.purpose", "model.version", "conformity.provider", "model.users")
AFTER = ("monitoring.post_market", "monitoring.plan", "monitoring.limits")
LAYERS = ("hidden_layer_sizes",)  # parameters that are lists
MODEL, TECHNICAL, PRIVACY = "model-documentation.html", "annex-iv.html", "data-protection.html"


def documents(subject: Subject) -> tuple[Page, ...]:
    """The three pages besides the entry page."""
    return _model(subject), _technical(subject), _privacy(subject)


def subtitle(subject: Subject) -> str:
    """The line below each title."""
    run = subject.run
    return f"{run.report.get('job')} · pack of {run.party}, {run.role} · {moment(run.started)}"


def _from(subject: Subject, question: int, id: str, title: str, *keys: str, lead: str = "") -> Block:
    """A section with what the answer to a question holds, and other fields of the institution."""
    found = answers(subject)[question - 1]
    return replace(
        found,
        id=id,
        title=title,
        lead=f"{lead} {found.lead}".strip(),
        entries=subject.about.entries(*keys) if keys else found.entries,
    )


def _model(s: Subject) -> Page:
    """In the order of the subjects of SR 26-2."""
    blocks = (
        _from(
            s,
            1,
            "purpose",
            "Purpose, use and materiality",
            "model.purpose",
            "model.owner",
            "model.users",
            "model.not_for",
            "model.materiality",
            "model.version",
        ),
        _from(s, 3, "people", "Development: data", "data.people", "data.left_out"),
        _from(s, 2, "inputs", "Development: inputs and their treatment", "data.treatment"),
        Block("method", "Development: method", _method(s), _chosen(s), entries=s.about.entries("model.alternatives")),
        _from(s, 4, "testing", "Development: testing"),
        Block(
            "validation",
            "Validation",
            "A validator who did not develop the model judges it. The pack gives what that needs: the measures with "
            "their uncertainty, a simpler alternative, and the commands that compute them again.",
            entries=s.about.entries("approval.validated_by", "approval.validated_on", "approval.findings"),
            links=(("commands.json", "the command for each number"),),
        ),
        _from(s, 5, "outcomes", "Outcomes: stability and groups"),
        _from(s, 11, "monitoring", "Monitoring"),
        _from(s, 6, "explanations", "Use: explanations and overrides"),
        Block(
            "governance",
            "Governance and controls",
            "Each party bounds in its own policy what any job may do, and approves a job by its digest. The ledger "
            "says who started the run and who approved the policy.",
            answers(s)[0].facts,
            entries=s.about.entries("approval.approved_by", "approval.approved_on", "model.changes"),
        ),
        Block(
            "partners",
            "Partners and third-party components",
            "The partners of the job, whose data or work the model needs, and the software that the run stood on.",
            who_is_who(s.run),
            entries=s.about.entries("incidents.partner_leaves", "incidents.contact"),
            links=(("components.cdx.json", "component list, CycloneDX"),),
        ),
    )
    lead = "For model risk managers and validators."
    note = (
        "The order is that of the subjects of the interagency guidance on model risk management of April 2026 (SR "
        "26-2, OCC Bulletin 2026-13): development and use, validation and monitoring, governance and controls, third "
        "parties. The guidance sets no form; this page claims no conformity with it. Boxes with a dashed line are "
        "the institution’s own to fill in."
    )
    return Page(MODEL, "Model documentation", subtitle(s), lead, blocks, note=note)


def _method(s: Subject) -> str:
    if s.run.purpose == "align":
        return "No model takes part in an alignment."
    if s.run.purpose == "predict":
        return f"A prediction by a model of the kind {s.kind}. The pack of its training documents the method."
    if words.of_members(s.run.report):
        return (
            "Members train on their own rows. After each round the average of their updates, which is computed under "
            "masks, becomes the model."
        )
    return (
        f"A model of the kind {s.kind}, trained on the columns of all data parties. Each party holds its own part; "
        "no party holds the model."
    )


def _chosen(s: Subject) -> Facts:
    """The parameters of the model."""
    found = words.parameters(s.model)
    size = s.model.get("key_bits")
    return (
        *((name, str(value)) for name, value in found.items()),
        *((name.replace("_", " "), words.joined(value)) for name, value in s.model.items() if name in LAYERS),
        *((("key length", f"{size} bits"),) if size else ()),
    )


def _technical(s: Subject) -> Page:
    """In the order of the nine points of Annex IV."""
    about = s.about.entries
    blocks = (
        _from(s, 1, "point-1", "1 · General description of the system", *GENERAL),
        Block(
            "point-2",
            "2 · Elements of the system, and its development",
            _method(s),
            _chosen(s),
            grids=grids.own_columns(s.figures, s.about, s.run.party),
            entries=about(
                "data.people", "data.treatment", "model.alternatives", "oversight.human", "risk.cybersecurity"
            ),
            links=(("components.cdx.json", "the software that the run stood on"), (MODEL, "model documentation")),
        ),
        _from(
            s,
            6,
            "point-3",
            "3 · Monitoring, functioning and control",
            "model.not_for",
            "oversight.human",
            "oversight.explanation",
            "fairness.findings",
        ),
        _from(s, 4, "point-4", "4 · Appropriateness of the performance metrics", "model.alternatives"),
        Block(
            "point-5",
            "5 · Risk management system",
            "Risks of disclosure are described on the page about data protection.",
            entries=about("risk.management", "risk.to_people", "risk.measures"),
            links=((PRIVACY, "data protection"),),
        ),
        Block(
            "point-6",
            "6 · Changes through the lifecycle",
            "Each training is a run of its own, with its own pack.",
            entries=about("model.changes"),
        ),
        Block("point-7", "7 · Harmonised standards and other specifications", entries=about("conformity.standards")),
        Block("point-8", "8 · EU declaration of conformity", entries=about("conformity.declaration")),
        _from(s, 11, "point-9", "9 · Performance after it is placed on the market", *AFTER),
    )
    lead = "For providers and deployers of a high-risk system."
    note = (
        "The order is that of the nine points of Annex IV to Regulation (EU) 2024/1689 (AI Act). Whether the Act "
        "applies, and what a provider must add, is for the institution to decide. Boxes with a dashed line are its "
        "own to fill in."
    )
    return Page(TECHNICAL, "Technical documentation", subtitle(s), lead, blocks, note=note)


def _privacy(s: Subject) -> Page:
    """One section per party, from the job and what messages declare."""
    run = s.run
    what = {"run": "the training of a model", "predict": "the prediction of new rows", "align": "an alignment of ids"}[
        run.purpose
    ]
    common = Block(
        "processing",
        "The processing and its purposes",
        f"The parties take part in {what} without giving each other their tables. {_stays(run)}",
        who_is_who(run),
        entries=s.about.entries("model.purpose", "data.lawful_basis", "data.people", "data.retention"),
    )
    need = Block(
        "necessity",
        "Necessity and proportionality",
        "What the job reveals on purpose, as every party’s policy allowed it:",
        tuple((name, text) for name, text in (s.figures.get("permits") or {}).items()),
        entries=s.about.entries("data.necessity", "data.rights", "data.identifiable"),
    )
    risks = Block(
        "risks",
        "Risks for people",
        "What could be concluded if parties break the agreement together or use it in their own interest. "
        + what_was_tried(run.audited, run.party).replace("listed below", "listed at question 8"),
        grids=grids.together(run),
        entries=s.about.entries("risk.to_people"),
        links=answers(s)[7].links,
    )
    measures = Block(
        "measures",
        "Measures against these risks",
        points=(
            "Connections are mutual TLS with pinned certificates.",
            "A message whose permission is not in the job and in this party’s policy is refused before it leaves.",
            "A ciphertext that is not fresh to its receiver cannot be sent.",
            "Every message is in a ledger that is chained and signed, and partners sign what they exchanged.",
            "Budgets bound what many runs disclose together.",
        ),
        facts=_noise(s),
        entries=s.about.entries("risk.measures", "risk.cybersecurity", "incidents.compromised"),
        links=(("budgets.json", "budgets"), *((("ledger/ledger.jsonl", "the ledger"),) if run.lines else ())),
    )
    parties = tuple(_party(s, name) for name in (run.party, *run.partners()))
    lead = (
        "For data-protection officers. What each party receives is taken from the declarations of the messages and "
        "from the ledger."
    )
    note = (
        "The sections follow the contents of an assessment under Article 35(7) GDPR: the processing and its "
        "purposes, necessity and proportionality, risks, measures. For whom data are about identifiable people is a "
        "legal question that the pack does not answer; it says what each receiver gets. Boxes with a dashed line are "
        "the institution’s own to fill in."
    )
    return Page(PRIVACY, "Data protection", subtitle(s), lead, (common, need, *parties, risks, measures), note=note)


def _stays(run: Recorded) -> str:
    """What is compared, and what leaves a party's table."""
    if words.of_members(run.report):
        if run.purpose != "run":
            return "A member scores its own rows by itself: nothing leaves."
        return (
            "Nobody is matched, and no id is compared. Rows stay where they are; of each member’s columns sums over "
            "its rows leave under masks, and all parties learn the sums over members."
        )
    if run.purpose == "align":
        return "Ids are compared in blinded form; no column but the key columns takes part."
    return "Ids are compared in blinded form; columns stay where they are, and numbers computed from them leave."


def _noise(s: Subject) -> Facts:
    promise = promised(s.figures)
    return (("Noise", promise),) if promise else ()


def _party(s: Subject, name: str) -> Block:
    """What one party receives, as far as this party’s pack can say."""
    run, title = s.run, f"What {name} receives"
    id = f"party-{name}"
    if name == run.party:
        lead = f"{name} made this pack. It received these messages, and nothing else:"
        return Block(id, title, lead, grids=grids.came(run))
    tables, (points, through) = grids.sent(s.figures, run, name), indirect(run, name)
    lead = (
        f"From {run.party}, by its ledger:"
        if tables
        else points[0]
        if points
        else f"{run.party} sent nothing to {name}. What {name} received from others is in their packs."
    )
    return Block(
        id,
        title,
        lead,
        grids=(*tables, *through),
        points=(f"What {name} receives from other parties is bounded by the permissions above; its own pack lists it.",)
        if len(run.partners()) > 1
        else (),
    )
