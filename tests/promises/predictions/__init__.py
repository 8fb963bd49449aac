"""A row's score is a function of the model and the row: whatever else is in its batch, and whatever the batch lacks."""
