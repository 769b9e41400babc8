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
    object is gone may be taken over. Whether an object of another cluster is gone, nobody knows
    here: it is not looked for among our own, where a copy of it may have the same UID.
    """
    if found is None or owner.same(found):
        return
    if found.namespace != owner.namespace:
        raise Conflict(
            name,
            found,
            f"{name} belongs to namespace {found.namespace!r} and can only be adopted from there",
        )
    if found.retained:
        return
    if found.cluster_id != owner.cluster_id:
        raise Conflict(
            name,
            found,
            f"{name} belongs to {found.namespace}/{found.name} of the cluster with id "
            f"{found.cluster_id!r}, which may still use it; delete that object there with "
            f"deletionPolicy Retain first, or, if it was this cluster's id or that cluster is "
            f"gone, set controller.cluster_id to it",
        )
    holder = store.get(ObjectKey(found.namespace, found.name))
    if holder is not None and holder.uid == found.uid:
        raise Conflict(
            name,
            found,
            f"{name} belongs to {found.namespace}/{found.name}, which still exists; delete that "
            f"object with deletionPolicy Retain first",
        )
