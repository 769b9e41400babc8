"""Controllers for Kubernetes in asyncio: watch, cache, queue, reconcile; no framework around them.

Knows no kind of ours and no database. ``Manager`` owns what runs, ``Informer`` caches a kind,
``Controller`` runs a reconcile function for the keys that its sources name.
"""

from .apply import apply, controller_reference
from .client import (
    AiohttpTransport,
    ApplyPatch,
    Client,
    Config,
    JsonPatch,
    MeasuredTransport,
    MergePatch,
    Patch,
    load_default,
    load_in_cluster,
    load_kubeconfig,
    merge_difference,
)
from .conditions import find_condition, remove_condition, set_condition
from .decode import ListPage, WatchEvent, decode_event, decode_list, decode_object
from .delayqueue import DelayQueue
from .errors import (
    AlreadyExists,
    ApiError,
    ApplyConflict,
    BadRequest,
    ConfigError,
    Conflict,
    ConnectionRefused,
    ControllerError,
    DecodeError,
    Forbidden,
    Gone,
    Invalid,
    LeaseLost,
    ManagerError,
    NotFound,
    NotSynced,
    QueueClosed,
    ServerError,
    TerminalError,
    TooManyRequests,
    TransportError,
    Unauthorized,
    UnknownEvent,
)
from .events import EventRecorder
from .fence import FencedTransport
from .finalizer import ensure as ensure_finalizer
from .finalizer import remove as remove_finalizer
from .guarded import GuardedPatch
from .handlers import Handler, enqueue_mapped, enqueue_owner, enqueue_self
from .health import Address, Check, HealthServer
from .indexer import IndexFunction
from .informer import Informer
from .leader import LeaderElector
from .lease import LeaseConfig
from .loop import Controller, Scope
from .manager import Manager
from .metadata import Metadata, metadata_of
from .packed import Packing
from .predicates import (
    Event,
    Predicate,
    all_of,
    annotations_changed,
    any_of,
    deletion_changed,
    finalizers_changed,
    generation_changed,
    labels_changed,
    negate,
    resource_version_changed,
    resynced,
)
from .protocols import (
    EventHandler,
    EventSink,
    Now,
    RateLimiter,
    ReadStore,
    Response,
    Runnable,
    Transport,
)
from .ratelimit import (
    BucketLimiter,
    ExponentialLimiter,
    FastSlowLimiter,
    MaxOfLimiter,
    MaxWaitLimiter,
)
from .reconcile import Reconcile, Request, Result
from .reflector import Reflector
from .registration import Registration
from .retry import retry_on_conflict
from .runstats import ControllerStats
from .signals import stop_on_signals
from .stats import InformerStats
from .status import write_status
from .store import Replaced, Store, Writer
from .transforms import Transform, drop_managed_fields
from .types import (
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    LEASES,
    NAMESPACES,
    SECRETS,
    Headers,
    JsonObject,
    KubeObject,
    ObjectKey,
    ObjectReference,
    OwnerReference,
    Query,
    Resource,
    is_older_version,
)
from .watcher import Changed, Listed, Watcher
from .workqueue import LOW, NORMAL, WorkQueue

__all__ = [
    "Address",
    "AiohttpTransport",
    "AlreadyExists",
    "ApiError",
    "ApplyConflict",
    "ApplyPatch",
    "BadRequest",
    "BucketLimiter",
    "CUSTOM_RESOURCE_DEFINITIONS",
    "Changed",
    "Check",
    "Client",
    "Config",
    "ConfigError",
    "Conflict",
    "ConnectionRefused",
    "Controller",
    "ControllerError",
    "ControllerStats",
    "DecodeError",
    "DelayQueue",
    "EVENTS",
    "Event",
    "EventHandler",
    "EventRecorder",
    "EventSink",
    "ExponentialLimiter",
    "FastSlowLimiter",
    "FencedTransport",
    "Forbidden",
    "Gone",
    "GuardedPatch",
    "Handler",
    "Headers",
    "HealthServer",
    "IndexFunction",
    "Informer",
    "InformerStats",
    "Invalid",
    "JsonObject",
    "JsonPatch",
    "KubeObject",
    "LEASES",
    "LOW",
    "LeaderElector",
    "LeaseConfig",
    "LeaseLost",
    "ListPage",
    "Listed",
    "Manager",
    "ManagerError",
    "MaxOfLimiter",
    "MaxWaitLimiter",
    "MeasuredTransport",
    "MergePatch",
    "Metadata",
    "NAMESPACES",
    "NORMAL",
    "NotFound",
    "NotSynced",
    "Now",
    "ObjectKey",
    "ObjectReference",
    "OwnerReference",
    "Packing",
    "Patch",
    "Predicate",
    "Query",
    "QueueClosed",
    "RateLimiter",
    "ReadStore",
    "Reconcile",
    "Reflector",
    "Registration",
    "Replaced",
    "Request",
    "Resource",
    "Response",
    "Result",
    "Runnable",
    "SECRETS",
    "Scope",
    "ServerError",
    "Store",
    "TerminalError",
    "TooManyRequests",
    "Transform",
    "Transport",
    "TransportError",
    "Unauthorized",
    "UnknownEvent",
    "WatchEvent",
    "Watcher",
    "WorkQueue",
    "Writer",
    "all_of",
    "annotations_changed",
    "any_of",
    "apply",
    "controller_reference",
    "decode_event",
    "decode_list",
    "decode_object",
    "deletion_changed",
    "drop_managed_fields",
    "enqueue_mapped",
    "enqueue_owner",
    "enqueue_self",
    "ensure_finalizer",
    "finalizers_changed",
    "find_condition",
    "generation_changed",
    "is_older_version",
    "labels_changed",
    "load_default",
    "load_in_cluster",
    "load_kubeconfig",
    "merge_difference",
    "metadata_of",
    "negate",
    "remove_condition",
    "remove_finalizer",
    "resource_version_changed",
    "resynced",
    "retry_on_conflict",
    "set_condition",
    "stop_on_signals",
    "write_status",
]
