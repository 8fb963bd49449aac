"""What a run leaves for people to read: a page, the same numbers as JSON, and a summary in the terminal.

Each party has its own report, of what this party knows.  `result` below is the content of report.json, and "plots" beside it.
"""
