"""The controllers of a platform team in one program: its own kind, and hybridpg's two."""
