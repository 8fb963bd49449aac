"""Attacks on what a party really receives fail; each succeeds on a build without the protection.

docs/threat-model.md has a row for each.
"""
