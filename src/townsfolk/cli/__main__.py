"""`python -m townsfolk.cli` is `townsfolk`."""

from townsfolk.cli import main

main()
