"""The steps before and around any training, whatever the model."""
