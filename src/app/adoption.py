"""What an adoption may take: never another namespace's, and never what a live object still owns.

Backends check what they can see, the mark. That the object in the mark still lives, only the
operator knows: two objects with the same annotation would take the thing from each other for ever.
"""

from __future__ import annotations

from ..backends import Conflict, Owner
from ..controller import ObjectKey, ReadStore


def check_takeover(store: ReadStore, owner: Owner, found: Owner | None, name: str) -> None:
    """Raise ``Conflict`` where the annotation of ``owner`` may not take over what is ``found``.

    ``store`` holds the objects of the kind. A thing without a mark, a retained one and one whose
    object is gone may be taken over.
    """
    if found is None or owner.same(found):
        return
    if found.namespace != owner.namespace:
        raise Conflict(
            name,
            found,
            f"{name} belongs to namespace {found.namespace!r} and can only be adopted from there",
        )
    holder = store.get(ObjectKey(found.namespace, found.name))
    if not found.retained and holder is not None and holder.uid == found.uid:
        raise Conflict(
            name,
            found,
            f"{name} belongs to {found.namespace}/{found.name}, which still exists; delete that "
            f"object with deletionPolicy Retain first",
        )
