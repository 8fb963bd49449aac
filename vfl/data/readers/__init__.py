"""How a table is read from each kind of place and file; `vfl.data.source` chooses."""
