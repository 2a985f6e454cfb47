"""A job manager made of answers, recorded or written by hand, served over HTTP."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from autostream.flink.rest import FlinkRest

RECORDED = Path(__file__).parents[1] / "fixtures" / "flink-rest"

Answer = Any
"""JSON; bytes as they are; a number: an error of this status; a function of the parameters that returns one of them."""


@dataclass
class Answers:
    """What each path is answered by (anything else is 404), and what was asked."""

    paths: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    posted: list[tuple[str, Any]] = field(default_factory=list)

    def to(self, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        split = urlsplit(path)
        self.asked.append(split.path)
        answer = self.paths.get(split.path, 404)
        if callable(answer):
            answer = answer({key: values[0] for key, values in parse_qs(split.query).items()})
        if isinstance(answer, int) and not isinstance(answer, bool):
            return answer, b'{"errors": ["so it is"]}'
        return 200, answer if isinstance(answer, bytes) else json.dumps(answer).encode()


def recorded(folder: str) -> tuple[Answers, str]:
    """Return what a real job manager answered about a job, and the job's id."""
    directory = RECORDED / folder

    def file(name: str) -> Any:
        return json.loads((directory / name).read_text())

    job = file("job.json")
    path = f"/jobs/{job['jid']}"
    # Those recorded before this page was asked for had aligned checkpoints.
    config = directory / "checkpoints-config.json"
    settings = json.loads(config.read_text()) if config.exists() else {"unaligned_checkpoints": False}
    paths: dict[str, Answer] = {
        "/config": file("cluster.json"),
        "/jobs/overview": file("overview.json"),
        path: job,
        f"{path}/config": file("config.json"),
        f"{path}/checkpoints": file("checkpoints.json"),
        f"{path}/checkpoints/config": settings,
        f"{path}/metrics": file("job-metrics.json"),
    }
    for number, vertex in enumerate(job["vertices"]):
        paths[f"{path}/vertices/{vertex['id']}"] = file(f"vertex-{number}.json")
        paths[f"{path}/vertices/{vertex['id']}/metrics"] = _metrics(
            file(f"metric-ids-{number}.json"), file(f"metrics-{number}.json")
        )
    return Answers(paths), job["jid"]


def _metrics(ids: list[Any], values: list[Any]) -> Callable[[dict[str, str]], Answer]:
    def answer(parameters: dict[str, str]) -> Answer:
        if "get" not in parameters:
            return ids
        wanted = parameters["get"].split(",")
        return [metric for metric in values if metric["id"] in wanted]

    return answer


class Direct(FlinkRest):
    """A job manager that is asked without HTTP."""

    def __init__(self, answers: Answers, url: str = "http://flink") -> None:
        super().__init__(url)
        self.answers = answers

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        status, body = self.answers.to(f"{path}?{urlencode(parameters)}" if parameters else path)
        return self._taken(path, status, body)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        self.answers.posted.append((path, body))
        return self._taken(path, *self.answers.to(path))

    def _taken(self, path: str, status: int, body: bytes) -> Any:
        if status >= 500:
            raise self._failed(path, ConnectionError(f"status {status}"))
        return None if status == 404 else json.loads(body)


@contextmanager
def served(answers: Answers) -> Iterator[str]:
    """Serve answers, and give the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_GET(self) -> None:
            self._send(*answers.to(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answers.posted.append((self.path, json.loads(body)))
            self._send(*answers.to(self.path))

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Clients that have gone are none of its business."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
