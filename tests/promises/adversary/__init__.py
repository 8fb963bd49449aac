"""A party that edits its own ledger is found out, and nothing that can run code decodes bytes."""
