"""The same of boosted trees, whatever the arbiter and the guest compute from their own transcripts."""
