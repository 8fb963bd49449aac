"""Tables with more rows than one message can hold give the same models in bounded memory, and bad blocks are found.

Limit and block size are 2^10 times smaller here, so that 2,930 rows are what 3 x 10^6 are in a run.
docs/adr/0015-blocks.md.
"""
