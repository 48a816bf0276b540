"""A store that a team shares: a PostgreSQL of its own and an ``mlflow server`` on it, started by one command.

::

    apt-get install postgresql                       # Debian's package
    pip install 'rasd[postgres]'
    python -m training.store_server FOLDER           # stays; Ctrl-C ends both servers, and FOLDER keeps everything

and in every shell that trains or looks::

    export MLFLOW_TRACKING_URI=http://127.0.0.1:5000     # or output.tracking_uri in a configuration

The database listens on a socket that only its owner may open, and on no network port. Artifacts lie in
``FOLDER/artifacts`` and travel through the server. ``--host 0.0.0.0`` opens the server, which asks nobody for a
password, to the network: put a proxy that does before it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from inference.errors import ConfigError, RasdError
from training.store import QUIET

_NAME = "rasd"
_DEBIAN = Path("/usr/lib/postgresql")
_SERVICE_USER = "postgres"
_ANSWERED = 30


class Postgres:
    """A PostgreSQL cluster of our own.

    Args:
        folder: where it keeps its data; made where there is none yet.

    Raises:
        ConfigError: where PostgreSQL is not installed, or may not use the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._programs = _programs()
        # A socket's path may hold some hundred bytes only, which a folder deep in a home easily has.
        self._socket = Path(tempfile.mkdtemp(prefix="rasd-store-"))

    @property
    def uri(self) -> str:
        """The database's address, as SQLAlchemy writes it."""
        return f"postgresql+psycopg2://{_NAME}@/{_NAME}?host={self._socket}"

    def start(self) -> None:
        """Make the cluster and its database where they are missing, and start it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._hand_over()
        if not (self.folder / "PG_VERSION").exists():
            # Whoever can open the socket is let in; the socket's folder lets in its owner alone.
            self._call("initdb", "-D", self.folder, "-U", _NAME, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        options = f"-c listen_addresses='' -c unix_socket_directories='{self._socket}'"
        log = self.folder / "server.log"
        self._call("pg_ctl", "-D", self.folder, "-w", "-t", _ANSWERED, "-l", log, "-o", options, "start")
        if self.query("select 1 from pg_database where datname = 'rasd'", database="postgres") != "1":
            self._call("createdb", "-h", self._socket, "-U", _NAME, _NAME)

    def stop(self) -> None:
        """Stop the cluster, if it runs; its data stays."""
        if (self.folder / "postmaster.pid").exists():
            self._call("pg_ctl", "-D", self.folder, "-m", "fast", "stop")
        shutil.rmtree(self._socket, ignore_errors=True)

    def query(self, statement: str, *, database: str = _NAME) -> str:
        """Run one statement with ``psql``, and give what it prints.

        Args:
            statement: in SQL.
            database: on which of the cluster's databases.
        """
        return self._call("psql", "-h", self._socket, "-U", _NAME, "-d", database, "-Atc", statement)

    def _hand_over(self) -> None:
        if os.geteuid() != 0:
            return
        # PostgreSQL refuses to run as root: Debian's package made a user for it.
        for folder in (self.folder, self._socket):
            shutil.chown(folder, _SERVICE_USER)
        if subprocess.run([*_as_service_user(), "test", "-w", str(self.folder)], check=False).returncode:
            raise ConfigError(f"{self.folder}: the user {_SERVICE_USER!r} may not go there; choose another folder")

    def _call(self, program: str, *arguments: object) -> str:
        command = [*_as_service_user(), str(self._programs / program), *map(str, arguments)]
        # pg_ctl leaves the server behind, which would hold a pipe open for ever: it writes into a file.
        with tempfile.TemporaryFile() as out:
            done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, cwd="/", check=False)
            out.seek(0)
            text = out.read().decode("utf-8", "replace").strip()
        if done.returncode:
            raise RasdError(f"{program} failed: {text[-1000:]}")
        return text


def _as_service_user() -> list[str]:
    return ["runuser", "-u", _SERVICE_USER, "--"] if os.geteuid() == 0 else []


def _programs() -> Path:
    # Debian keeps all but psql off the path, a folder for each version; elsewhere they lie on it.
    versions = [p for p in _DEBIAN.glob("*/bin") if (p / "initdb").exists()]
    if versions:
        return max(versions, key=lambda p: float(re.sub(r"[^\d.]", "", p.parent.name) or 0))
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    raise ConfigError("PostgreSQL is not installed: apt-get install postgresql")


@contextmanager
def store_server(folder: Path, *, host: str, port: int) -> Iterator[tuple[Postgres, subprocess.Popen[bytes]]]:
    """Run PostgreSQL and an ``mlflow server`` on it.

    Args:
        folder: keeps the database and the artifacts.
        host: what the server listens on.
        port: likewise.

    Raises:
        RasdError: where one of them cannot be started.
    """
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        raise ConfigError("the driver for PostgreSQL is not installed: pip install 'rasd[postgres]'") from None
    database = Postgres(folder / "postgresql")
    try:
        database.start()
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database.uri]
        command += ["--artifacts-destination", str((folder / "artifacts").resolve())]
        command += ["--host", host, "--port", str(port), "--workers", "2"]
        # MLflow starts uvicorn by name, which lies beside this Python where the environment is not activated.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        environment = {**os.environ, "PATH": path, **QUIET}
        environment.pop("MLFLOW_TRACKING_URI", None)
        server = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            yield database, server
        finally:
            # The whole group: the server has workers of its own.
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()
    finally:
        database.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both servers until they are interrupted."""
    parser = argparse.ArgumentParser(prog="python -m training.store_server", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="keeps the database and the artifacts")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with store_server(options.folder, host=options.host, port=options.port) as (_, server):
            print(f"export MLFLOW_TRACKING_URI=http://{options.host}:{options.port}", flush=True)
            return server.wait()
    except KeyboardInterrupt:
        return 0
    except RasdError as error:
        print(f"rasd: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
