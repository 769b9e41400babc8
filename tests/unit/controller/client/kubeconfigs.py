"""Kubeconfigs as the tests of the client write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def write(path: Path, *, name: str = "test", **parts: Any) -> Path:
    """A kubeconfig with one context; ``user``, ``cluster`` and ``context`` add to the defaults."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [
            {"name": name, "cluster": {"server": "https://api:6443/", **parts.get("cluster", {})}}
        ],
        "users": [{"name": name, "user": parts.get("user", {})}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": name, **parts.get("context", {})}}
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return path
