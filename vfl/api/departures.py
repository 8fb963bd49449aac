"""Members of a local run that leave on purpose, and what is said where too many have left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from protocols.errors import ConfigError, PeerAborted, TooFewMembers, TransportError, VFLError
from protocols.session import Observer
from vfl.models.averaging.spec import Averaging
from vfl.schema.arguments import impossible
from vfl.schema.declared import plain
from vfl.schema.section import listed, meant


class Departed(TransportError):
    """A member left, as was asked for."""


class Leaves(Observer):
    """A member that is silent from a round on: it ends right before its update leaves."""

    def __init__(self, name: str, at: int) -> None:
        self._name, self._at = name, at

    def step(self, phase: str, done: int, total: int) -> None:
        if done >= self._at:
            raise Departed(f"{self._name} left in round {done}, as asked", party=self._name)


def asked(leaves: object, members: Sequence[str], rounds: int) -> dict[str, int]:
    """By member, from which round on it is silent.  Raises ConfigError."""
    if leaves is None:
        return {}
    remedy = f"leaves names members, each with a round from 1 to rounds = {rounds}"
    if not isinstance(leaves, Mapping):
        raise impossible("leaves", leaves, remedy)
    for name, given in leaves.items():
        if not isinstance(name, str) or name not in members:
            known = f"{meant(name, members, repr)}The members are {listed(list(members), 'and')}"
            what = f"leaves names '{name}'" if isinstance(name, str) and len(name) <= 60 else "leaves names somebody"
            raise ConfigError(f"{what} who is no member", remedy=known)
        at = plain(given)
        if not isinstance(at, int) or isinstance(at, bool) or not 1 <= at <= rounds:
            raise impossible(f"leaves['{name}']", given, remedy)
    return {name: int(at) for name, at in leaves.items()}


def caution(spec: Averaging, members: int) -> str:
    """What to say where no member may drop out; else empty."""
    least, terms = spec.least_members, spec.terms(tuple(map(str, range(members))))
    if members == 2:
        return (
            "of two members each reads the other's sums of columns, number of rows and updates; one that drops out "
            "ends the run"
        )
    if members >= least if spec.fraction == 1 else terms.cohort_size > terms.threshold:
        return ""
    if spec.fraction < 1:
        return (
            f"fraction = {spec.fraction:g} draws {terms.cohort_size} of {members} members, and a sum needs all of "
            f"these: one member that drops out can end the run; choose a larger fraction"
        )
    return (
        f"one member that drops out after the first sum ends the run of {members} members: with min_members = "
        f"{spec.min_members}, {least} members are the fewest of which one may drop out; for a run that everybody stays "
        f"in, this does not matter"
    )


def too_few(
    spec: Averaging, members: Sequence[str], ended: Mapping[str, VFLError], error: TransportError
) -> TransportError:
    """The error of a run that ended since members left; ended: by member, with what; error: of the run, the one
    to raise where nobody left."""
    gone = [name for name in members if not isinstance(ended.get(name), PeerAborted | None)]
    if not gone:
        return error
    needed, least = spec.terms(tuple(members)).threshold, spec.least_members
    if len(members) < least:
        short = f"a sum needs {needed}, after the first sum all {len(members)}"
    else:
        short = f"no {needed} of them may be added after the earlier sums"
    return TooFewMembers(
        f"{listed(gone, 'and')} left: {len(members) - len(gone)} of {len(members)} members remain, and {short}",
        remedy=f"Start the run again with all members. With min_members = {spec.min_members}, a run of {least} members "
        "or more survives one that drops out (docs/protocols/averaging.md)",
    )
