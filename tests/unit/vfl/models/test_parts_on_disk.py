"""A model part comes back as it was written, bit for bit; one that was changed since is a ModelError, or at least a
part that can be used."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from protocols.boosting.params import Params
from protocols.boosting.sealed_parts import GUEST, GuestTrees
from protocols.boosting.tree import walker
from protocols.cipher import Identity
from protocols.errors import ModelError
from tests.parts import KEY, guests, hosts, known, shared
from tests.unit.protocols.boosting.world import bin_blocks, train
from vfl.data import Schema
from vfl.job.setup import init_party
from vfl.models.content import CorruptPartError, Head, Part
from vfl.models.part_files import load_part, save_part
from vfl.models.registry import KINDS
from vfl.models.regression.part import GlmPart
from vfl.models.scorecard.part import ScorecardPart
from vfl.models.scorecard.points import Scale
from vfl.models.trees.leaf_values import LeafValues
from vfl.models.trees.part import TreesPart
from vfl.preprocessing import Fitting, Preprocessing, Standardiser, WoeColumn
from vfl.transport.identity import Identity as PartyIdentity

DIGEST = bytes(range(32))


def trees(membership: str) -> dict[str, TreesPart]:
    """Both parties' parts: numbers, categories and missing values, three classes, at the host too."""
    rng = np.random.default_rng(1)
    x = [rng.normal(size=(90, 2)), np.column_stack([rng.normal(size=90), rng.integers(0, 4, 90)])]
    x[0][::7, 1] = x[1][::5, 1] = np.nan
    y = np.digitize(x[0][:, 0] + x[1][:, 0], [-0.5, 0.5]).astype(float)
    p = Params(
        "multi:softprob", 3, 2, max_bin=5, min_bin_rows=2, membership=membership, num_class=3, guest_only_trees=1
    )  # type: ignore[arg-type]
    blocks = bin_blocks(x, p, [(), (1,)])
    made = train(blocks, y, p, Identity())
    depth, name = 2 if p.sealed else 0, made.part.model_id
    if made.arbiter is not None:
        LEAVES.append(LeafValues("trustco", name, "boosted-trees", made.arbiter, len(made.arbiter.shape)))
    return {
        "guest": TreesPart(
            "bank",
            name,
            ("a", "b"),
            blocks[0].binner,
            (None, None),
            ensemble=made.part,
            classes=("x", "y", "z"),
            hosts=("shop",),
        ),
        "host": TreesPart(
            "shop", name, ("c", "d"), blocks[1].binner, (None, tuple("abcd")), splits=made.hosts[0], depth=depth
        ),
    }


LEAVES: list[LeafValues] = []
PARTS: dict[str, Part] = {f"{m} {who}": part for m in ("sealed", "open") for who, part in trees(m).items()}
TWO = Standardiser.fit(pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]}), 6.0)
PARTS["regression guest"] = guests(TWO, (0.5, -1.0), 0.25)
PARTS["regression host"] = hosts(Standardiser.fit(pd.DataFrame({"c": [1.0, 2.0]}), 6.0), [[0.5]])
PARTS["shared guest of a regression"] = GlmPart(
    **(vars(PARTS["regression guest"]) | {"shares": shared([[0.5, -1.0, 0.25]], b"a" * 16, b"b" * 16), "arbiter": True})
)
TABLE = pd.DataFrame({"a": [1.0, np.nan, 2.0, 5.0], "b": pd.Series(["x", None, "y", "x"], dtype=object)})
STEPS = Fitting.start(
    TABLE, Preprocessing(impute="mean", add_indicator=True, encode="onehot", max_correlation=0.95), "shop"
).finish()
PREPARED = Standardiser.fit(TABLE, 6.0, STEPS)
PARTS["regression prepared"] = hosts(PREPARED, np.arange(len(STEPS.columns))[np.newaxis] / 4)
BINS = (
    WoeColumn("a", (0.5, 1.5), None, (-1.0,), -1, 3, 4, (50, 60, 40, 9, 30), (1, 0, 40, 3, 9)),
    WoeColumn("b", (), (("x", "y"), ("z",), ()), (), 1, -1, 2, (90, 70, 29), (10, 20, 23)),
)
MEAN, SPREAD = np.array([0.25, -0.5]), np.array([1.0, 2.0])
PARTS["scorecard guest"] = ScorecardPart(
    "bank",
    bytes(16),
    BINS,
    MEAN,
    SPREAD,
    8.0,
    known([[-0.5, -0.9, -1.5]]),
    Scale(),
    False,
    is_guests=True,
    classes=(0, 1),
)
PARTS["scorecard host"] = ScorecardPart(
    "shop",
    bytes(16),
    BINS,
    MEAN,
    SPREAD,
    8.0,
    shared([[-0.5, -0.9]], b"n" * 16),
    Scale(650.0, 30.0, 15.0),
    True,
    score_key=KEY,
)
PARTS = {n: dataclasses.replace(p, schema=Schema.of_earlier(p.inputs, p.categories)) for n, p in PARTS.items()}  # type: ignore[type-var]
each = pytest.mark.parametrize("name", PARTS)


def kind(part: Part) -> str:
    if isinstance(part, ScorecardPart):
        return "scorecard"
    return "boosted-trees" if isinstance(part, TreesPart) else "logistic-regression"


def written(part: Part, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    save_part(part, folder / "model", kind=kind(part), job_digest=DIGEST)
    return folder / "model"


@each
def test_a_part_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    folder = written(PARTS[name], tmp_path)
    part, head = load_part(folder)
    assert (head.party, head.job_digest, head.kind) == (PARTS[name].party, DIGEST.hex(), kind(PARTS[name]))
    again = written(part, tmp_path / "again")
    for file in ("manifest.json", "weights.safetensors"):
        assert (again / file).read_bytes() == (folder / file).read_bytes()
    columns = "1 column" if len(part.columns) == 1 else f"{len(part.columns)} columns"
    assert repr(part) == f"<{type(part).__name__} of {part.party}: {columns}>"  # and no number
    assert {p.stat().st_mode & 0o777 for p in folder.iterdir()} == {0o600}


@each
def test_a_part_of_an_earlier_release_has_the_types_of_what_it_knows(name: str, tmp_path: Path) -> None:
    folder = written(PARTS[name], tmp_path)
    manifest(lambda m: m.pop("schema"))(folder)
    part, head = load_part(folder)
    assert head.schema is None
    assert part.schema == PARTS[name].schema
    assert set(part.schema.types) == set(part.inputs)


def manifest(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "manifest.json"
        content = json.loads(path.read_bytes())
        change(content)
        path.write_text(json.dumps(content))

    return damage


def numbers(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = load_file(folder / "weights.safetensors")
        change(content)
        save_file(content, folder / "weights.safetensors")

    return damage


def first(tensors: dict[str, Any]) -> str:
    return min(k for k in tensors if len(tensors[k]))


EVERY: dict[str, Callable[[Path], Any]] = {
    "no manifest": lambda f: (f / "manifest.json").unlink(),
    "no numbers": lambda f: (f / "weights.safetensors").unlink(),
    "half of the numbers": lambda f: (f / "weights.safetensors").write_bytes(
        (f / "weights.safetensors").read_bytes()[:-9]
    ),
    "no JSON": lambda f: (f / "manifest.json").write_text("{"),
    "deep JSON": lambda f: (f / "manifest.json").write_text("[" * 100_000),
    "a list": lambda f: (f / "manifest.json").write_text("[]"),
    "another format": manifest(lambda m: m.update(format=3)),
    "a former format": manifest(lambda m: m.update(format=1)),
    "another kind": manifest(lambda m: m.update(kind="neural-network")),
    "a kind that is no text": manifest(lambda m: m.update(kind=["boosted-trees"])),
    "a key more": manifest(lambda m: m.update(note="x")),
    "a key less": manifest(lambda m: m.pop("party")),
    "a short name": manifest(lambda m: m.update(model_id="00")),
    "a name that is no hex": manifest(lambda m: m.update(model_id="x" * 32)),
    "a column more": manifest(lambda m: m["columns"].append("z")),
    "a column twice": manifest(
        lambda m: m.update(columns=[m["columns"][0]] * len(m["columns"]) + ["q"] * (len(m["columns"]) == 1))
    ),
    "other classes": manifest(lambda m: m.update(classes=["only"])),
    "types of another column": manifest(lambda m: m["schema"]["types"].update(q="number")),
    "types of a column less": manifest(lambda m: m["schema"]["types"].popitem()),
    "a type that is not known": manifest(
        lambda m: m["schema"]["types"].update(dict.fromkeys(m["schema"]["types"], "date"))
    ),
    "a type that the part is not of": manifest(
        lambda m: m["schema"]["types"].update(
            {c: "text" if t == "number" else "number" for c, t in m["schema"]["types"].items()}
        )
    ),
    "an array less": numbers(lambda t: t.pop(first(t))),
    "an array more": numbers(lambda t: t.update(more=np.zeros(1))),
    "another type": numbers(lambda t: t.update({first(t): t[first(t)].astype(np.float32)})),
    "an array too long": numbers(lambda t: t.update({first(t): np.concatenate([t[first(t)], t[first(t)][:1]])})),
}


@each
@pytest.mark.parametrize("damage", EVERY)
def test_what_was_changed_is_refused(name: str, damage: str, tmp_path: Path) -> None:
    folder = written(PARTS[name], tmp_path)
    EVERY[damage](folder)
    with pytest.raises(ModelError) as caught:
        load_part(folder)
    assert caught.value.remedy


def at(tensor: str, place: int, value: float) -> Callable[[Path], None]:
    def change(tensors: dict[str, Any]) -> None:
        tensors[tensor][place] = value

    return numbers(change)


PLANTED: dict[str, list[tuple[str, int, float]]] = {
    "sealed guest": [
        ("joint.owner", 0, 2),
        ("joint.owner", 0, -2),
        ("joint.order", 1, 1),
        ("joint.feature", 0, 9),
        ("margin_unit", 0, 0.0),
    ],
    "open guest": [
        ("bins.cuts", 0, np.nan),
        ("bins.cuts", 1, -100.0),
        ("bins.counts", 0, -1),
        ("trees.owner", 0, -2),
        ("trees.left", 0, 0),
        ("trees.left", 0, 100),
        ("trees.nodes", 0, 0),
        ("trees.value", -1, np.inf),
        ("base", 0, np.nan),
    ],
    "sealed host": [
        ("splits.feature", 0, 2),
        ("splits.feature", 0, -1),
        ("splits.cut", 0, 300),
        ("splits.seat", 0, 99),
        ("categories.counts", 1, -1),
        ("categories.bins", 0, -4),
        ("categories.values", 0, 99.0),
        ("categories.other", 1, 999),
    ],
    "scorecard guest": [("mean", 0, np.nan), ("scale", 0, 0.0)],
    "regression guest": [("mean", 0, np.nan), ("scale", 0, 0.0), ("scale", 0, -1.0)],
    "shared guest of a regression": [("share_names", 1, ord("a"))],
}


@pytest.mark.parametrize(("name", "where"), [(n, w) for n, places in PLANTED.items() for w in places], ids=str)
def test_numbers_that_do_not_fit_each_other_are_refused(
    name: str, where: tuple[str, int, float], tmp_path: Path
) -> None:
    folder = written(PARTS[name], tmp_path)
    at(*where)(folder)
    with pytest.raises(ModelError, match="does not fit its manifest"):
        load_part(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"max_depth": 11},
        {"max_depth": 1},
        {"num_class": 2},
        {"objective": "rank:pairwise"},
        {"membership": "open"},
        {"n_estimators": 2},
        {"learning_rate": "0.3"},
        {"more": 1},
    ],
    ids=str,
)
def test_parameters_that_do_not_fit_the_trees_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    folder = written(PARTS["sealed guest"], tmp_path)
    manifest(lambda m: m["params"].update(change))(folder)
    with pytest.raises(ModelError):
        load_part(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["bins"][0].update(missing=99),
        lambda m: m["bins"][0].update(special=-2),
        lambda m: m["bins"][0].update(cuts=[1.5, 0.5]),
        lambda m: m["bins"][0].update(cuts=[0.5]),
        lambda m: m["bins"][0]["events"].__setitem__(0, 51),
        lambda m: m["bins"][0].update(events=[0, 0, 0, 0, 0]),
        lambda m: m["bins"][0]["rows"].pop(),
        lambda m: m["bins"][1]["categories"].pop(),
        lambda m: m["bins"][1].update(name="c"),
        lambda m: m["bins"].reverse(),
        lambda m: m.update(pdo=0),
        lambda m: m.update(clip=0),
        lambda m: m.update(known=False),
        lambda m: m.update(arbiter="no"),
    ],
)
def test_bins_and_scales_that_cannot_be_are_refused(change: Callable[[dict[str, Any]], Any], tmp_path: Path) -> None:
    folder = written(PARTS["scorecard guest"], tmp_path)
    manifest(change)(folder)
    with pytest.raises(ModelError):
        load_part(folder)


@pytest.mark.parametrize(
    ("name", "why"),
    [("open guest", "bins of hosts' rows"), ("open host", "bins"), ("regression guest", "weights of its columns")],
)
def test_a_model_of_an_earlier_release_says_how_to_train_again(name: str, why: str, tmp_path: Path) -> None:
    """Of the removed profiles of trees, too."""
    folder = written(PARTS[name], tmp_path)
    manifest(lambda m: m.update(format=1))(folder)
    with pytest.raises(ModelError, match=f"earlier release, .*{why}") as refused:
        load_part(folder)
    assert refused.value.remedy is not None
    assert "Train the model again" in refused.value.remedy


DRAWN = {"bool": st.booleans(), "uint8": st.integers(0, 255)}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["sealed guest", "open guest", "sealed host", "open host"]), st.data())
def test_any_changed_number_is_refused_or_harmless(name: str, data: st.DataObject) -> None:
    """What passes can be scored with: nothing that was read indexes outside what there is."""
    part = PARTS[name]
    body = KINDS["boosted-trees"].pack(part)
    tensors = {k: v.copy() for k, v in body.tensors.items()}
    tensor = tensors[data.draw(st.sampled_from(sorted(k for k in tensors if len(tensors[k]))))]
    flat = tensor.reshape(-1)
    flat[data.draw(st.integers(0, len(flat) - 1))] = data.draw(DRAWN.get(tensor.dtype.name, st.integers(-3, 300)))
    classes = None if part.classes is None else list(part.classes)
    head = Head(2, "boosted-trees", part.party, part.model_id.hex(), DIGEST.hex(), list(part.columns), classes)
    try:
        read = KINDS["boosted-trees"].unpack(head, body.rest, tensors)
    except CorruptPartError:
        return
    assert isinstance(read, TreesPart)
    binned = read.binned(pd.DataFrame(np.random.default_rng(0).normal(size=(20, 2)), columns=list(part.columns)))
    if read.ensemble is not None:
        if isinstance(read.ensemble, GuestTrees):
            for tree, node in zip(*np.nonzero(read.ensemble.shape.owner == GUEST), strict=True):
                assert len(read.ensemble.goes_left(binned, np.arange(20), int(tree), int(node))) == 20
        known_trees = read.ensemble.own.trees if isinstance(read.ensemble, GuestTrees) else read.ensemble.trees
        handles = max(int(t.feature.max()) for t in known_trees) + 1
        if handles < 1000:
            said = [np.zeros((max(handles, 1), 20), np.bool_)] * max(1, *(int(t.owner.max()) for t in known_trees))
            for one in known_trees:
                assert len(one.value[one.route(20, walker(binned, one, said))]) == 20
    else:
        assert read.splits is not None
        for handle in range(len(read.splits)):
            assert len(read.splits.goes_left(binned, np.arange(20), handle)) == 20


@pytest.fixture
def trustco(tmp_path: Path) -> PartyIdentity:
    init_party(tmp_path / "trustco", "arbiter", "trustco")
    folder = tmp_path / "trustco" / "identity"
    return PartyIdentity.load(folder / "key.pem", folder / "cert.pem", "trustco")


def test_leaf_values_come_back_to_their_arbiter_alone(trustco: PartyIdentity, tmp_path: Path) -> None:
    (part,) = LEAVES
    folder = tmp_path / "model"
    save_part(part, folder, kind=LeafValues.STORED, job_digest=DIGEST, identity=trustco)
    found, head = load_part(folder, trustco)
    assert (head.kind, found.kind, found.count, found.model_id) == (
        "leaf-values",
        "boosted-trees",
        part.count,
        part.model_id,
    )
    for mine, theirs in ((part.trees.shape.owner, found.trees.shape.owner), (part.trees.value, found.trees.value)):
        assert np.array_equal(mine, theirs)
    shown, _ = load_part(folder)
    assert (shown.count, len(shown.trees.shape)) == (part.count, 0)
    plain = part.trees.value.tobytes()
    assert not any(
        plain[k : k + 32] in (folder / "weights.safetensors").read_bytes() for k in range(0, len(plain) - 32, 32)
    )
    assert "0" * 3 not in repr(part)
    init_party(tmp_path / "other", "arbiter", "trustco")
    other = tmp_path / "other" / "identity"
    with pytest.raises(ModelError, match="not sealed by this party's key"):
        load_part(folder, PartyIdentity.load(other / "key.pem", other / "cert.pem", "trustco"))


@pytest.mark.parametrize(
    "change",
    [{"trees": 7}, {"depth": 3}, {"depth": 11}, {"hosts": 0}, {"num_class": 0}, {"score_bits": 21}, {"more": 1}],
    ids=str,
)
def test_leaf_values_that_do_not_fit_their_manifest_are_refused(
    trustco: PartyIdentity, change: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    save_part(LEAVES[0], folder, kind=LeafValues.STORED, job_digest=DIGEST, identity=trustco)
    manifest(lambda m: m.update(change))(folder)
    with pytest.raises(ModelError):
        load_part(folder, trustco)
