"""A local Airflow of the demo's own, driven from outside: its home, its environment, its commands."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autostream.demo.seed import CATALOG, NAMESPACE, catalog_properties
from autostream.errors import AutostreamError, UsageError
from autostream.sizes import MIB

DAG_ID = "lake_compaction"
POOL = "lake_compaction"
POOL_SLOTS = 2
EVENTS = f"{CATALOG}.{NAMESPACE}.events"
"""The table whose complete hours are announced."""


@dataclass(frozen=True)
class LocalAirflow:
    """An Airflow with a SQLite database whose DAGs are this project's and whose lake is the demo's.

    Attributes:
        directory: The demo's directory; Airflow's home is below it.
        project: The checkout that has `dags/` and `plugins/`.
    """

    directory: Path
    project: Path

    @property
    def home(self) -> Path:
        """Where Airflow keeps its database, configuration and logs."""
        return self.directory.resolve() / "airflow"

    def environment(self, inherited: Mapping[str, str] | None = None) -> dict[str, str]:
        """Variables that Airflow's processes run with; Airflow's and autostream's own of `inherited` are left out.

        The lake is a connection of type `iceberg`, as it would be in a real deployment.
        """
        properties = catalog_properties(self.directory)
        kept = {
            name: value
            for name, value in (os.environ if inherited is None else inherited).items()
            if not name.startswith(("AIRFLOW_", "AUTOSTREAM_"))
        }
        bin_directory = str(Path(sys.executable).parent)
        return kept | {
            # Airflow starts `airflow` from PATH here and there.
            "PATH": os.pathsep.join((bin_directory, kept.get("PATH", os.defpath))),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.project / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.project / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",  # the executor keeps a process for each
            # Six processes share it: who finds it locked waits for longer than the usual five seconds.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=60",
            "AIRFLOW_CONN_" + CATALOG.upper(): json.dumps({"conn_type": "iceberg", "extra": properties}),
            "AUTOSTREAM_COMPACTION__CATALOGS": CATALOG,
            # The work has to wait for the user: no hourly run may do it first.
            "AUTOSTREAM_COMPACTION_SCHEDULE": "none",
            "AUTOSTREAM_WATERMARK__PUBLISH_TABLES": EVENTS,
            "AUTOSTREAM_EXAMPLES_DIRECTORY": str(self.directory.resolve() / "hours"),
            # Small enough that the small tables of the demo make several work items.
            "AUTOSTREAM_COMPACTION__BATCH_SIZE_BYTES": str(32 * MIB),
        }

    @property
    def exports(self) -> Path:
        """A file for shells to source, by which `airflow` commands find this Airflow."""
        return self.home / "exports.sh"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other demos, and other Airflows of this one, away from the directory.

        Raises:
            UsageError: One of them is at work there.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    f"Another `make demo` or `make up` uses {self.directory}. Stop it first, or name another "
                    "directory (--directory)."
                ) from error
            yield
        finally:
            os.close(descriptor)

    def forget(self) -> None:
        """Remove the database and the logs, which know of hours and runs of an earlier lakehouse."""
        for file in self.home.glob("airflow.db*"):
            file.unlink()
        shutil.rmtree(self.home / "logs", ignore_errors=True)

    def prepare(self) -> None:
        """Make the database, the pool and the file `exports`, or bring them up to date."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._write_exports()
        self.run("db", "migrate")
        self.run("pools", "set", POOL, str(POOL_SLOTS), "Work items of lake_compaction that run at a time")

    def run(self, *arguments: str) -> str:
        """Run one `airflow` command and return what it printed.

        Raises:
            AutostreamError: It failed; the message has its last lines and names the log.
        """
        output = self._run(arguments)
        if output.returncode != 0:
            log = self.home / "failed-command.log"
            log.write_text(output.stdout, encoding="utf-8")
            tail = "\n".join(output.stdout.splitlines()[-15:])
            raise AutostreamError(
                f"`airflow {' '.join(arguments)}` failed with exit code {output.returncode}. Its output, in {log}, "
                f"ends with:\n{tail}"
            )
        return output.stdout

    def _write_exports(self) -> None:
        variables = self.environment({})
        bin_directory = variables.pop("PATH").partition(os.pathsep)[0]
        lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
        lines.append(f'export PATH={shlex.quote(bin_directory)}:"$PATH"')
        self.exports.touch(mode=0o600)
        self.exports.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _run(self, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )


def find_project() -> Path:
    """Return the checkout that this package runs from.

    Raises:
        UsageError: It was installed without one, so that there are no DAGs.
    """
    project = Path(__file__).resolve().parents[3]
    if not (project / "dags" / f"{DAG_ID}.py").exists():
        raise UsageError(
            f"{project} has no dags/{DAG_ID}.py. The demo needs a checkout of the project. Clone the project, and "
            "run `make demo` there."
        )
    return project
