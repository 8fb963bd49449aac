"""Every registered kind of model and every cipher passes one list of tests."""
