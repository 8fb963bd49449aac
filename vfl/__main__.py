"""`python -m vfl` is `vfl`."""

from vfl.cli.main import main

main()
