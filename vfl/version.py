"""The release, by itself: what it costs to know it is nothing."""

__version__ = "0.1.0"
