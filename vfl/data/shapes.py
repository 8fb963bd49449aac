"""The shapes of a key column's ids, which show none of them: each digit as 9, each letter as A.

Two people can compare such profiles by phone.  Only the party itself sees its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SHOWN, LONGEST = 8, 40
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

    def add(self, values: Sequence[str]) -> None:
        """Counts the values of the next rows."""
        self.counts.update(shape("\n".join(values)).split("\n") if _no_line(values) else map(shape, values))
        for value in values:
            if len(self.letters) > 1:
                break
            self.letters.add("" if value.isdecimal() else "".join(filter(str.isalpha, value)).casefold())

    @property
    def with_letters(self) -> int:
        """How many rows have a letter."""
        return sum(rows for form, rows in self.counts.items() if "A" in form)

    def lines(self) -> list[str]:
        """`99999999: 2,000 rows`, the most frequent first, then how many rows have another shape."""
        most = self.counts.most_common(SHOWN)
        shown = [f"{_short(form)}: {_rows(rows)}" for form, rows in most]
        others = self.counts.total() - sum(rows for _, rows in most)
        return [*shown, f"{len(self.counts) - SHOWN:,} other shapes: {_rows(others)}"] if others else shown


Profile = dict[str, Shapes]  # by the key column


def cautions(profile: Profile, normalise: Mapping[str, str], *, if_they_differ: bool = False) -> list[str]:
    """A sentence for each column whose letters the normaliser drops; if_they_differ: only if they are not the same in
    all rows."""
    return [
        f"id column '{name}': \"digits\" drops letters in {_rows(shapes.with_letters)}, so that A-12 and B-12 are one "
        f'id: use "text" if letters tell customers apart'
        for name, shapes in profile.items()
        if normalise.get(name) == "digits" and shapes.with_letters and (len(shapes.letters) > 1 or not if_they_differ)
    ]


def _no_line(values: Sequence[str]) -> bool:
    return not any("\n" in value for value in values)


def _short(form: str) -> str:
    return form if len(form) <= LONGEST else f"{form[:LONGEST]}..."


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
