"""What tests the engine itself: part of the source checkout, not of the wheel."""
