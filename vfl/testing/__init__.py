"""What tests the engine itself; not needed to run it."""
