"""The table [model] of a job file: any registered kind of model, and the job as programs take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field

from vfl.models.registry import KINDS
from vfl.models.trees import constraints
from vfl.schema.section import Complaint
from vfl.schema.spec import Spec

MODELS: dict[str, type[Spec]] = {name: kind.spec for name, kind in KINDS.items()}
NOT_YET = {f"model.{name}": why for spec in MODELS.values() for name, why in spec.REFUSED.items()}

if TYPE_CHECKING:
    Model = Spec
else:
    Model = Annotated[Union[tuple(MODELS.values())], Field(discriminator="kind")]  # noqa: UP007


def check_keys(value: object) -> object:
    """Raises Complaint for a parameter of the estimator that a job file has in another table."""
    if isinstance(value, dict):
        for name in value:
            if name in Spec.ELSEWHERE:
                raise Complaint("is not a key of this table", f"Set it in [{Spec.ELSEWHERE[name]}]", f"model.{name}")
        if not isinstance(value.get(constraints.NAME, False), bool):
            what = "is not true or false: a job names no party's columns"
            remedy = f"Set it to true; each party names its columns in its own file, [data] {constraints.NAME}"
            raise Complaint(what, remedy, f"model.{constraints.NAME}")
    return value


def check_arbiter(model: Spec, hosts: int, arbiter: str) -> None:
    """Raises Complaint if the job names no arbiter and needs one, or names one that would do nothing."""
    if arbiter and not model.needs_arbiter and hosts == 1:
        raise Complaint(
            f"names '{arbiter}', and this job needs no arbiter: {type(model).NO_ARBITER}",
            "Remove it, and every right it was given",
            "parties.arbiter",
        )
    if not arbiter and (model.needs_arbiter or hosts > 1):
        what = type(model).ARBITER if model.needs_arbiter else "compares blinded ids of several hosts"
        raise Complaint(
            "is missing",
            f'Expected the name of the party that holds no data and {what}, such as arbiter = "trustco"',
            "parties.arbiter",
        )


def dumped(model: Spec) -> dict[str, Any]:
    """Every parameter, with those that a job file has elsewhere."""
    return {name: getattr(model, name) for name in type(model).model_fields}
