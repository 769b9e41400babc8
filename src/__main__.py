"""``python -m hybridpg``: the command line."""

from .app.cli import main

main()
