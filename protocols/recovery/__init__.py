"""What lets a run resume after an interruption."""
