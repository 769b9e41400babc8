"""The lines that ``hybridpg dev`` prints when all is ready: they work when pasted."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from .login import Login
from .state import State, write_private

SERVICE = "app"


def write_service(state: State, login: Login) -> None:
    """Write the login in the form that psql reads without kubectl's help (0600)."""
    write_private(
        state.service_file,
        f"[{SERVICE}]\nhost={login.host}\nport={login.port}\ndbname={login.dbname}\n"
        f"user={login.user}\npassword={login.password}\nsslmode={login.sslmode}\n"
        f"sslrootcert={state.certificate.resolve()}\n",
    )


def usage(state: State, kubeconfig: Path, secret: str) -> list[str]:
    """Return the lines; where there is no kubectl, those that do without it."""
    kubectl = f"kubectl --kubeconfig {_path(kubeconfig)}"
    lines = [
        "Look at it:",
        f"  {kubectl} get postgresqlservers,postgresqldatabases",
        f"  {kubectl} describe postgresqldatabase app",
        "Log in:",
    ]
    if shutil.which("kubectl"):
        uri = f"{kubectl} get secret {secret} -o jsonpath='{{.data.uri}}' | base64 -d"
        lines.append(f'  PGSSLROOTCERT={_path(state.certificate)} psql "$({uri})"')
    else:
        lines.append(f"  PGSERVICEFILE={_path(state.service_file)} psql service={SERVICE}")
    lines.append(
        f"Ctrl-C stops everything; the state stays in {_path(state.folder)} (--reset removes it)"
    )
    return lines


def _path(path: Path) -> str:
    """Return a path as typed at a shell, relative where that is shorter."""
    try:
        return shlex.quote(str(path.resolve().relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(path.resolve()))
