"""Where a client connects to and how it logs in, in the forms that the clients want it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TOKEN = "bench"


@dataclass(frozen=True)
class Target:
    """One API server; files are empty strings where the connection is plain.

    ``kubeconfig`` says the same as the other fields, for the clients that read one.
    """

    url: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    kubeconfig: str = ""

    @property
    def tls(self) -> bool:
        return self.url.startswith("https:")

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    def text(self) -> str:
        """This, for the command line of a sample."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> "Target":
        return cls(**json.loads(text))


def write_kubeconfig(path: Path, target: Target) -> None:
    """Write a kubeconfig (JSON is YAML) that says what ``target`` does."""
    cluster: dict[str, Any] = {"server": target.url}
    user: dict[str, Any] = {"token": TOKEN}
    if target.ca:
        cluster["certificate-authority"] = target.ca
    if target.certificate:
        user = {"client-certificate": target.certificate, "client-key": target.key}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": cluster}],
        "users": [{"name": "bench", "user": user}],
        "contexts": [
            {
                "name": "bench",
                "context": {"cluster": "bench", "user": "bench", "namespace": "default"},
            }
        ],
        "current-context": "bench",
    }
    path.write_text(json.dumps(config))
