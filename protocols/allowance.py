"""What one party still agrees to disclose in a run: asked right before something leaves that adds up over columns,
parties and runs.

The default agrees to everything: the parties of a local federation share one process, where no count protects anybody.
Between institutions `vfl.run.budget` counts.
Each method may be called again with the same arguments by a run that resumes; it is then counted once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence


class Allowance:
    """Every method raises DisclosureRefused, which names the policy's key, where it does not agree."""

    def label_numbers(
        self, what: str, told: Mapping[str, int], rows: int, fewer: Callable[[int], str] | None = None
    ) -> None:
        """At the guest, before hosts learn numbers that are computed from its labels.

        what: which numbers, such as "bins": once per run; `told`: the number for each host; rows: how many training
        rows they are computed from;
        fewer: what to change so that hosts learn no more numbers than these, if it is not the number of columns or
        bins.
        """

    def training(
        self,
        numbers: Mapping[str, Mapping[str, int]],
        rows: int,
        fewer: Callable[[int], str] | None = None,
        *,
        begins: bool = True,
    ) -> None:
        """At the guest, before the first message of a training on its labels: counts the run's models, and the numbers
        that the training tells hosts, all of them or, where one is too many, none.

        numbers: by what they are, as of `label_numbers`; begins: whether the training begins now; a run that only
        prepares it counts nothing, and is refused what its training would be.
        """

    def score_vectors(self, model: bytes, vectors: int, columns: Sequence[str]) -> None:
        """At a host, before its part of a model's scores leaves.

        model: this host's own name for it (`own_name`), which is counted once however many rows it scores, or b"" for
        the candidates of a search; vectors: how many linear combinations of its columns each row's scores are;
        columns: the names of the host's own columns that they combine.
        """

    def rows_scored(self, model: bytes, what: str, ids: Iterable[bytes], *, ever: bool = False) -> None:
        """At a host, before its part of the scores of rows leaves.

        model: as above; what: which rows, such as "new rows": once per run; ids: the canonical id of each row; ever:
        counted as long as the model exists, and not for each month.
        """

    def partner_rows(self, partner: str, rows: int, own: int) -> None:
        """While a partner's list of blinded ids comes in.  rows: how many it has at least; own: how many this party has
        itself (0: it holds no data)."""

    def partner_columns(self, partner: str, columns: int) -> None:
        """When a partner has said how many columns, or weights, it brings."""


def own_name(model_id: bytes, key: bytes) -> bytes:
    """A host's own name for a model, 16 bytes: the guest alone draws `model_id`, and could give it to several models.

    key: the host's secret for the scores of this model, new in each training.
    """
    return hashlib.blake2b(model_id, digest_size=16, key=key, person=b"vfl budget name").digest()
