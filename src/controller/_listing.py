"""Reads a whole list in pages, and says which version it is of."""

from __future__ import annotations

import logging
from typing import Final

from ._source import Source
from .errors import DecodeError, Gone
from .types import KubeObject

logger = logging.getLogger(__name__)

PAGE_SIZE: Final = 500
"""Objects a page: about 2 MB, which blocks the loop for some milliseconds only."""


class Lister:
    """Lists one source again and again."""

    def __init__(self, source: Source) -> None:
        self._source = source
        # what is small is read in one piece: a limit makes the server bypass its cache
        self._paged = True

    async def list(self, version: str, *, grown: bool = False) -> tuple[list[KubeObject], str]:
        """Read everything, not older than ``version``; without a version at quorum.

        ``grown`` says that there may be more by now than the last list had.
        """
        paged = self._paged or grown
        page = await self._source.page(version, limit=PAGE_SIZE if paged else None)
        # watched from the first page on: a server that serves no snapshot changes meanwhile
        objects, found = page.items, page.resource_version
        several = bool(page.continue_token)
        while page.continue_token:
            try:
                page = await self._source.page("", limit=PAGE_SIZE, token=page.continue_token)
            except Gone:
                logger.info("pages of %s expired, it is read in one piece", self._source.title)
                page = await self._source.page(version)
                objects, found = [], page.resource_version
            objects += page.items
        if not found:
            raise DecodeError(f"list of {self._source.title} without a version to watch from")
        self._paged = several
        return objects, found
