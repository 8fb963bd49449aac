"""Ids of several parties that are the same but for how they are written.

Only where one process has the tables of all parties can they be compared; between institutions, `vfl check` prints the
shapes of a party's own ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from protocols.ids import Ids
from vfl.data.keys import KeyLists
from vfl.data.normalise import spoilt_digits, text_form
from vfl.data.shapes import AS_TEXT, Shapes

_WHOLE = re.compile(rb"(\d+)\.0+")
_SEPARATORS = bytes.maketrans(b"", b""), b" -_./"
HEADER = 4  # bytes before the text of an id of one column


def _without_zeros(value: bytes) -> bytes:
    return (value.lstrip(b"0") or b"0") if value.isdigit() else value


def _without_decimals(value: bytes) -> bytes:
    found = _WHOLE.fullmatch(value)
    return found[1] if found else value


def _without_separators(value: bytes) -> bytes:
    """A number, such as 12.0, stays: its point separates no groups of digits, and "digits" refuses it."""
    return value if spoilt_digits(value.decode()) else value.translate(*_SEPARATORS)


def _separated(both: Sequence[Shapes]) -> bool:
    """Whether some ids have characters that only separate their groups."""
    return any(set(form) & set(" -_./") and not spoilt_digits(form) for own in both for form in own.counts)


def _without_case(value: bytes) -> bytes:
    return text_form(value.decode()).encode()


class Own(NamedTuple):
    """One party's ids under each key, and the shapes of their columns by the name in the job."""

    keys: Sequence[Ids]
    shapes: Mapping[str, Shapes]


class Rule(NamedTuple):
    """The form by which ids are compared, whether those of two parties need it, what differs, and the remedy."""

    form: Callable[[bytes], bytes]
    needed: Callable[[Sequence[Shapes], str], bool]
    what: str
    remedy: str


RULES = (
    Rule(
        _without_zeros,
        lambda both, _: any(own.zeros for own in both),
        "zeros in front",
        'normalise="integer" ignores them',
    ),
    Rule(
        _without_decimals,
        lambda both, _: any("decimal" in own.doubts for own in both),
        "a '.0' at the end",
        "store ids as text or whole numbers",
    ),
    Rule(
        _without_separators,
        lambda both, _: _separated(both) and not any(own.with_letters for own in both),
        "blanks, hyphens and the like",
        'normalise="digits" compares digits alone',
    ),
    Rule(
        _without_separators,
        lambda both, _: _separated(both) and any(own.with_letters for own in both),
        "blanks, hyphens and the like",
        'write them alike ("digits" would drop the letters too)',
    ),
    Rule(
        _without_case,
        lambda _, how: how == "exact",
        "capital letters, blanks and the forms of Unicode",
        'normalise="text" ignores them',
    ),
)


def near_misses(keys: KeyLists, normalise: Mapping[str, str], parties: Mapping[str, Own]) -> list[str]:
    """A sentence for each key of one column of which ids of the first party and of another do not match, and would if
    they were written alike."""
    (guest, own), *others = parties.items()
    found = list[str]()
    for k, (name, *more) in enumerate(keys):
        how = normalise.get(name, "text")
        for other, theirs in others if not more and how in AS_TEXT else ():
            both = own.shapes[name], theirs.shapes[name]
            rules = [rule for rule in RULES if rule.needed(both, how)]
            if rules:
                found += _missed(name, rules, {guest: set(own.keys[k]), other: set(theirs.keys[k])})
    return found


def _missed(name: str, rules: Sequence[Rule], ids: Mapping[str, set[bytes]]) -> list[str]:
    (guest, own), (other, theirs) = ids.items()
    alone = own - theirs, theirs - own
    found = []
    for rule in rules:
        mine, yours = ({rule.form(one[HEADER:]) for one in each} for each in alone)
        if common := len(mine & yours):
            ids_ = "1 id" if common == 1 else f"{common:,} ids"
            found.append(
                f"id column '{name}': {ids_} of {guest} and {other} differ in {rule.what} only, and do not match: "
                f"{rule.remedy}"
            )
    return found
