"""Fixtures for real PostgreSQL servers of every supported major version.

A server is started with the first test that asks for its version and ends with the session, or
with the process however that ends. It speaks TLS with a certificate of our own authority, takes
SCRAM only, listens on loopback alone, and writes every statement to its log, so that a test can
count what arrived at the wire. ``hack/postgres`` finds or fetches the programs.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import ipaddress
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.requirements import missing

from hybridpg.backends.values import (
    AdminLogin,
    Endpoint,
    Password,
)

MAJORS = (13, 14, 15, 16, 17, 18)
HACK_POSTGRES = Path(__file__).parents[1] / "hack" / "postgres"
SUPERUSER = "postgres"
CLOUD_ADMIN = "cloudadmin"
"""An admin as managed services have it: CREATEROLE and CREATEDB, but no superuser."""
OURS = re.compile(r"hybridpg( [0-9a-f]+ [0-9a-f]+)?\|")
"""How a line of the server's log begins that tells of the controller."""
ADMINS = (SUPERUSER, CLOUD_ADMIN)
START_SECONDS = 30
PORTS = range(10_000, 20_000)
"""Below those of the backend ``local`` in tests, which are below those of clients."""
_SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
ssl = on
password_encryption = 'scram-sha-256'
fsync = off
full_page_writes = off
synchronous_commit = off
shared_buffers = 16MB
max_connections = 60
log_statement = 'all'
log_connections = on
log_line_prefix = '%a|%u|%d|%r|'
"""


@dataclass
class PgServer:
    """One running server; ``password`` is the same for both admins."""

    major: int
    folder: Path
    port: int
    ca: str
    password: str
    start: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def endpoint(self, admin: str = SUPERUSER) -> Endpoint:
        """The server with the login of one of its two admins."""
        login = AdminLogin(admin, Password(self.password))
        return Endpoint("127.0.0.1", self.port, ca=self.ca, admin=login)

    def run(self, statement: str, dbname: str = "postgres", admin: str = SUPERUSER) -> list[Any]:
        """Run statements by hand, behind the back of the code under test.

        However short an owner of the database set the limit of a statement there.
        """
        with self.connect(dbname, admin, self.password, "-c statement_timeout=0") as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def connect(
        self, dbname: str, user: str, password: str, options: str = ""
    ) -> psycopg.Connection[Any]:
        """Connect as an application does that has the published Secret."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=dbname,
            user=user,
            password=password,
            sslmode="verify-full",
            sslrootcert=str(self.folder / "ca.crt"),
            autocommit=True,
            application_name="by-hand",
            options=options,
        )

    def log(self) -> str:
        """Everything the server has written so far."""
        return (self.folder / "server.log").read_text(errors="replace")

    @contextlib.contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Collect the controller's statements that arrive while the block runs, one per string."""
        begin = len(self.log())
        seen: list[str] = []
        yield seen
        for line in self.log()[begin:].splitlines():
            if line.startswith("\t") and seen:  # a statement of several lines
                seen[-1] = f"{seen[-1]} {line.strip()}".strip()
            elif OURS.match(line) and "statement:" in line:
                seen.append(line.partition("statement:")[2].strip())

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End the server: at once, or as the signal says."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(START_SECONDS)
            self.process = None

    def up(self) -> None:
        """Start the server, again after :meth:`stop`, and wait until it accepts logins."""
        self.process = self.start()
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.run("SELECT 1")
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"PostgreSQL {self.major} does not start: {self.log()[-2000:]}")
                time.sleep(0.02)
            else:
                return


def die_with_us() -> None:
    """Ask the kernel to end the server when the test process is gone (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _account() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: pick somebody without rights."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return missing("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256())


def _write_tls(folder: Path) -> str:
    """Write ca.crt, server.crt and server.key; return the authority's certificate."""
    ca_key, key = _key(), _key()
    ca = _certificate("hybridpg test authority", ca_key, None)
    certificate = _certificate("127.0.0.1", key, (ca, ca_key))
    pem = serialization.Encoding.PEM
    ca_text = ca.public_bytes(pem).decode()
    (folder / "ca.crt").write_text(ca_text)
    (folder / "server.crt").write_bytes(certificate.public_bytes(pem))
    (folder / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "server.key").chmod(0o600)
    return ca_text


def free_port() -> int:
    """Return a port of loopback that nobody listens on.

    It is below those that the kernel gives to clients: until it is used, no connection takes it,
    and so rarely does another test.
    """
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def programs(major: int) -> Path:
    """Return the folder with the programs of a version, fetched where they are missing."""
    done = subprocess.run(
        [str(HACK_POSTGRES), str(major)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        missing(f"no PostgreSQL {major} here: {done.stderr.strip()[-500:]}")
    return Path(done.stdout.strip())


def make_server(major: int, folder: Path) -> PgServer:
    """Make a server in an empty folder and start it; both admins exist."""
    found, account = programs(major), _account()
    ca, password, port = _write_tls(folder), "Test-Admin.1", free_port()
    (folder / "password").write_text(password)
    for path in (folder, *folder.iterdir()):
        os.chown(path, account.get("user", -1), account.get("group", -1))
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}
    command = [str(found / "initdb"), "-D", str(folder / "data"), "-U", SUPERUSER, "-N"]
    command += ["-A", "scram-sha-256", f"--pwfile={folder / 'password'}", "-E", "UTF8"]
    made = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, **account
    )
    if made.returncode:
        pytest.fail(f"initdb of PostgreSQL {major}: {made.stderr}")
    data = folder / "data"
    with (data / "postgresql.conf").open("a") as file:
        file.write(_SETTINGS.format(port=port))
        file.write(f"ssl_cert_file = '{folder}/server.crt'\nssl_key_file = '{folder}/server.key'\n")
    (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")

    def start() -> subprocess.Popen[bytes]:
        with (folder / "server.log").open("ab") as log:
            return subprocess.Popen(
                [str(found / "postgres"), "-D", str(data)],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_us,
                **account,
            )

    server = PgServer(major, folder, port, ca, password, start)
    server.up()
    server.run(f"CREATE ROLE {CLOUD_ADMIN} LOGIN CREATEROLE CREATEDB PASSWORD '{password}'")
    return server


@contextlib.contextmanager
def running_server(major: int) -> Iterator[PgServer]:
    """Run a server of its own for as long as the block lasts."""
    memory = Path("/dev/shm")
    parent = str(memory) if os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="hybridpg-pg-", dir=parent))
    server = None
    try:
        server = make_server(major, folder)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", params=MAJORS, ids=lambda major: f"pg{major}")
def pg_each(request: pytest.FixtureRequest) -> Iterator[PgServer]:
    """A server of each supported version in turn, shared by the session."""
    with running_server(request.param) as server:
        yield server


@pytest.fixture(scope="session")
def pg(request: pytest.FixtureRequest) -> Iterator[PgServer]:
    """A server of one version, shared by the session, for what does not depend on the version."""
    with running_server(15) as server:
        yield server


@pytest.fixture
def own_pg() -> Iterator[PgServer]:
    """A server of one test's own, which it may stop, hang or break."""
    with running_server(15) as server:
        yield server


@pytest.fixture(params=ADMINS)
def admin(request: pytest.FixtureRequest) -> str:
    """The name of each kind of admin in turn."""
    return str(request.param)
