"""The commands of `vfl`."""
