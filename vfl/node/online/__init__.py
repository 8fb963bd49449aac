"""Private online scores at a node: one process per published model, which the node keeps running.

`vfl node publish` makes a publication; its process meets the other parties, publishes epochs, and asks or answers
(protocols/online/).  (docs/node.md, docs/adr/0028-online.md)
"""
