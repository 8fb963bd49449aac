"""Boosted trees by files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.boosting import objective, open, sealed, twin
from protocols.boosting.ensemble import Ensemble, Rounds
from protocols.boosting.params import Params
from protocols.boosting.sealed_parts import GuestTrees, alone
from protocols.errors import ConfigError
from protocols.online.lists import bits_of
from protocols.online.records import check_list, check_walk
from protocols.session import Roles, Session
from vfl.data import Table
from vfl.data.codes import unseen
from vfl.models.content import Body, Head
from vfl.models.fitted import Fitted, Scored
from vfl.models.kind import Kind
from vfl.models.plan import Plan, Role
from vfl.models.trees import constraints, program, scores
from vfl.models.trees.binning import check_columns, check_label
from vfl.models.trees.constraints import in_words, signs_of
from vfl.models.trees.fallback import TreesFallback, load
from vfl.models.trees.joint import FederatedTrees
from vfl.models.trees.part import TreesPart, pack
from vfl.models.trees.part_reading import unpack
from vfl.models.trees.reported import TreesReport
from vfl.models.trees.spec import BoostedTrees
from vfl.models.trees.summary import part_summary, splits_by_column, tree_count
from vfl.models.workload import Columns, Workload
from vfl.screen import shown
from vfl.screen.shown import Cell, Shown
from vfl.steps.search import Search

SPLITS = shown.Heading("splits", "d")
SearchSpec = Search[Plan[BoostedTrees]] | None
SEALED_ROWS = (
    "nobody sees a row's gradient, score, node or direction; the arbiter sees sums of gradients over unnamed bins"
)
CONSTRAINTS = (
    "monotone in the columns that their owners name (monotone_constraints); {chooser} learns which unnamed bins belong "
    "to such a column, and the direction"
)
OPEN_ROWS = (
    "assume that the guest learns, without the column's name, the bin of every row in every column that wins "
    "(correlation .96 and more in tests), "
    "and that hosts learn the labels of all training rows (AUC .997 and more in tests; membership = open)"
)


def _means(params: Params, margins: NDArray[np.float64]) -> NDArray[np.float64]:
    means = objective.predictions(params, margins)
    return means if means.shape[1] > 1 else means[:, 0]


def check_continues(plan: Plan[BoostedTrees], roles: Roles, part: TreesPart, table: Table) -> None:
    """Raises ConfigError or DataError unless the job can add rounds to the model that `part` belongs to, with this
    table."""
    model, party = plan.spec, part.party
    check_columns(table, part)
    if part.monotone != (signs_of(table) if model.monotone_constraints else ()):
        raise ConfigError(
            f"{party}: a model is continued with its own {constraints.NAME}",
            remedy="Declare for every column what was declared then",
            party=party,
        )
    if part.ensemble is None:
        depth = model.max_depth if model.membership == "sealed" else 0
        if part.depth != depth:
            raise ConfigError(
                f"{party}: a model is continued with its own membership and max_depth",
                remedy="Set them as they were",
                expected=part.depth or "open",
                found=depth or "open",
                party=party,
            )
        return
    if part.hosts != roles.hosts:
        raise ConfigError(
            f"{party}: a model is continued with its own hosts, in their order",
            remedy="Name them as they were",
            expected=", ".join(part.hosts),
            found=", ".join(roles.hosts),
            party=party,
        )
    check_label(table, part)
    model.params().check_continues(part.trees.params, tree_count(part))


class Trees(Kind[BoostedTrees, TreesPart]):
    """vfl.BoostedTrees."""

    spec = BoostedTrees
    reported = TreesReport
    joint = FederatedTrees
    starter: ClassVar = {
        "objective": '"binary:logistic", "reg:squarederror", "count:poisson", or "multi:softprob" with num_class.',
        "membership": '"sealed": nobody sees where a row goes; "open" gives away the bins of the hosts\' rows and the '
        "labels.",
        "n_estimators": "Number of rounds, with one tree per round.",
        "max_depth": "Levels of splits.",
        "learning_rate": "How far a tree moves the score.",
        "max_bin": "Bins per column.",
        "min_bin_rows": "No bin of a host has fewer rows.",
    }

    def described(self, plan: Plan[BoostedTrees], roles: Roles) -> dict[str, str]:
        """The model in plain words."""
        model = plan.spec
        sealed = model.membership == "sealed"
        holder = roles.arbiter if sealed else roles.guest
        classes = f", {model.num_class} classes" if model.num_class > 1 else ""
        rate = f"learning_rate {model.learning_rate:g}"
        goes_on = f", those of the model {model.continue_from} included" if model.continue_from else ""
        by_class = (
            f"rows of the label's larger value weigh {model.scale_pos_weight:g} times as much "
            f"(scale_pos_weight), at {roles.guest}"
        )
        return {
            "train": f"{model.kind}: {model.n_estimators} rounds of depth {model.max_depth}{goes_on}, {rate}, "
            f"objective {model.objective}{classes}",
            **({"weights": by_class} if model.scale_pos_weight != 1 else {}),
            **({"constraints": CONSTRAINTS.format(chooser=holder)} if model.monotone_constraints else {}),
            "rows": SEALED_ROWS if sealed else OPEN_ROWS,
            "encrypt": f"Paillier, {model.key_bits} bits; {holder} holds the key"
            + (" and the leaf values" if sealed else ""),
        }

    def rounded(self, plan: Plan[BoostedTrees]) -> list[str]:
        """How coarse what is opened is."""
        model = plan.spec
        bits = f"{model.gradient_bits} bits" if model.gradient_bits else "12 bits (below 5,000 rows) or 8 bits"
        told = [
            f"gradients are randomly rounded to {bits} for every tree before they are summed",
            f"no bin of a host has fewer than {model.min_bin_rows} rows",
        ]
        if model.membership == "sealed":
            told.append(f"scores are rounded to multiples of 1/{2**model.score_bits} before they are opened")
        return told

    def summary(self, spec: BoostedTrees) -> dict[str, Any]:
        """What report.json says about the model at every role."""
        return spec.model_dump(exclude={"kind"})

    def carries(self, plan: Plan[BoostedTrees], roles: Roles, rows: int) -> None:
        """Raises ConfigError unless a plaintext has room for the sums of all nodes of a level over this number of
        rows."""
        model = plan.spec
        params = model.params()
        if params.sealed:
            sealed.layout_of(params, rows, model.key_bits, model.weighted)
        else:
            open.layout(params, rows, model.key_bits)

    def predictions(self, part: TreesPart, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) probabilities of the event, means or counts, or (n, classes) probabilities, from margins (n,
        outputs)."""
        return _means(part.trees.params, scores)

    def guest_alone(self, plan: Plan[BoostedTrees], fitted: Fitted, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The same of some aligned rows from the same trees on the guest's own columns, trained in the clear."""
        assert isinstance(fitted, program.Fitted)
        kept = fitted.part.kept(program.of_rows(fitted.aligned, rows), fitted.keep)
        return _means(plan.spec.params(), alone(self._own_trees(plan, fitted), kept))

    def fallback(self, plan: Plan[BoostedTrees], fitted: Fitted) -> TreesFallback | None:
        """Of sealed trees, which are scored online, the same trees."""
        assert isinstance(fitted, program.Fitted)
        if not plan.spec.sealed:
            return None
        return TreesFallback.of(fitted.part.model_id, self._own_trees(plan, fitted))

    def load_fallback(self, part: TreesPart, folder: Path) -> Ensemble | None:
        return load(folder, part)

    def alone(self, part: TreesPart, fallback: Any, features: pd.DataFrame) -> NDArray[np.float64]:
        return alone(fallback, part.binned(features))

    def _own_trees(self, plan: Plan[BoostedTrees], fitted: program.Fitted) -> Ensemble:
        params, part, inside = plan.spec.params(), fitted.part, ~fitted.held_out
        train = program.of_rows(fitted.aligned, inside)
        y, weight = program.targets_of(train, plan)
        rounds = Rounds(params, y, weight=weight, held_out=fitted.validation[inside])
        own = part.kept(train, fitted.keep)
        twin.train([own.constrained(part.monotone) if part.monotone else own], params, rounds)
        return rounds.ensemble(part.model_id)

    def fitted_summary(self, fitted: Fitted) -> dict[str, Any]:
        """What this party knows of the trees."""
        assert isinstance(fitted.part, TreesPart)
        return part_summary(fitted.part)

    def shown(self, part: TreesPart) -> Shown:
        """The importance of columns, and for the guest's part what its scores are."""
        if part.ensemble is None:
            what = "This host's columns, and how often each was split on; what a split gained is not known to it."
            rows: list[list[Cell]] = [[row["column"], row["splits"]] for row in splits_by_column(part)]
            facts = {"score": in_words(part.columns, part.monotone)} if part.monotone else {}
            return Shown(intro=[what], facts=facts, tables=[shown.Table([shown.Heading("column"), SPLITS], rows)])
        params, told = part.trees.params, {}
        told["trees"] = f"{tree_count(part)}, of depth {params.max_depth} at most; objective {params.objective}"
        if params.sealed:
            told["leaf values"] = "at the arbiter alone; scoring needs it"
        if part.classes is not None and len(part.classes) == 2:
            told["scores"] = f"the probability of {part.classes[1]!r} rather than {part.classes[0]!r}"
        elif part.classes is not None:
            told["scores"] = "the probability of each of " + ", ".join(repr(c) for c in part.classes)
        if part.monotone:
            told["score"] = in_words(part.columns, part.monotone)
        measure = "splits" if params.sealed else "gain"
        found = sorted(part_summary(part)["importance"], key=lambda row: -row[measure])
        total = sum(row[measure] for row in found) or 1.0
        rows = []
        for row in found:
            name = row["column"] if row["party"] == 0 else f"host {row['party']} of the job, all columns"
            gain = () if params.sealed else (row["gain"],)
            rows.append([name, *gain, row[measure] / total, row["splits"]])
        gains = () if params.sealed else (shown.Heading("gain", ".6g"),)
        columns = [shown.Heading("column"), *gains, shown.Heading("share", ".1%"), SPLITS]
        return Shown(facts=told, tables=[shown.Table(columns, rows)])

    def check_continues(self, plan: Plan[BoostedTrees], roles: Roles, part: Any, table: Table | None) -> None:
        if table is not None:
            check_continues(plan, roles, part, table)
        elif part.trees.shape.depth != plan.spec.max_depth:
            raise ConfigError(
                "a model is continued with its own max_depth",
                remedy="Set it as it was",
                expected=part.trees.shape.depth,
            )

    def workload(self, plan: Plan[BoostedTrees], rows: int, columns: Columns, passes: int) -> Workload:
        spec = plan.spec
        trees = (spec.n_estimators - spec.guest_only_trees) * spec.num_class
        size: dict[str, Any] = {
            "trees": trees,
            "depth": spec.max_depth,
            "bins": spec.max_bin,
            "membership": spec.membership,
        }
        return Workload(
            "trees", max(1, round(rows * (1 - spec.validation))), *columns, **size, classes=max(2, spec.num_class)
        )

    def may_be_less(self, plan: Plan[BoostedTrees]) -> bool:
        spec = plan.spec
        sampled = spec.top_rate > 0 or spec.subsample < 1 or (spec.colsample_bytree < 1 and not spec.sealed)
        return sampled or spec.early_stopping_rounds > 0 or spec.continue_from is not None

    def in_blocks(self, plan: Plan[BoostedTrees]) -> bool:
        """Cuts, bins and the guest's own trees take one column at a time."""
        return True

    def caveats(self, plan: Plan[BoostedTrees], rows: int) -> list[str]:
        spec, told = plan.spec, list[str]()
        if spec.num_class > 1 and not spec.sealed:
            told.append("each class by itself; where classes share ciphertexts it predicts too much")
        if spec.colsample_bytree < 1 and spec.sealed:
            told.append("trees that share ciphertexts; with colsample_bytree they do not, which takes longer")
        if spec.continue_from is not None:
            told.append("the rounds that the model already has are included")
        return told

    def train(
        self,
        role: Role,
        session: Session,
        table: Table | None,
        plan: Plan[BoostedTrees],
        search: SearchSpec,
        before: Any,
    ) -> Any:
        if role == "arbiter":
            return program.arbiter(session, plan, before, search)
        assert table is not None
        return (program.guest if role == "guest" else program.host)(session, table, plan, before, search)

    def unseen(self, part: TreesPart, features: pd.DataFrame) -> pd.DataFrame:
        """Where training did not have the text."""
        known = {c: names for c, names in zip(part.columns, part.names, strict=True) if names is not None}
        return unseen(features, known)

    def score(self, role: Role, session: Session, table: Table | None, part: Any, min_rows: int, keys: int) -> Scored:
        if role == "arbiter":
            scores.predict_arbiter(session, min_rows, part, keys=keys)
            return Scored()
        assert table is not None
        if role == "guest":
            return Scored(scores.predict_guest(session, table, part, min_rows))
        scores.predict_host(session, table, part, min_rows)
        return Scored()

    def check_online(self, part: TreesPart, rows: int | None) -> None:
        """Sealed trees are published, if they are not too many for somebody who waits."""
        if part.splits is not None and part.depth:
            check_walk(part.splits.trees, part.depth, part.party)
            assert rows is not None
            check_list(len(part.splits), bits_of(rows), part.party)
        elif isinstance(part.ensemble, GuestTrees):
            check_walk(len(part.ensemble.shape), part.ensemble.shape.depth, part.party)
        else:
            super().check_online(part, rows)

    def online_row(self, part: TreesPart, features: pd.DataFrame) -> NDArray[np.int64]:
        return part.binned(features).bins.astype(np.int64)

    def pack(self, part: TreesPart) -> Body:
        return pack(part)

    def unpack(self, head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> TreesPart:
        return unpack(head, rest, tensors)
