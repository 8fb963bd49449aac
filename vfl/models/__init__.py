"""One folder per kind of model, and what all kinds share."""
