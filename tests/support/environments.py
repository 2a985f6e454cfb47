"""Fresh virtual environments with nothing but the built wheel and what it needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.services import need_programs, skip

ROOT = Path(__file__).parents[2]
OURS = ("AUTOSTREAM_", "PYICEBERG_", "AIRFLOW", "COV_", "COVERAGE_", "PYTHON", "VIRTUAL_ENV")


def built_wheel(directory: Path) -> Path:
    """Build the wheel into a directory."""
    need_programs("an environment with the wheel", "uv")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory], cwd=ROOT, check=True)
    (built,) = directory.glob("*.whl")
    return built


class Environment:
    """A virtual environment with the wheel, and a home of its own.

    Args:
        directory: Where it is made.
        requirements: What is installed.
        locked: Whether in the versions of `requirements.txt`; else in the newest ones that go together.
    """

    def __init__(self, directory: Path, *requirements: str, locked: bool = True) -> None:
        self.directory = directory
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.environ = kept | {
            "HOME": str(directory / "home"),
            "UV_CACHE_DIR": subprocess.check_output(["uv", "cache", "dir"], text=True).strip(),
            "UV_SYSTEM_CERTS": os.environ.get("UV_SYSTEM_CERTS", "true"),
            "AIRFLOW_HOME": str(directory / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PATH": f"{directory / 'venv/bin'}:{os.environ['PATH']}",
        }
        (directory / "home").mkdir(parents=True)
        python = directory / "venv" / "bin" / "python"
        constraints = ["-c", str(ROOT / "requirements.txt")] if locked else []
        for command in (
            ["uv", "venv", "-q", "--python", sys.executable, str(directory / "venv")],
            ["uv", "pip", "install", "-q", "--python", str(python), *constraints, *requirements],
        ):
            done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=900)
            if done.returncode:
                skip("an environment with the wheel", done.stderr)

    def run(self, *command: str, **variables: str) -> str:
        done = subprocess.run(
            command, env=self.environ | variables, cwd=self.directory, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def json(self, *command: str) -> list[dict[str, str]]:
        out = self.run(*command)
        rows: list[dict[str, str]] = json.loads(out[out.index("[{") :])
        return rows
