"""The section [evaluation] of a job file: on which rows the guest measures the model."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from vfl.schema.described import Values
from vfl.schema.section import Complaint, Section, choose, distinct

PARTS = ("test", "train")

Part = Annotated[str, BeforeValidator(choose(PARTS, {})), Field(json_schema_extra={"enum": list(PARTS)})]


def _parts(values: tuple[str, ...]) -> tuple[str, ...]:
    if "test" not in distinct(values):
        raise Complaint("does not name the held-out rows", 'Write parts = ["test"] or parts = ["test", "train"]')
    return tuple(sorted(values, key=PARTS.index))  # the order means nothing


class Evaluation(Section):
    """The parts of the split that are scored once the model is trained."""

    parts: Annotated[tuple[Part, ...], AfterValidator(_parts), Values('["test"] or ["test", "train"]')] = Field(
        default=("test",),
        description='where the guest evaluates the model; with "train" it also learns the scores of training rows',
    )

    @property
    def train(self) -> bool:
        """Whether training rows are scored too."""
        return "train" in self.parts
