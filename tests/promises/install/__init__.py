"""An installation is light: three locks, each in the next, and imports on first use."""
