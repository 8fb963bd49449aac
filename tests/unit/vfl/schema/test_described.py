"""What a parameter takes is said by its type and bounds."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from vfl.schema.described import Described, Values
from vfl.schema.section import Section


class Example(Section):
    rounds: int = Field(default=5, ge=1, le=10, description="how many rounds. More take longer")
    rate: float = Field(default=1e-5, gt=0, le=1, description="how far a step goes")
    share: float | None = Field(default=None, gt=0, lt=1, description="which part")
    tall: float = Field(default=2.0, ge=0, le=1e12, description="how tall")
    loud: bool = Field(default=False, description="whether it is said")
    word: Literal["a", "b", "c"] = Field(default="a", description="which one")
    rows: Annotated[tuple[int, ...], Values("a list of rows")] = Field(default=(1, 2), description="which rows")
    name: str = Field(description="what it is called")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rounds", "Expected a whole number from 1 to 10 (default 5): how many rounds"),
        ("rate", "Expected a number above 0, at most 1 (default 1e-5): how far a step goes"),
        ("share", "Expected a number between 0 and 1: which part"),
        ("tall", "Expected a number of at least 0 (default 2): how tall"),
        ("loud", "Expected true or false (default false): whether it is said"),
        ("word", 'Expected "a", "b" or "c" (default "a"): which one'),
        ("rows", "Expected a list of rows (default [1, 2]): which rows"),
    ],
)
def test_a_field_in_words(name: str, expected: str) -> None:
    assert Described.of(Example.model_fields[name]).expected == expected


def test_a_type_that_says_nothing_needs_words() -> None:
    with pytest.raises(TypeError, match="needs Values"):
        Described.of(Example.model_fields["name"])
