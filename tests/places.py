"""Where the project is, however deep a test lies."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
