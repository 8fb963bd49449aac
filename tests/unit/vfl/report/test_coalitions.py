"""The report's table of coalitions against what runs really send: whoever holds the secret that protects a message is,
with its receiver, a row of the table."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import vfl
from protocols.cipher import Keyring, Paillier
from protocols.message import Disclosure
from tests.harness import TOY, Escrow, Recording, Sent
from tests.unit.vfl.steps.test_out_of_time import frames
from tools.leakage_page import declared
from vfl.report import coalitions as table

# Who, beside sender and receiver, holds what blinds a message without ciphertexts; "": nobody.
THIRD = {
    **dict.fromkeys(
        ("BlindedIds", "SortedTags", "RelayedIds"), ""
    ),  # the secrets of data parties, of which the table's last row speaks
    **dict.fromkeys(
        ("PlacesAfter", "PlacesBefore"), ""
    ),  # the orders of all other data parties, of which the table's last row speaks
    **dict.fromkeys(("ListSize", "ListSizes"), ""),  # sizes, which are declared
    **dict.fromkeys(("PairKey", "TreeRowOrder"), ""),  # drawn by their sender
    **dict.fromkeys(("DealtRounding",), ""),  # masked by their sender
    **dict.fromkeys(("MaskedNumbers", "MaskedKey", "CutOpening"), "dealer"),  # which dealt the masks
    **dict.fromkeys(
        ("Reshared", "FactorLessPad", "DealtLeaves", "MaskedLeaves"), "dealer"
    ),  # by keys of dealer and arbiter
    **dict.fromkeys(("CutShare", "MaskedMembership"), "dealer"),  # by keys of dealer and guest
    **dict.fromkeys(
        ("FactorShare", "DirectionShare", "ProductShare", "FactorProduct"), "arbiter"
    ),  # which has the other pads
    **dict.fromkeys(("LevelShares", "Blocks", "ShareLessPad"), "arbiter"),  # which drew the pads, or shares their key
    **dict.fromkeys(("LookupIndex", "MaskedFactors"), "dealer"),  # which dealt the positions and the triple
    **dict.fromkeys(
        (
            "Deal",
            "MaskedPredictors",
            "MaskedGradient",
            "MaskedProducts",
            "HeldShares",
            "MaskedPadSums",
            "MaskedPads",
            "MaskedGradientPads",
            "MeanLessPad",
            "WeightsLessPad",
            "ProductDeal",
        ),
        "",
    ),  # masked by their sender
    **dict.fromkeys(("PaddedPredictor", "ResidualLessPad", "DealtProducts"), "arbiter"),  # which drew the pads
    **dict.fromkeys(("PaddedFactors", "PaddedFactor"), "dealer"),  # which dealt the product
    **dict.fromkeys(("LayerProducts", "HiddenParts", "ErrorShare"), "arbiter"),  # which has the other share
    **dict.fromkeys(("LayerSeed", "RowPads", "ResharedSums"), ""),  # drawn, or masked, by their sender
    **dict.fromkeys(("GramBlocks", "GramProducts"), ""),  # masked by their sender
    **dict.fromkeys(("OthersWeights", "HandedOver"), ""),  # whose owner has the other share, as of all weights
    **dict.fromkeys(
        ("ListStart", "PublishedTags", "PadSeed", "BlindedAsk", "PreparedProducts", "MaskedColumns"), ""
    ),  # of online scores, which have no report: drawn, blinded or masked by their sender
    **dict.fromkeys(("PaddedList", "PaddedRecords"), "guest"),  # which knows the pads
    **dict.fromkeys(("RecordShares", "DealtWalks"), "arbiter"),  # which has the other share
    **dict.fromkeys(("WalkBits", "WalkMembership", "WalkValues"), "dealer"),  # which dealt the products
    "QueryKeys": "arbiter",  # which has the keys for the other server
    "MaskedUpdate": "",  # by no one party; of an averaging, which has no report: the threshold of members, by shares
}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "taylor": (vfl.LogisticRegression(max_iter=5, link="taylor"), {"kind": "logistic-regression", "link": "taylor"}),
    "by the loss": (
        vfl.LogisticRegression(max_iter=15, link="taylor", tol=0.5, n_iter_no_change=5),
        {"kind": "logistic-regression", "link": "taylor", "tol": 0.5},
    ),
    "exact": (vfl.LogisticRegression(max_iter=5), {"kind": "logistic-regression", "link": "exact"}),
    "prepared": (vfl.LogisticRegression(max_iter=5), {"kind": "logistic-regression", "link": "exact"}),
    "counts": (vfl.PoissonRegression(max_iter=5), {"kind": "poisson-regression"}),
    "scorecard": (
        vfl.Scorecard(max_iter=5, link="taylor", min_bin_rows=8, min_bin_size=0.1),
        {"kind": "scorecard", "link": "taylor"},
    ),
    "sealed trees": (
        vfl.BoostedTrees(n_estimators=1, max_depth=2, max_bin=4, min_bin_rows=4),
        {"kind": "boosted-trees", "membership": "sealed"},
    ),
    "open trees": (
        vfl.BoostedTrees(n_estimators=1, max_depth=2, max_bin=4, min_bin_rows=4, membership="open"),
        {"kind": "boosted-trees", "membership": "open"},
    ),
}
NETWORK = (vfl.MLPClassifier(hidden_layer_sizes=2, max_iter=1), {"kind": "mlp-classifier"})
HOSTS = {"telecom": "host", "shop": "host"}
Pairs = set[frozenset[str]]


def role(party: str) -> str:
    return HOSTS.get(party, party)


def third_parties(transcript: list[Sent], keys: Keyring) -> Pairs:
    """The receiver of a message, and who beside its sender could open it for the receiver."""
    found: Pairs = set()
    for s in transcript:
        holders = {v.key.holder for v in s.vectors(keys)} if s.kind.disclosure is not Disclosure.PUBLIC else set()
        third = THIRD.get(s.kind.kind, "")
        holders |= {"telecom" if third == "dealer" else third} - {""}
        found |= {frozenset((role(s.receiver), role(h))) for h in holders - {s.sender, s.receiver}}
    return {pair for pair in found if len(pair) == 2}


def told(model: dict[str, Any], hosts: list[str]) -> Pairs:
    """The pairs of roles that the table names."""
    rows = table.coalitions({"model": model, "parties": {"hosts": hosts}})
    return {
        frozenset(pair)
        for who, _ in rows
        for pair in itertools.combinations(("arbiter", "guest", "host"), 2)
        if all(name in who for name in pair) and "all but one" not in who
    }


def run(kind: str, hosts: int) -> tuple[Pairs, Pairs]:
    """(what the run shows, what the table tells)."""
    guest, by_name = frames(60)
    frame = by_name["telecom"]
    given = {"telecom": frame} if hosts == 1 else {"telecom": frame[["id", "c"]], "shop": frame[["id", "d"]]}
    wide = Paillier(1024)  # with room for the factor that hides a difference of losses
    scheme, transcript = Escrow(wide if kind == "by the loss" else TOY), list[Sent]()
    fed = vfl.Federation.local(
        guest.drop(columns="opened"),
        given,
        on="id",
        label="bad",
        cipher=scheme,
        convergence=False,
        preparation="batched" if kind == "prepared" else "none",
    )
    estimator, written = (KINDS | {"network": NETWORK})[kind]
    fed.fit(estimator, split=vfl.Split(), taps={p: [Recording(p, transcript)] for p in fed.roles.all})
    keys = Keyring()
    for key in scheme.keys:
        keys.add(key.public)
    return third_parties(transcript, keys), told(written, list(given))


@pytest.mark.parametrize("hosts", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("kind", KINDS)
def test_every_pair_that_could_open_a_message_is_a_row(kind: str, hosts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, written = run(kind, hosts)
    assert shown <= written
    if kind != "open trees":
        assert frozenset(("arbiter", "guest")) in shown
        assert frozenset(("arbiter", "host")) in shown
        monkeypatch.setattr(
            table, "_regression", lambda *_: [("arbiter and guest", "")]
        )  # planted: a table that forgets the host
        monkeypatch.setattr(table, "_trees", lambda *_: [("arbiter and guest", "")])
        assert not shown <= told(KINDS[kind][1], ["telecom"])


@pytest.mark.parametrize("hosts", [1, 2])
def test_the_rows_of_a_network(hosts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, written = run("network", hosts)
    every = {frozenset(pair) for pair in itertools.combinations(("arbiter", "guest", "host"), 2)}
    assert shown == written == every
    monkeypatch.setattr(table, "NETWORK", [("arbiter and guest", "")])  # planted
    assert not shown <= told(NETWORK[1], ["telecom"])


def test_only_a_link_that_is_dealt_for_names_the_dealer() -> None:
    for kind, deals in (("exact", True), ("by the loss", True), ("taylor", False)):
        rows = table.coalitions({"model": KINDS[kind][1], "parties": {"hosts": ["telecom"]}})
        assert any("random numbers" in who for who, _ in rows) == deals
        assert (frozenset(("guest", "host")) in run(kind, 2)[0]) == deals


def test_whoever_adds_a_blinded_message_says_who_could_open_it() -> None:
    assert {m.kind for m in declared() if m.disclosure is Disclosure.BLINDED} <= set(THIRD)


def test_an_alignment_says_what_its_parties_could_conclude() -> None:
    def rows(hosts: list[str], **align: Any) -> dict[str, str]:
        job = {"parties": {"guest": "bank", "hosts": hosts}, "align": align}
        return dict(table.coalitions({"purpose": "align", "job_file": job}))

    two, three = rows(["telecom"]), rows(["telecom", "shop"])
    assert two["guest and host"] == "nothing that the two do not already hold"
    assert "whom it only guesses" in two["a data party by itself, with a list of its choice"]
    assert {"arbiter and all but one data party", "arbiter and a data party"} <= three.keys()
    assert "guest and host" not in three
    sizes = rows(["telecom"], cardinality_only=True)
    assert "each size is one equation" in sizes["a data party by itself, with many lists of its choice"]
    assert table.coalitions({"purpose": "align"}) == []  # a folder of an earlier release, without its job
