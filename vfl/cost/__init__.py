"""What a run costs: counted, measured and predicted."""
