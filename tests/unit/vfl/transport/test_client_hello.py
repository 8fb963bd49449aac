"""The knock is read from a ClientHello, and from nothing else."""

from __future__ import annotations

import ssl

import pytest

from vfl.transport import hello
from vfl.transport.client_hello import MOST, NoKnockError, knock_in


def client_hello(name: str | None) -> bytes:
    """What Python's own TLS sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def test_the_knock_of_a_party_is_found_however_the_bytes_come() -> None:
    knock = hello.knock("telecom", bytes(32))
    sent = client_hello(knock)
    assert len(sent) < MOST
    assert knock_in(sent) == knock_in(sent + b"more") == knock
    assert {knock_in(sent[:size]) for size in range(len(sent))} == {None}


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00",
        b"\x16\x03\x01\xff\xff",  # longer than allowed
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # a ServerHello
        b"\x16\x03\x01\x00\x04\x01\x00\xff\xff",  # says more than it holds
        client_hello(None),
        client_hello("bank.example.org"),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(NoKnockError):
        knock_in(data)


def test_no_change_of_a_byte_leads_to_another_error() -> None:
    sent = client_hello(hello.knock("telecom", bytes(32)))
    for at in range(len(sent)):
        for value in (0, 255, sent[at] ^ 1):
            try:
                knock_in(sent[:at] + bytes([value]) + sent[at + 1 :])
            except NoKnockError:
                continue
