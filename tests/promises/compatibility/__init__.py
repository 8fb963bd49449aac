"""Files of earlier releases load and score bit-equal, or are refused by name.  docs/reliability.md, "At the start"."""
