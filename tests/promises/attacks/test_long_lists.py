"""A partner that brings a list of ids far longer than this party's own: each is a guess at a customer.  It is refused
at its first chunk."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from protocols import alignment
from protocols.alignment import lists
from protocols.allowance import Allowance
from protocols.channel import Tap
from protocols.cipher import Identity
from protocols.errors import DisclosureRefused
from protocols.local import run_local
from protocols.message import Message
from protocols.session import Roles
from tests.promises.attacks.budgeted import Budgeted
from vfl.run.budget import Budget


class Heard(Tap):
    """The kinds of messages that a party received and sent."""

    def __init__(self) -> None:
        self.received_, self.sent_ = list[str](), list[str]()

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.received_.append(kind.kind)

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.sent_.append(kind.kind)


def aligned(hosts: tuple[str, ...], guesses: int, allowance: Allowance | None, heard: Heard) -> dict[str, Any]:
    """The guest brings so many ids, each host ten; what each party learnt.  heard: what telecom sees."""
    roles = Roles("bank", hosts, "trustco")

    def party(session: Any, rows: int) -> Any:
        return alignment.align(session, [b"customer %d" % k for k in range(rows)], 1)

    programs: dict[str, Any] = {
        "bank": partial(party, rows=guesses),
        "trustco": lambda session: alignment.serve(session, 1),
    }
    programs |= {host: partial(party, rows=10) for host in hosts}
    allowances = {} if allowance is None else {"telecom": allowance}
    return run_local(roles, programs, Identity(), taps={"telecom": [heard]}, allowances=allowances)


@pytest.mark.parametrize("hosts", [("telecom",), ("telecom", "shop")], ids=["two", "three"])
def test_a_list_of_guesses_is_refused_at_its_first_chunk(
    hosts: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "CHUNK", 8)
    own = Budget(Budgeted(tmp_path).party("telecom"), guest="bank").allowance(bytes(16))
    assert len(aligned(hosts, 50, own, Heard())["telecom"].rows) == 10  # five times its own ten
    heard = Heard()
    with pytest.raises(
        DisclosureRefused, match=r"the list of bank has [56]\d rows or more, and policy.max_partner_rows is 50"
    ) as caught:
        aligned(hosts, 60, own, heard)
    assert caught.value.party == "telecom"
    assert heard.received_.count("BlindedIds") + heard.received_.count("RelayedIds") <= len(
        hosts
    )  # one chunk of each partner's list
    assert not {"SortedTags", "GuestRows"} & set(heard.sent_)
    assert len(aligned(hosts, 600, None, Heard())["bank"].rows) == 10  # the control
