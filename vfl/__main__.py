"""`python -m vfl` is `vfl`."""

from vfl.cli import main

main()
