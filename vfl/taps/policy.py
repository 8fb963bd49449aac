"""The last gate before the wire: a message leaves only if the job names its permission and this party's policy allows
it.

`vfl check` compares job and policy before the start (`vfl.job.cross_check`); this tap asks again before every
single send, so that neither a fault
nor a changed program can disclose what was not agreed.
"""

from __future__ import annotations

from collections.abc import Collection

from protocols.channel import Tap
from protocols.errors import DisclosureRefused
from protocols.message import REVEALED, Message, registry


class PolicyTap(Tap):
    """Refuses what is not allowed; put it first among a channel's taps.

    job_allow: the job's [disclosure] allow; policy_allow: the party's [policy] allow.
    """

    def __init__(self, job_allow: Collection[str], policy_allow: Collection[str], *, party: str | None = None) -> None:
        self._allowed = {
            "the job's disclosure.allow": frozenset(job_allow),
            "this party's policy.allow": frozenset(policy_allow),
        }
        self._party = party

    def check(self, peer: str, kind: type[Message]) -> None:
        """Raises DisclosureRefused, naming peer, kind and the missing permission."""
        name = kind.kind
        if registry().get(name) is not kind:
            raise self._refuse(
                peer,
                name,
                "no message of this kind is declared",
                "Every message is declared once, with its class",
                "policy.allow",
            )
        if kind.disclosure < REVEALED:
            return
        for where, allowed in self._allowed.items():
            if kind.permit not in allowed:
                raise self._refuse(
                    peer,
                    name,
                    f"it needs the permission '{kind.permit}', which {where} does not list; {peer} would "
                    f"learn {kind.learns}",
                    "Add the permission only if the person responsible for this party's data agrees",
                    kind.permit or "",
                )

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        """Asks once more: nothing may reach the wire past `check`."""
        self.check(peer, kind)

    def _refuse(self, peer: str, name: str, why: str, remedy: str, about: str) -> DisclosureRefused:
        return DisclosureRefused(f"{name} was not sent to {peer}: {why}", remedy=remedy, party=self._party, about=about)
