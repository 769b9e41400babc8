"""Whose a role and its database are: decided from the catalog, before every write.

The proof is the comment on the role, which nobody but an administrator can write; the comment on
a database could be forged by the database's owner. A database is ours where the role of the same
name is ours and owns it.
"""

from __future__ import annotations

from ..errors import Conflict
from ..values import (
    DatabaseRef,
    Owner,
)
from .catalog import Catalog, RoleFacts


def conflict(database: DatabaseRef, owner: Owner | None, what: str) -> Conflict:
    """Say that ``what`` of this name is somebody else's."""
    name = database.external_name
    if owner is None:
        whose = "was not made for this object"
    elif owner.retained:
        whose = f"was kept when {owner.namespace}/{owner.name} was deleted"
    else:
        whose = f"belongs to {owner.namespace}/{owner.name}"
    return Conflict(name, owner, f"{what} {name!r} {whose}")


def check_adoption(
    database: DatabaseRef,
    owner: Owner | None,
    *,
    reach: frozenset[str],
    is_admin: bool,
    what: str = "",
) -> None:
    """Raise ``Conflict`` unless the role may be taken over as its user asked.

    A namespace is the border between tenants, so a mark of another namespace stays; so does that of
    another cluster, of whose objects nobody here knows whether they are gone. A role with the
    rights of an administrator never becomes a tenant's, nor one that can get them by a membership.
    ``what`` names the role in a message; empty is the one of the database's name.
    """
    name = database.external_name
    what = what or f"role {name!r}"
    if not database.adopt:
        raise conflict(database, owner, "role")
    if is_admin or reach:
        which = f" ({', '.join(sorted(reach))})" if reach else ""
        raise Conflict(
            name,
            owner,
            f"{what} has the rights of an administrator{which} and cannot be adopted: choose "
            "another database name",
        )
    if owner is not None and owner.namespace != database.owner.namespace:
        raise Conflict(
            name,
            owner,
            f"{what} belongs to namespace {owner.namespace!r} and can only be adopted from there",
        )
    if owner is not None and not owner.retained and owner.cluster_id != database.owner.cluster_id:
        raise Conflict(
            name,
            owner,
            f"{what} belongs to {owner.namespace}/{owner.name} of the cluster with id "
            f"{owner.cluster_id!r}, which may still use it",
        )


def check_holder(database: DatabaseRef, holder: RoleFacts | None) -> None:
    """Raise ``Conflict`` unless the database may be taken from the role that owns it.

    The same holds as for a role: what is in the database is that owner's. None is a role that the
    catalogs do not tell of, since it is one of the server's own.
    """
    if holder is None:
        owner, reach, name = None, frozenset[str](), "of the server itself"
    else:
        owner, reach, name = holder.owner, holder.reach, repr(holder.name)
    what = f"role {name}, which owns database {database.external_name!r},"
    check_adoption(database, owner, reach=reach, is_admin=holder is None, what=what)


def our_role(database: DatabaseRef, catalog: Catalog) -> RoleFacts | None:
    """Return the role if it is ours, None if there is none; raises ``Conflict`` otherwise."""
    role = catalog.roles.get(database.external_name)
    if role is None or database.owner.same(role.owner):
        return role
    raise conflict(database, role.owner, "role")


def check_database(database: DatabaseRef, catalog: Catalog) -> bool:
    """Return whether the database exists and is ours; raises ``Conflict`` if it is another's."""
    facts = catalog.databases.get(database.external_name)
    if facts is None:
        return False
    if facts.role != database.external_name:
        raise conflict(database, None, "database")
    return True
