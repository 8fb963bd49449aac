"""What a person sees on a terminal: tables, progress, one line for each error."""
