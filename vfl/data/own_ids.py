"""One party's table and its ids, as an alignment takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.alignment import Alignment, Ids
from vfl.data.keys import KeyLists, keys_of
from vfl.data.names import no_rows, with_keys
from vfl.data.schema import Settings
from vfl.data.shapes import Profile


@dataclass(frozen=True, repr=False)
class OwnIds:
    """One party's table and its ids."""

    frame: pd.DataFrame
    keys: tuple[Ids, ...]
    kept: NDArray[np.int64]  # (n,) which rows of the frame the ids belong to

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        party: str,
        keys: KeyLists,
        normalise: Mapping[str, str],
        duplicates: str,
        settings: Settings = Settings(),  # noqa: B008
        profile: Profile | None = None,
    ) -> OwnIds:
        """Checked; raises DataError that names columns and row numbers, never a value."""
        keys, normalise = settings.own_keys(keys), settings.by_own(normalise)
        frame = with_keys(frame, party, tuple(dict.fromkeys(column for key in keys for column in key)), settings)
        if not len(frame):
            raise no_rows(party, in_python=settings.in_python)
        return cls(frame, *keys_of(frame, party, keys, normalise, duplicates, profile))

    @property
    def repeated(self) -> int:
        """How many rows were left out because an earlier row has their id."""
        return len(self.frame) - len(self.kept)

    def rows(self, found: Alignment) -> pd.DataFrame:
        """The common rows in the shared order, numbered from 0."""
        return self.frame.iloc[self.kept[found.rows]].reset_index(drop=True)
