"""The attacks on boosted trees: sums, directions, wins, many scores.  docs/threat-model.md has a row for each."""
