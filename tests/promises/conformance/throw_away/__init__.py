"""The mean of the label: a kind of model that a test adds to a copy of the package, by this folder and one line of the registry."""
