"""A transcript holds what is declared and nothing else; each check finds a planted fault.

docs/leakage.md is the declaration.
"""
