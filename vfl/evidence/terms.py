"""The page of terms, for a reader who has only the pack.  What stands here stands in docs/glossary.md too."""

from __future__ import annotations

from vfl.evidence.blocks import Block, Facts, Page
from vfl.report import words

FILE = "terms.html"
PARTIES: Facts = (
    ("guest", "the active party: holds the labels and receives the scores"),
    ("host", "a passive party: holds features of the same customers"),
    ("arbiter", "holds no data; holds the decryption key, and its shares of weights or the trees' leaf values"),
    ("data party", "the guest or a host"),
    ("member", "in averaging, one of several institutions that hold the same columns of different customers"),
    (
        "aggregator",
        "in averaging, the arbiter's process: it adds up the members' masked numbers, and holds no data and no key",
    ),
)
RUN: Facts = (
    ("job, digest", "what all parties agree to, and the SHA-256 of it: parties with the same digest have the same job"),
    ("policy", "what a party allows any job to do with its data; a job that asks for more is refused"),
    ("permission", "a name that the job and every party's policy must list before a REVEALED message may leave"),
    ("ledger", "this party's signed record of every message that it sent or received"),
    (
        "alignment, intersection",
        "finding the common customers (private set intersection); the customers found",
    ),
    ("out of time", "rows on or after a day that the job names; they are held out and evaluated separately"),
    ("model part", "what one party keeps of the joint model"),
    (
        "update",
        "what a member sends in a round: how far its local training moved the common model, times its number of rows",
    ),
    (
        "search, candidate, fold",
        "the comparison of parameter values by cross-validation; one combination of values; one part of the "
        "training rows",
    ),
    ("fine bin, final bin", "the bins of a column before, and after, neighbouring bins are merged by the label"),
    (
        "predictor, linear predictor",
        "the number that a model computes for a row before the link turns it into a mean: a weighted sum of columns, "
        "or a sum of leaves",
    ),
    ("residual", "derivative of the loss with respect to the linear predictor: mean minus label"),
    (
        "g, h",
        "first and second derivative of a row's loss with respect to its predictor; sums of them decide the splits of "
        "trees",
    ),
    (
        "link",
        "the function from the linear predictor to the mean (strictly, the inverse link). `exact` is the "
        "logistic function (for counts, the exponential); `taylor` comes from the second-order expansion of "
        "the loss",
    ),
    (
        "epsilon, delta",
        "what noise promises: any event is at most exp(epsilon) times as likely, plus delta, with or without "
        "one row, member or label",
    ),
)
MESSAGES: Facts = (
    ("pinned", "said of a certificate that a party file names: only it is accepted, whoever else has signed another"),
    ("mutual TLS", "encrypted connections in which both ends prove by a certificate who they are"),
    ("disclosure class", "PUBLIC, SEALED, BLINDED, REVEALED: what a receiver can learn from a message"),
    ("share", "one of two numbers that add up to a secret; each by itself reveals nothing"),
    ("pad", "a uniformly random number that hides one other number and is used once"),
    (
        "fresh",
        "said of a ciphertext whose randomness has a factor that the receiver does not know and has not seen elsewhere",
    ),
    (
        "dealer",
        "who draws random numbers for other parties, and so knows all of them: a job's first host, for the "
        "link's look-up. A dealer for pads of products would have to know the columns too; Paillier takes its"
        " place",
    ),
)
ATTACKS: Facts = (
    (
        "lattice reduction",
        "a method to find small whole numbers that solve equations; with few enough rows it reads labels from one "
        "gradient",
    ),
    (
        "twin",
        "generated tables with the shapes of a run, and a run of the same job on them: there is truth to "
        "score an attack by",
    ),
    ("control", "the same attack where a leak is planted: it must succeed, or the attack shows nothing"),
    ("bound", "the largest result of an attack that this product may give, fixed before the run"),
    ("textbook protocol", "the published protocol, on the same data and without the protection of this engine"),
)
BINS: Facts = (
    ("PSI", "population stability index: how far the distribution of a column or score has moved; 0 is not at all"),
    (
        "WOE, IV",
        "weight of evidence: the logarithm of a bin's share of the others over its share of the events; "
        "information value: how much all bins of a column tell",
    ),
)
GROUPS = (
    ("parties", "Who takes part", PARTIES),
    ("run", "A run and its model", RUN),
    ("messages", "What messages can tell", MESSAGES),
    ("attacks", "Attacks", ATTACKS),
)


def terms(sub: str) -> Page:
    """The page; sub: the line below each title."""
    blocks = [Block(id, title, facts=facts) for id, title, facts in GROUPS]
    measures = tuple((name, text) for name, _, text in words.METRICS.values() if text)
    blocks.append(Block("measures", "Measures", facts=(*measures, *BINS)))
    return Page(FILE, "Terms", sub, "What the words of this pack mean.", tuple(blocks), note="The same in every pack.")
