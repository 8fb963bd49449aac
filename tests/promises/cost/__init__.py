"""Products, bytes and messages of fixed small jobs are what counts.json says."""
