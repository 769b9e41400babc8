"""A kind of our own: a ``Team`` gets a PostgreSQL server, and is Ready when the server is."""

from __future__ import annotations

from hybridpg.controller import (
    Client,
    KubeObject,
    Manager,
    ObjectReference,
    Request,
    Resource,
    apply,
    controller_reference,
    enqueue_owner,
    enqueue_self,
    find_condition,
    generation_changed,
    set_condition,
    write_status,
)

TEAMS = Resource("platform.acme.example", "v1", "teams", "Team")
SERVERS = Resource(
    "hybridcloud.maibornwolff.de", "v1alpha1", "postgresqlservers", "PostgreSQLServer"
)


def add_teams(manager: Manager) -> None:
    """Add the controller of teams; it watches their servers, too."""
    teams, servers = manager.informer(TEAMS), manager.informer(SERVERS)

    async def reconcile(request: Request) -> None:
        team = teams.store.get(request.key)
        if team is None or team.deleting:
            return  # its server is garbage, and hybridpg keeps or deletes what is behind it
        server = servers.store.get(request.key)
        if server is None:
            await apply(manager.client, SERVERS, server_of(team))
            manager.events.event(reference(team), "Normal", "ServerRequested", "asked for a server")
        await report(manager.client, team, server)

    controller = manager.controller("team", reconcile, workers=4)
    controller.watch(teams, handler=enqueue_self(), predicate=generation_changed())
    controller.watch(servers, handler=enqueue_owner(TEAMS))


def server_of(team: KubeObject) -> dict[str, object]:
    """Return the server that a team is to have."""
    return {
        "metadata": {
            "name": team.name,
            "namespace": team.namespace,
            "ownerReferences": [controller_reference(TEAMS, team)],
        },
        "spec": {
            "credentialsSecret": f"{team.name}-postgres",
            "size": {"storageGB": team.decode()["spec"]["storageGB"]},
        },
    }


async def report(client: Client, team: KubeObject, server: KubeObject | None) -> None:
    """Say of the team what its server says of itself."""
    status = team.decode().get("status") or {}
    found = (server.decode().get("status") or {}) if server else {}
    ready = find_condition(found.get("conditions") or [], "Ready") or {}
    status["conditions"] = set_condition(
        status.get("conditions") or [],
        "Ready",
        ready.get("status", "False"),
        reason=ready.get("reason", "ServerRequested"),
        message=ready.get("message", "the server is not there yet"),
        observed_generation=team.generation,
    )
    await write_status(client, TEAMS, team, status)


def reference(team: KubeObject) -> ObjectReference:
    """Return what an event about a team refers to."""
    return ObjectReference(TEAMS.api_version, TEAMS.kind, team.namespace, team.name, team.uid)
