"""What the texts say is so: examples run, recipes apply, phrases to avoid are absent, pages name what exists."""
