"""`python -m automtl.cli`."""

from automtl.cli import main

main()
