"""The section [search] of a job file: candidates for [model], compared by cross-validation on the training rows."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from vfl.data.labels import Objective
from vfl.job.model import dumped
from vfl.metrics.scorers import NAMES, default_scorer
from vfl.schema.described import Described, Values
from vfl.schema.section import Complaint, choose, listed, shown
from vfl.schema.spec import Spec, Trainable
from vfl.steps.grid import FIXED, MAX_CANDIDATES, MAX_FOLDS, MIN_FOLDS, combinations, count

M = TypeVar("M", bound=Spec)
Grid = dict[str, tuple[Any, ...]]


def _grid(grid: Grid) -> Grid:
    for name, values in grid.items():
        if not values or any(v in values[:k] for k, v in enumerate(values)):
            raise Complaint(f"lists {'no value' if not values else 'a value twice'} for {name}", "List each value once")
    if (found := count(grid)) > MAX_CANDIDATES:
        raise Complaint(f"has {found} candidates", f"List fewer values: at most {MAX_CANDIDATES} candidates")
    return grid


class Search(Trainable):
    """How candidates are compared; the best is trained once more on all training rows.  `vfl.GridSearchCV` adds what a
    job file has in other tables."""

    param_grid: Annotated[
        Grid,
        AfterValidator(_grid),
        Values("a list of values for each key that is searched, such as { C = [0.1, 1.0] }"),
    ] = Field(
        default={},
        exclude_if=lambda grid: not grid,
        description="every combination is a candidate, at most 100; absent: only the model "
        "as it is given is cross-validated. "
        "These cannot be searched: keys that protect (gradient_bits, min_bin_rows, membership) or "
        "would have no effect (weight_bits), score_bits, seeds, and keys that describe the label "
        "or the table",
    )
    cv: int = Field(
        default=5,
        ge=MIN_FOLDS,
        le=MAX_FOLDS,
        description="the number of folds",
    )
    scoring: Annotated[str | None, Values('a measure, such as "roc_auc"')] = Field(
        default=None,
        exclude_if=lambda name: name is None,
        description=(
            "the measure that decides: the candidate with the largest mean over the folds wins, and the first of "
            "them if several are equal; absent: the first measure for the kind of label"
        ),
    )

    def filled(self, models: list[M], outcome: Objective) -> Search:
        """The same with every default, and values as the model takes them; models: the candidates.  Raises
        Complaint."""
        scoring = default_scorer(outcome) if self.scoring is None else self.scoring
        try:
            choose(tuple(NAMES[outcome]))(scoring)
        except Complaint as complaint:
            raise Complaint(f"{complaint.what} for such a label", complaint.remedy, "search.scoring") from None
        grid: Grid = {}
        for name in self.param_grid:
            values: list[Any] = []
            for value in (getattr(model, name) for model in models):
                if value not in values:
                    values.append(value)
            grid[name] = tuple(values)
        return self.model_copy(update={"scoring": scoring, "param_grid": grid})


def candidates(model: M, grid: Grid) -> list[M]:
    """[model] with each combination of the grid.  Raises Complaint for a key that cannot be searched, and for a value
    that it cannot have."""
    key = "search.param_grid"
    for name in grid:
        if name in FIXED:
            raise Complaint(f"searches {name}: {FIXED[name]}", "Remove it, and set it in [model]", key)
        if name not in type(model).model_fields or name in Spec.ELSEWHERE:
            known = [n for n in type(model).model_fields if n not in FIXED]
            raise Complaint(f"searches {name}, which [model] does not have", f"Use {listed(known)}", key)
    found = []
    for changes in combinations(grid):
        try:
            found.append(type(model).model_validate({**dumped(model), **changes}))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            cause = (first.get("ctx") or {}).get("error")
            told = ", ".join(f"{name} = {shown(value)}" for name, value in changes.items())
            field = type(model).model_fields.get(str(first["loc"][0])) if first["loc"] else None
            remedy = (
                cause.remedy
                if isinstance(cause, Complaint)
                else Described.of(field).expected
                if field is not None
                else ""
            )
            raise Complaint(f"has a candidate that is not possible: {told}", remedy, key) from None
    return found
