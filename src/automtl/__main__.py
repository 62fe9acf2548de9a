"""`python -m automtl`."""

from automtl.cli import main

main()
