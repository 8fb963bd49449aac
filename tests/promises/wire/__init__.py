"""CorruptPartError, hostile and oversize bytes are refused with a typed error and little memory.

docs/reliability.md, "Peers and strangers".
"""
