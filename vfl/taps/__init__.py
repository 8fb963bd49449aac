"""What watches a party's channels: its policy, counts, the record of what was sent."""
