"""Debian's Chromium without a window, steered through its DevTools."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests


class Tab:
    """A page that is open. Scripts run beside its own: the page's content security policy does not hold for them."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._ids = count(1)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return what the browser answers."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def run(self, script: str) -> Any:
        """Return the value of a script; it may be a promise."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until a condition is true; fail after 30 s."""
        # The browser waits, a moment each time: when the page is left for another, what waits there never answers.
        look = "() => { try { return !!(" + condition + ") } catch { return false } }"
        once = (
            f"new Promise(done => {{ const look = {look}; let left = 20; const again = () => "
            "look() ? done(true) : --left ? setTimeout(again, 20) : done(false); again(); })"
        )
        for _ in range(75):
            try:
                if self.run(once):
                    return
            except AssertionError:  # left meanwhile
                continue
        pytest.fail(f"never true: {condition}")

    def open(self, url: str, *, width: int = 1280) -> None:
        """Load a page in a window of some width."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=url)
        self.until(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def type_into(self, selector: str, text: str) -> None:
        """Type a text into a field as the keyboard does."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)


@contextmanager
def chromium(directory: Path) -> Iterator[Tab]:
    """Start a browser whose profile is in a directory."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    websocket = pytest.importorskip("websocket", reason="websocket-client is not installed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0"]
    options += ["--remote-allow-origins=*", "--no-first-run", "--disable-background-networking"]
    process = subprocess.Popen(
        [program, *options, f"--user-data-dir={directory}", "about:blank"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        begins = "DevTools listening on "
        line = next((line for line in process.stderr if line.startswith(begins)), "")
        assert line, "chromium did not start"
        host = line.removeprefix(begins).strip().removeprefix("ws://").partition("/")[0]
        tabs = requests.get(f"http://{host}/json/list", timeout=30).json()
        address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        socket = websocket.create_connection(address, timeout=60)
        try:
            yield Tab(socket)
        finally:
            socket.close()
    finally:
        process.kill()
        process.communicate()
