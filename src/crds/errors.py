"""Everything that this package raises itself.

::

    CrdError
    ├── NotStructural   a model says something that a CRD cannot
    └── YamlError       a text is not YAML, or not of the kind that is read here
"""

from __future__ import annotations


class CrdError(Exception):
    """Base of all errors of this package."""


class NotStructural(CrdError):
    """A model says something that the structural schema of a CRD cannot."""


class YamlError(CrdError):
    """A text is not YAML, or holds what JSON cannot; the message names the line."""
