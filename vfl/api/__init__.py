"""The notebook's view: tables of one process, trained as between institutions."""
