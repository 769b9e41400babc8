"""Objects and events as an API server sends them: 3 KB of JSON each, the same at every run."""

import json
import random
from collections.abc import Iterator

GROUP, VERSION, PLURAL, KIND = "bench.example.com", "v1", "widgets", "Widget"
COLLECTION = f"/apis/{GROUP}/{VERSION}/{PLURAL}"
PAGE = 500
KEYS = 10_000
"""Objects that the events of a watch are about, one after the other."""
SEED = 7
FIRST_VERSION = 10**18
"""As long as a time in nanoseconds: the server may put that in its place."""
CHURNED = 10
"""Of so many events of a churn, one deletes an object and one makes it again."""

_WORDS = [
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliett",
    "kilo",
    "lima",
]


def widget(random_: random.Random, number: int, version: int) -> dict[str, object]:
    """One object with what real ones have: labels, conditions and managedFields."""
    text = " ".join(random_.choices(_WORDS, k=40))
    fields: dict[str, object] = {f"f:{word}": {} for word in _WORDS}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {
            "name": f"widget-{number:06d}",
            "namespace": f"team-{number % 50}",
            "uid": f"{random_.getrandbits(128):032x}",
            "resourceVersion": str(version),
            "generation": 1 + number % 5,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {f"label-{word}": word for word in _WORDS[:6]},
            "annotations": {"example.com/text": text},
            "managedFields": [
                {
                    "manager": f"manager-{each}",
                    "operation": "Update",
                    "apiVersion": f"{GROUP}/{VERSION}",
                    "time": "2026-01-01T00:00:00Z",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:spec": fields, "f:status": fields},
                }
                for each in range(2)
            ],
        },
        "spec": {
            "size": {"cpu": number % 8, "memoryMB": 1024, "storageGB": 10},
            "items": [{"name": word, "value": text[:30]} for word in _WORDS],
        },
        "status": {
            "conditions": [
                {
                    "type": type_,
                    "status": "True",
                    "reason": "Available",
                    "message": text[:80],
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }
                for type_ in ("Ready", "Synced")
            ]
        },
    }


def objects(count: int) -> Iterator[bytes]:
    """``count`` encoded objects."""
    random_ = random.Random(SEED)
    for number in range(count):
        yield encode(widget(random_, number, FIRST_VERSION + number))


def pages(count: int) -> list[bytes]:
    """The pages of a list of ``count`` objects, as the API server cuts them."""
    encoded = list(objects(count))
    made = []
    for start in range(0, count, PAGE):
        rest = max(0, count - start - PAGE)
        metadata: dict[str, object] = {"resourceVersion": str(FIRST_VERSION + count)}
        if rest:
            metadata |= {"continue": f"page-{start // PAGE + 1}", "remainingItemCount": rest}
        head = {"apiVersion": f"{GROUP}/{VERSION}", "kind": f"{KIND}List", "metadata": metadata}
        items = b",".join(encoded[start : start + PAGE])
        made.append(encode(head)[:-1] + b',"items":[' + items + b"]}\n")
    return made


def events(count: int, keys: int, *, long: int = 0, churn: bool = False) -> Iterator[bytes]:
    """The lines of a watch: ``count`` changes of ``keys`` objects, one after the other.

    ``long`` is what each event holds at the least. A churn ends where it began, so that it can be
    repeated.
    """
    made = list(objects(min(count, keys)))
    if long:
        made = [_lengthen(each, long) for each in made]
    if churn:
        yield from _churn(made, count)
        return
    for number in range(count):
        kind = b"ADDED" if number < keys else b"MODIFIED"
        yield event(kind, _at(made[number % keys], number % keys, FIRST_VERSION + number))


def initial(count: int) -> Iterator[bytes]:
    """The lines of a streaming list: every object, then the bookmark that ends it."""
    for each in objects(count):
        yield event(b"ADDED", each)
    yield bookmark(FIRST_VERSION + count, ends_list=True)


def bookmark(version: int, *, ends_list: bool = False) -> bytes:
    """The line of a bookmark; one that ends a streaming list says so in an annotation."""
    metadata: dict[str, object] = {"resourceVersion": str(version)}
    if ends_list:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    obj = {"kind": KIND, "apiVersion": f"{GROUP}/{VERSION}", "metadata": metadata}
    return event(b"BOOKMARK", encode(obj))


def event(kind: bytes, obj: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind, obj)


def chunks(lines: Iterator[bytes], per_chunk: int = 1) -> bytes:
    """Lines in HTTP chunks of so many."""
    made, batch = [], list[bytes]()
    for line in lines:
        batch.append(line)
        if len(batch) == per_chunk:
            made.append(chunk(b"".join(batch)))
            batch.clear()
    if batch:
        made.append(chunk(b"".join(batch)))
    return b"".join(made)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _at(data: bytes, number: int, version: int) -> bytes:
    # encoding each event anew would take longer than most clients take to read them
    return data.replace(b"%d" % (FIRST_VERSION + number), b"%d" % version, 1)


def _lengthen(obj: bytes, long: int) -> bytes:
    missing = max(0, long - len(obj))
    return obj.replace(b'"spec":{', b'"spec":{"data":"%s",' % (b"x" * missing), 1)


def _churn(made: list[bytes], count: int) -> Iterator[bytes]:
    for number in range(count):
        each = number // CHURNED % len(made)
        place = number % CHURNED
        if place in (0, 1):
            yield event((b"DELETED", b"ADDED")[place], made[each])
        else:
            key = number * 7 % len(made)
            yield event(b"MODIFIED", _at(made[key], key, FIRST_VERSION + number))
