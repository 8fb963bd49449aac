"""Private online scores: the guest has one customer scored at a time, and nobody else learns whom.

`epoch.py` brings about the lists that are looked up in, `query.py` asks and answers.  (docs/protocols/online.md)
"""
