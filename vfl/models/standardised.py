"""What a data party's parts have in common whose columns are standardised: regressions and networks."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from protocols.allowance import own_name
from vfl.preprocessing import Standardiser
from vfl.screen.sentences import counted


class StandardisedPart:
    """A part with a `party`, the name of the model, a `standardiser`, and at a host the key of its draws."""

    party: str
    model_id: bytes
    standardiser: Standardiser
    score_key: bytes

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.party}: {counted(len(self.columns), 'column')}>"

    @property
    def columns(self) -> tuple[str, ...]:
        """The party's own columns as they are standardised, in the order of the weights."""
        return self.standardiser.columns

    @property
    def own_name(self) -> bytes:
        """The name under which a host counts what the model opens."""
        return own_name(self.model_id, self.score_key)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that a table to be scored must have."""
        return self.standardiser.inputs

    @property
    def categories(self) -> Mapping[str, Collection[str]]:
        """Of each of them that holds categories, those that training saw."""
        return self.standardiser.categories
