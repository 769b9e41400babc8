"""``hybridpg plan``: what it shows, that a pass then does it, and that it writes nothing."""

from contextlib import asynccontextmanager

import pytest

from hybridpg.app.errors import AppError, WriteRefused
from hybridpg.app.install import prepare_runtime
from hybridpg.app.kinds import ADOPT, DATABASES, FINALIZER, PAUSED, SERVERS
from hybridpg.app.placement import Backends
from hybridpg.app.planning import Plan, Sign
from hybridpg.app.preview import Preview
from hybridpg.app.readonly import ReadOnlyTransport
from hybridpg.controller import SECRETS, Client, JsonObject, Manager, MergePatch, ObjectKey

from .world import NAMESPACE, World, both_ready

pytestmark = pytest.mark.virtual_time


@asynccontextmanager
async def preview(world: World):
    """A second process beside the operator, which cannot write."""
    client = Client(ReadOnlyTransport(world.cluster))
    manager = Manager(client, close_client=False)
    backends = Backends(world.config, {"memory": world.backend, **world.others}, "cluster-1")
    runtime, _, _ = prepare_runtime(manager, world.config, backends, login=world.target.login)
    async with manager:
        yield Preview(runtime)


@asynccontextmanager
async def prepared(**config):
    """A world in which no operator runs."""
    world = World(config)
    await world.prepare()
    yield world


async def plan_of(world: World, kind, name: str) -> Plan:
    async with preview(world) as looking:
        found: list[Plan] = await looking.named([(kind, ObjectKey(NAMESPACE, name))])
    return found[0]


def texts(plan: Plan) -> list[str]:
    return [f"{step.sign.value} {step.text}" for step in plan.steps]


async def test_a_new_server_is_planned_from_finalizer_to_secret():
    async with prepared() as world:
        await world.server()
        plan = await plan_of(world, SERVERS, "pg")
        assert texts(plan)[:2] == [
            f"+ add finalizer {FINALIZER}",
            f"+ bind to backend memory as {NAMESPACE}-pg",
        ]
        assert "+ make secret pg-login" in texts(plan)
        assert not plan.refused


async def test_a_plan_writes_nothing_anywhere():
    async with prepared() as world:
        await world.server()
        await world.database()
        before = world.writes()
        async with preview(world) as looking:
            plans = await looking.existing(NAMESPACE)
        assert [plan.subject.name for plan in plans] == ["pg", "app"]
        assert world.writes() == before
        assert not world.target.servers


async def test_a_converged_object_has_nothing_to_do():
    async with both_ready() as world, preview(world) as looking:
        assert [texts(plan) for plan in await looking.existing("")] == [[], []]


async def test_a_database_waits_for_the_server_that_is_not_there():
    async with prepared() as world:
        await world.database(server="missing")
        plan = await plan_of(world, DATABASES, "app")
        assert texts(plan) == ["… wait for PostgreSQLServer missing to be created"]


async def test_a_new_database_on_a_server_that_answers_is_planned_to_its_role():
    async with both_ready() as world:
        document = {
            "kind": DATABASES.kind,
            "metadata": {"name": "other"},
            "spec": {"serverRef": {"name": "pg"}, "credentialsSecret": "other-login"},
        }
        async with preview(world) as looking:
            [plan] = await looking.written([document, {"kind": "ConfigMap"}], NAMESPACE)
        assert "+ make role other, marked as this object's" in texts(plan)
        assert "+ make secret other-login" in texts(plan)
        assert not await world.exists(DATABASES, "other")


async def test_what_a_plan_shows_for_a_change_is_what_the_pass_then_does():
    async with both_ready() as world:
        live = await world.get(SERVERS, "pg")
        spec = {**live["spec"], "size": {"storageGB": 50}}
        async with preview(world) as looking:
            [plan] = await looking.written(
                [{"kind": SERVERS.kind, "metadata": {"name": "pg"}, "spec": spec}], NAMESPACE
            )
        shown = [step.text for step in plan.steps if step.sign is Sign.CHANGE]
        await world.patch(SERVERS, "pg", {"spec": {"size": {"storageGB": 50}}})
        happened = [note for _, reason, note in await world.events("pg") if reason == "Updated"]
        assert shown
        assert happened[-len(shown) :] == shown


async def test_a_foreign_thing_is_a_conflict_and_the_plan_says_how_to_take_it_over():
    async with both_ready(deletion={"servers": "Retain"}) as world:
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        await world.delete(SERVERS, "pg")
        await world.gone(SERVERS, "pg")
        document: JsonObject = {
            "kind": SERVERS.kind,
            "metadata": {"name": "pg"},
            "spec": {"credentialsSecret": "pg-login"},
        }
        async with preview(world) as looking:
            [refused] = await looking.written([document], NAMESPACE)
            document["metadata"]["annotations"] = {ADOPT: f"{NAMESPACE}-pg"}
            [adopted] = await looking.written([document], NAMESPACE)
        assert refused.refused
        assert f"set annotation {ADOPT}: {NAMESPACE}-pg" in texts(refused)[-1]
        assert not adopted.refused
        assert "> take over secret pg-login" in texts(adopted)
        assert any(step.sign is Sign.TAKE_OVER for step in adopted.steps[:-1])


async def test_a_secret_of_somebody_else_is_refused():
    async with prepared() as world:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pg-login"}}
        await world.client.create(SECRETS, body, namespace=NAMESPACE)
        await world.server()
        plan = await plan_of(world, SERVERS, "pg")
        assert plan.refused
        assert texts(plan)[-1].startswith("! SecretConflict: secret team/pg-login exists")


@pytest.mark.parametrize(
    ("policy", "text"),
    [("Delete", "delete team-pg with its data"), ("Retain", "let team-pg stay with its data")],
)
async def test_a_deletion_is_told_with_what_becomes_of_the_data(policy, text):
    async with both_ready() as world:
        await world.patch(SERVERS, "pg", {"spec": {"deletionPolicy": policy}})
        await world.delete(SERVERS, "pg")
        plan = await plan_of(world, SERVERS, "pg")
        assert texts(plan)[0] == "… wait for its databases to be deleted: app"
        assert text in texts(plan)[1]
        assert texts(plan)[2] == "- remove the finalizer"


async def test_an_object_that_only_others_hold_has_nothing_to_do():
    async with prepared() as world:
        await world.server()
        await world.patch(SERVERS, "pg", {"metadata": {"finalizers": ["example.com/hold"]}})
        await world.delete(SERVERS, "pg")
        assert texts(await plan_of(world, SERVERS, "pg")) == []


async def test_a_paused_object_is_not_touched():
    async with prepared() as world:
        await world.server(annotations={PAUSED: "true"})
        plan = await plan_of(world, SERVERS, "pg")
        assert texts(plan) == ["… annotation paused is set: nothing is written"]


async def test_a_reset_and_a_rename_of_the_secret_are_shown():
    async with both_ready() as world:
        live = await world.get(DATABASES, "app")
        document = {
            "kind": DATABASES.kind,
            "metadata": {"name": "app", "labels": {"operator/action": "reset-password"}},
            "spec": live["spec"],
        }
        renamed = {**document, "spec": {**live["spec"], "credentialsSecret": "new-login"}}
        async with preview(world) as looking:
            [reset] = await looking.written([document], NAMESPACE)
            [moved] = await looking.written([renamed], NAMESPACE)
        assert texts(reset) == ["~ change the password in secret app-login"]
        assert texts(moved) == [
            "- remove secret app-login, whose content moves to new-login",
            "+ make secret new-login",
        ]


async def test_a_wrong_spec_is_refused_with_its_fields():
    async with prepared() as world, preview(world) as looking:
        document = {"kind": SERVERS.kind, "metadata": {"name": "pg"}, "spec": {"size": 3}}
        [plan] = await looking.written([document], NAMESPACE)
    assert plan.refused
    assert "spec.size" in texts(plan)[-1]


async def test_an_object_that_is_not_there_is_named():
    async with prepared() as world, preview(world) as looking:
        with pytest.raises(AppError, match="PostgreSQLServer team/nobody does not exist"):
            await looking.named([(SERVERS, ObjectKey(NAMESPACE, "nobody"))])


async def test_through_a_read_only_transport_nothing_is_written():
    world = World()
    await world.prepare()
    client = Client(ReadOnlyTransport(world.cluster))
    with pytest.raises(WriteRefused, match=r"PATCH .* is refused"):
        await client.patch(SERVERS, ObjectKey(NAMESPACE, "pg"), MergePatch({}))
    with pytest.raises(WriteRefused, match=r"DELETE .* is refused"):
        await client.delete(SERVERS, ObjectKey(NAMESPACE, "pg"))


async def test_a_server_that_was_replaced_is_shown_as_what_keeps_a_database_back():
    async with both_ready() as world:
        await world.client.patch(
            DATABASES,
            ObjectKey(NAMESPACE, "app"),
            MergePatch({"status": {"serverUID": "former"}}),
            subresource="status",
        )
        server = world.target.servers["team-pg"]
        del server.roles["app"], server.databases["app"]
        plan = await plan_of(world, DATABASES, "app")
        assert [step.sign for step in plan.steps] == [Sign.REFUSE]
        assert plan.steps[0].text.startswith("ServerGone: server pg is another one")
