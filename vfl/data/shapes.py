"""The shapes of a key column's ids, which show none of them: each digit as 9, each letter as A.

Two people can compare such profiles by phone.  Only the party itself sees its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfl.data.doubts.ids import DOUBTS, Doubtful, doubtful
from vfl.data.texts import say_rows

SHOWN, LONGEST = 8, 40
ENOUGH, SPARSE = 20, 20  # ids, and times as many numbers of their length as ids: of fewer no zeros are called lost
_ASCII = {c: "9" if chr(c).isdigit() else "A" if chr(c).isalpha() else chr(c) for c in range(128)}


def shape(text: str) -> str:
    """99-A of 12-b."""
    if not text.isascii():
        return "".join("9" if c.isdecimal() else "A" if c.isalpha() else c for c in text)
    return text.translate(_ASCII)


@dataclass
class Shapes:
    """The shapes of one key column's values, as they are before they are normalised."""

    counts: Counter[str] = field(default_factory=Counter)
    letters: set[str] = field(default_factory=set)  # of the values, two different ones at most
    zeros: Counter[str] = field(default_factory=Counter)  # by shape, the values of digits alone with a zero in front
    doubts: dict[str, Doubtful] = field(default_factory=dict)  # by what they may be

    def add(self, values: Sequence[str], numbers: Sequence[int] | NDArray[np.int64] = ()) -> None:
        """Counts the values of the next rows; numbers: of these, for messages."""
        shapes = shape("\n".join(values)).split("\n") if _no_line(values) else list(map(shape, values))
        self.counts.update(shapes)
        self.zeros.update(
            form
            for form, value in zip(shapes, values, strict=True)
            if value[:1] == "0" and form == "9" * len(form) > "9"
        )
        for kind, rows in doubtful(values, shapes).items():
            self.doubts.setdefault(kind, Doubtful()).add([numbers[row] for row in rows] if len(numbers) else rows)
        for value in values:
            if len(self.letters) > 1:
                break
            self.letters.add("" if value.isdecimal() else "".join(filter(str.isalpha, value)).casefold())

    def told(self) -> dict[str, Any]:
        """All of it, as JSON can have it."""
        doubts = {kind: [own.total, list(map(int, own.first))] for kind, own in self.doubts.items()}
        return {
            "counts": dict(self.counts),
            "zeros": dict(self.zeros),
            "letters": sorted(self.letters),
            "doubts": doubts,
        }

    def merge(self, told: Mapping[str, Any], rows: int) -> None:
        """Adds what another one has `told`, of the rows after the first `rows`."""
        self.counts.update(told["counts"])
        self.zeros.update(told["zeros"])
        for kind, (total, first) in told["doubts"].items():
            doubts = self.doubts.setdefault(kind, Doubtful())
            doubts.add([row + rows for row in first])
            doubts.total += total - len(first)
        self.letters |= set(told["letters"][: 2 - len(self.letters)])

    @property
    def with_letters(self) -> int:
        """How many rows have a letter."""
        return sum(rows for form, rows in self.counts.items() if "A" in form)

    def lines(self) -> list[str]:
        """`99999999: 2,000 rows`, the most frequent first, then how many rows have another shape."""
        most = self.counts.most_common(SHOWN)
        shown = [f"{_short(form)}: {_rows(rows)}{self._in_front(form)}" for form, rows in most]
        others = self.counts.total() - sum(rows for _, rows in most)
        return [*shown, f"{len(self.counts) - SHOWN:,} other shapes: {_rows(others)}"] if others else shown

    def _in_front(self, form: str) -> str:
        return f", {self.zeros[form]:,} with a zero in front" if self.zeros[form] else ""

    @property
    def may_lack_zeros(self) -> bool:
        """Whether ids of digits have several lengths and none a zero in front: a spreadsheet may have dropped them."""
        if any(form.strip("9") for form in self.counts) or self.zeros or self.counts.total() < ENOUGH:
            return False
        longest, rows = max(map(len, self.counts)), self.counts.total()
        usual = len(self.counts) > 1 and 2 * self.counts["9" * longest] > rows
        return usual and 10**longest > SPARSE * rows


Profile = dict[str, Shapes]  # by the key column


def cautions(profile: Profile, normalise: Mapping[str, str], *, in_python: bool = False) -> list[str]:
    """A sentence for each column whose letters the normaliser drops, whose ids lack zeros or are none; in_python: where
    the ids of all parties are compared besides, so that lengths need no word, nor letters that are the same in all
    rows."""
    return [
        sentence
        for name, shapes in profile.items()
        for sentence in _of(name, shapes, normalise.get(name, "text"), in_python=in_python)
    ]


def _of(name: str, shapes: Shapes, how: str, *, in_python: bool) -> list[str]:
    found = list[str]()
    if how == "digits" and shapes.with_letters and (len(shapes.letters) > 1 or not in_python):
        found.append(
            f'"digits" drops letters in {_rows(shapes.with_letters)}, so that A-12 and B-12 are one id: use "text" if '
            f"letters tell customers apart"
        )
    if how in AS_TEXT:
        found += [DOUBTS[kind].format(rows=say_rows(own.first, own.total)) for kind, own in shapes.doubts.items()]
    if how in AS_TEXT and shapes.may_lack_zeros and not in_python:
        found.append(
            "has ids of digits in several lengths, and none with a zero in front: if zeros were lost, agree on "
            '"integer", which ignores them'
        )
    return [f"id column '{name}': {sentence}" for sentence in found]


AS_TEXT = ("text", "exact")  # normalisers that compare what they cannot make sense of


def _no_line(values: Sequence[str]) -> bool:
    return not any("\n" in value for value in values)


def _short(form: str) -> str:
    return form if len(form) <= LONGEST else f"{form[:LONGEST]}..."


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
