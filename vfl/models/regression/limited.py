"""How many values of a party's own columns were limited: in the training, and in the folds of a search."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vfl.data import Table
from vfl.preprocessing.standardise import Standardiser


def limited(standardiser: Standardiser, train: Table, party: str) -> tuple[NDArray[np.float64], dict[str, int]]:
    """The training rows as they are fitted, and how many values of which columns were limited for that."""
    return standardiser.transform(train.features, party), standardiser.beyond(train.features, party)


@dataclass
class InFolds:
    """Over all folds and candidates of a search.  most: by column, the rows whose values were limited in the fold that
    has most, trained on or scored."""

    most: dict[str, int] = field(default_factory=dict)

    def add(self, standardiser: Standardiser, inside: Table, outside: Table, party: str) -> None:
        """Counts one fold of one candidate: its training rows, and those that it scores."""
        for name in standardiser.columns:
            self.most.setdefault(name, 0)
        trained, scored = (standardiser.beyond(rows.features, party) for rows in (inside, outside))
        for name in self.most:
            self.most[name] = max(self.most[name], trained.get(name, 0) + scored.get(name, 0))

    @property
    def counts(self) -> dict[str, int]:
        """By column, where any value was limited."""
        return {name: rows for name, rows in self.most.items() if rows}
