"""Mutual TLS 1.3 with pinned certificates between the parties of a run, as blocking wires.

    frames       what crosses inside TLS            hello        the greeting, its refusals, the knock
    tls          TLS over one connection            link         one connection, from greeting to end
    peers        who takes part, and where          switchboard  all links of this party: who is let in, who is informed
    seal         codes of messages                  window       flow control
    wire         what the run's threads see         network      `TlsNetwork`

One background thread runs all sockets (docs/adr/0002-transport.md); everything else blocks.
"""

from vfl.transport.network import TlsNetwork
from vfl.transport.peers import PeerAddress
from vfl.transport.wire import TlsWire

__all__ = ["PeerAddress", "TlsNetwork", "TlsWire"]
