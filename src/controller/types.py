"""The values that cross the borders between the modules of the runtime.

All of them are immutable and cheap: a cached object is its decoded identity beside the raw bytes
it came in, and everything else is decoded by whoever needs it. Dicts of whole objects would cost
four times the memory and most of the time of the garbage collector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

Query = Sequence[tuple[str, str]]
"""Query parameters in order; a name may occur more than once."""
Headers = Sequence[tuple[str, str]]
"""Header fields in order."""
JsonObject = dict[str, Any]
"""A decoded JSON object: the one place where ``Any`` enters."""
_decode: Final = msgspec.json.Decoder(JsonObject).decode


class ObjectKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """Namespace and name of one object; the namespace of a cluster-scoped one is empty.

    ``namespace, name = key`` takes it apart. It is no tuple: the garbage collector would look at
    each of the tens of thousands that wait in a queue, again and again.
    """

    namespace: str
    name: str

    def __iter__(self) -> Iterator[str]:
        """Yield namespace and name."""
        yield self.namespace
        yield self.name

    def __str__(self) -> str:
        """Return ``namespace/name``, or the name alone for a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object as the API server addresses it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``group/version``, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        """Return ``plural.group``, the name that kubectl takes."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
SECRETS = Resource("", "v1", "secrets", "Secret")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)


_NAMES: Final = {
    "resource_version": "resourceVersion",
    "deletion_timestamp": "deletionTimestamp",
    # what metadata does not have; what it might have under that name all the same is written over
    "encoded": "(encoded)",
    "offset": "(offset)",
}
"""The names of fields where a decoder fills them in from ``metadata``."""


class KubeObject(msgspec.Struct, frozen=True, gc=False, rename=_NAMES):
    """One object of the cache: decoded identity and the bytes of the whole.

    The bytes are those that came from the network, the frame of a watch event included: cutting
    them out would copy every object once more. Nothing here is mutable or seen by the garbage
    collector, so objects can be shared between any number of readers.
    """

    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: str = ""
    encoded: bytes = b""
    offset: int = 0
    """Where the object begins in ``encoded``; unless that is 0, one brace follows its end."""

    @property
    def key(self) -> ObjectKey:
        """Namespace and name."""
        return ObjectKey(self.namespace, self.name)

    @property
    def deleting(self) -> bool:
        """Whether the object waits for its finalizers."""
        return bool(self.deletion_timestamp)

    @property
    def raw(self) -> bytes:
        """The JSON of the object alone."""
        return self.encoded[self.offset : -1] if self.offset else self.encoded

    @property
    def view(self) -> memoryview:
        """The JSON of the object alone, without a copy; for a decoder."""
        whole = memoryview(self.encoded)
        return whole[self.offset : -1] if self.offset else whole

    def decode(self) -> JsonObject:
        """Decode the whole object into a fresh dict that the caller may change."""
        return _decode(self.view)


@dataclass(frozen=True, slots=True)
class OwnerReference:
    """One entry of ``metadata.ownerReferences``."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """What an event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


def is_older_version(version: str, known: str) -> bool:
    """Return whether a resourceVersion is proven earlier than another of the same kind's.

    Those of an API server are numbers that grow, by contract since Kubernetes 1.35 (KEP-5504).
    What is no number says nothing.
    """
    return version.isdecimal() and known.isdecimal() and int(version) < int(known)
