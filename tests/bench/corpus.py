"""Objects and events as an API server sends them: 3 KB of JSON each, the same at every run."""

import json
import random
from collections.abc import Iterator

GROUP, VERSION, PLURAL, KIND = "bench.example.com", "v1", "widgets", "Widget"
COLLECTION = f"/apis/{GROUP}/{VERSION}/{PLURAL}"
PAGE = 500
SEED = 7

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
            "generation": 1 + version % 5,
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
        yield _encode(widget(random_, number, 1000 + number))


def pages(count: int) -> list[bytes]:
    """The pages of a list of ``count`` objects, as the API server cuts them."""
    encoded = list(objects(count))
    made = []
    for start in range(0, count, PAGE):
        rest = max(0, count - start - PAGE)
        metadata: dict[str, object] = {"resourceVersion": str(1000 + count)}
        if rest:
            metadata |= {"continue": f"page-{start // PAGE + 1}", "remainingItemCount": rest}
        head = {"apiVersion": f"{GROUP}/{VERSION}", "kind": f"{KIND}List", "metadata": metadata}
        items = b",".join(encoded[start : start + PAGE])
        made.append(_encode(head)[:-1] + b',"items":[' + items + b"]}\n")
    return made


def stream(events: int, keys: int) -> bytes:
    """A watch of ``events`` changes of ``keys`` objects in HTTP chunks, one event each."""
    random_ = random.Random(SEED)
    chunks = []
    for number in range(events):
        kind = "ADDED" if number < keys else "MODIFIED"
        obj = widget(random_, number % keys, 1000 + number)
        line = _encode({"type": kind, "object": obj}) + b"\n"
        chunks.append(b"%x\r\n%s\r\n" % (len(line), line))
    return b"".join(chunks)


def _encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
