"""What a run leaves for people to read: a page, the same numbers as JSON, and a summary in the terminal.

Each party has its own report, of what this party knows.  `result` is the content of report.json (docs/file-formats),
"plots" included.
"""

from vfl.report.page import read_report, render, write_alignment, write_report

__all__ = ["read_report", "render", "write_alignment", "write_report"]
