"""Adds our kinds to a manager: this is how a platform team embeds the operator in its own binary.

::

    manager = Manager(client, scope=log_scope)
    backends = await prepare_backends(config, manager.client)  # not client: no lease guards that
    install(manager, config, backends)
    await manager.run(stop)
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Final

import structlog

from ..backends.sql import check_login
from ..controller import (
    LOW,
    Controller,
    ExponentialLimiter,
    Informer,
    KubeObject,
    Manager,
    ObjectKey,
    Packing,
    Request,
    Transform,
    annotations_changed,
    any_of,
    drop_managed_fields,
    enqueue_mapped,
    enqueue_self,
    finalizers_changed,
    generation_changed,
    labels_changed,
)
from .bindings import Bindings
from .config import Config
from .crowd import ADMITTED, Crowd
from .database import DatabaseReconciler
from .inventory import InventoryLoop
from .kinds import DATABASES, SERVERS
from .placement import Backends
from .quota import Quotas
from .reconciler import ObjectReconciler
from .runtime import LoginCheck, Runtime, ServerDirectory
from .secrets import SecretStore
from .server import ServerReconciler
from .server_deletion import BY_SERVER
from .status import Clock, utc_now
from .sweep import SecretSweep
from .verification import PublishedSecrets, VerifiedLogins

RECONCILE_SECONDS: Final = 300.0
"""No pass waits for progress, so one that takes this long hangs; its key is tried again."""
FIRST_RETRY_SECONDS: Final = 0.2
"""After a first failure; doubles up to the next number."""
LAST_RETRY_SECONDS: Final = 60.0
"""At most this long until a target that came back is seen."""


def install(
    manager: Manager,
    config: Config,
    backends: Backends,
    *,
    clock: Clock = utc_now,
    login: LoginCheck = check_login,
) -> Runtime:
    """Add the controllers of both kinds, the Secret sweep and the inventories to a manager.

    ``clock`` tells the times that are shown in status, ``login`` is how a published Secret is
    tried. The caller closes ``backends`` after the
    manager has stopped.
    """
    runtime, servers, databases = prepare_runtime(
        manager, config, backends, clock=clock, login=login
    )
    of_servers, of_databases = ServerReconciler(runtime), DatabaseReconciler(runtime)
    # before the sources of the controllers: a pass that an event asks for finds it taken note of
    servers.add_handler(of_servers.own_writes)
    databases.add_handler(of_databases.own_writes)
    server_controller = _controller(manager, config, of_servers)
    database_controller = _controller(manager, config, of_databases)
    _connect(server_controller, database_controller, servers, databases)
    runtime.directory.subscribe(
        lambda server: _wake_databases(runtime, database_controller, server)
    )
    runtime.directory.on_question(server_controller.enqueue)
    runtime.crowd.subscribe(lambda key: database_controller.enqueue(key, LOW))
    _add_loops(manager, runtime, server_controller, database_controller)
    return runtime


def prepare_runtime(
    manager: Manager,
    config: Config,
    backends: Backends,
    *,
    clock: Clock = utc_now,
    login: LoginCheck = check_login,
) -> tuple[Runtime, Informer, Informer]:
    """Return what passes and plans share, with the informers of servers and databases."""
    namespaces = tuple(config.controller.watch_namespaces)
    servers, databases = (
        manager.informer(kind, namespaces=namespaces, transform=_kept())
        for kind in (SERVERS, DATABASES)
    )
    databases.add_index(BY_SERVER, lambda obj: [str(key) for key in _server_of(obj)])
    chance = random.Random()  # noqa: S311  # jitter, not secrets
    published = PublishedSecrets()
    runtime = Runtime(
        client=manager.client,
        config=config,
        cluster_id=backends.cluster_id,
        backends=backends,
        servers=servers.store,
        databases=databases.store,
        events=manager.events,
        secrets=SecretStore(manager.client, published),
        directory=ServerDirectory(),
        quotas=Quotas(config, servers.store),
        bindings=Bindings(),
        logins=VerifiedLogins(lambda: asyncio.get_running_loop().time(), chance),
        published=published,
        clock=clock,
        check_login=login,
        random=chance,
        # the other half of the workers is left to what is in use
        crowd=Crowd(max(1, min(ADMITTED, config.controller.workers // 2))),
    )
    return runtime, servers, databases


def _kept() -> Transform:
    """Return what is cached of one kind: ten thousand objects wait for something now and then.

    Half of each is about who wrote what, which nobody here reads; the rest is much alike.
    """
    packing = Packing()
    return lambda obj: packing(drop_managed_fields(obj))


def _controller(manager: Manager, config: Config, reconciler: ObjectReconciler) -> Controller:
    limiter = ExponentialLimiter[ObjectKey](base=FIRST_RETRY_SECONDS, cap=LAST_RETRY_SECONDS)
    return manager.controller(
        reconciler.resource.kind.lower(),
        reconciler,
        workers=config.controller.workers,
        reconcile_timeout=RECONCILE_SECONDS,
        limiter=limiter,
    )


def _connect(
    servers_controller: Controller,
    databases_controller: Controller,
    servers: Informer,
    databases: Informer,
) -> None:
    """Say which events wake whom; our own status writes wake nobody."""
    theirs = any_of(
        generation_changed(), labels_changed(), annotations_changed(), finalizers_changed()
    )
    servers_controller.watch(servers, handler=enqueue_self(), predicate=theirs)
    databases_controller.watch(databases, handler=enqueue_self(), predicate=theirs)
    # a deletion of a server waits for its databases
    servers_controller.watch(
        databases, handler=enqueue_mapped(_server_of), predicate=generation_changed()
    )
    # a database waits for a server of that name to be created, and learns that it is gone
    databases_controller.watch(
        servers,
        handler=enqueue_mapped(
            lambda server: [
                each.key for each in databases.store.by_index(BY_SERVER, str(server.key))
            ]
        ),
        predicate=generation_changed(),
    )


def _add_loops(
    manager: Manager, runtime: Runtime, servers: Controller, databases: Controller
) -> None:
    sweep = SecretSweep(
        runtime.client,
        runtime.published,
        {SERVERS.kind: servers.enqueue, DATABASES.kind: databases.enqueue},
        interval=runtime.config.controller.secret_check_seconds,
    )
    manager.add("secret sweep", sweep.run)
    for backend in runtime.backends:
        if backend.inventory is not None:
            loop = InventoryLoop(backend.inventory, runtime.cluster_id, servers.enqueue)
            manager.add(f"inventory of {backend.name}", loop.run)


def _wake_databases(runtime: Runtime, databases: Controller, server: ObjectKey) -> None:
    for obj in runtime.databases.by_index(BY_SERVER, str(server)):
        databases.enqueue(obj.key)


def _server_of(database: KubeObject) -> Iterable[ObjectKey]:
    name = (database.decode().get("spec") or {}).get("serverRef", {}).get("name")
    return [ObjectKey(database.namespace, str(name))] if name else []


def log_scope(request: Request) -> AbstractContextManager[object]:
    """Bind the object to every log line of its pass; hand it to the manager as ``scope``."""
    return structlog.contextvars.bound_contextvars(
        namespace=request.key.namespace,
        name=request.key.name,
        reconcile_id=request.reconcile_id,
    )
