"""A TCP proxy between a client and a real service, which does to their talk what networks and crashes do.

    with FaultProxy("localhost", metastore.port) as proxy:
        fault = proxy.cut_answer(thrift_call("alter_table_with_environment_context"))
        ...                                   # a client of thrift://localhost:{proxy.port} commits
        assert fault.hits == 1                # done by the server, unknown to the client

Faults are found by bytes in what the client sends: the name of a Thrift call (also within SASL, unless it encrypts), a
request line of HTTP, a path in a request to ZooKeeper.
"""

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Self, TypedDict, Unpack

_CHUNK_BYTES = 65536
_PORTS = (20000, 32000)  # below those that the system gives to outgoing connections: free again after `up`


def thrift_call(name: str) -> bytes:
    """Return the head of a call of Thrift's binary protocol: no other call, and no data, looks like it."""
    return struct.pack(">Ii", 0x80010001, len(name)) + name.encode()


class Kind(Enum):
    """What happens to a matching request, or to the answer that follows it on the same connection."""

    CUT_REQUEST = auto()
    CUT_ANSWER = auto()
    REPLACE_ANSWER = auto()
    HOLD_REQUEST = auto()
    HOLD_ANSWER = auto()
    WATCH = auto()

    @property
    def of_request(self) -> bool:
        """Whether the server does not see the request, or not yet."""
        return self in (Kind.CUT_REQUEST, Kind.HOLD_REQUEST)


class Options(TypedDict, total=False):
    """What may be said of any fault; see `Fault`."""

    nth: int
    times: int | None
    then: Callable[[], None]


@dataclass(eq=False)
class Fault:
    """One rule of a proxy.

    Attributes:
        kind: What happens.
        match: The bytes that a request is known by.
        nth: The first occurrence, from 1, that it happens to; counted over all connections since the rule was made.
        times: To how many occurrences in a row; None: to all from then on.
        replacement: What the client gets for the answer, before the connection ends.
        then: Called when it happens, in a thread of the proxy: before a request is cut, held or passed on, or an answer
            is. A process that it kills sees nothing of what would follow.
        seen: Occurrences so far.
        hits: How many of them it happened to.
    """

    kind: Kind
    match: bytes
    nth: int = 1
    times: int | None = 1
    replacement: bytes = b""
    then: Callable[[], None] | None = None
    seen: int = 0
    hits: int = 0
    _happened: threading.Event = field(default_factory=threading.Event, repr=False)
    _released: threading.Event = field(default_factory=threading.Event, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, occurrences: int) -> bool:
        """Count occurrences; tell whether the rule applies to one of them."""
        with self._lock:
            first, self.seen = self.seen + 1, self.seen + occurrences
            last = None if self.times is None else self.nth + self.times - 1
            return self.seen >= self.nth and (last is None or first <= last)

    def happen(self) -> None:
        """Take note, and call ``then``."""
        with self._lock:
            self.hits += 1
        try:
            if self.then:
                self.then()
        finally:
            self._happened.set()

    def wait(self, timeout_seconds: float = 30) -> None:
        """Wait until it has happened once.

        Raises:
            TimeoutError: It did not.
        """
        if not self._happened.wait(timeout_seconds):
            raise TimeoutError(f"{self.kind.name} of {self.match!r} did not happen; seen {self.seen} times")

    def release(self) -> None:
        """Let go what is held, and hold no more."""
        self._released.set()

    def hold(self) -> None:
        """Wait for ``release``."""
        self._released.wait()


class FaultProxy:
    """Listens on 127.0.0.1 and ``port``, and passes on to one server."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._faults: list[Fault] = []
        self._connections: set[_Connection] = set()
        self._lock = threading.Lock()
        self.flowing = threading.Event()
        self.flowing.set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.accept_again()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
        self.down()
        self.flowing.set()

    # ------------------------------------------------------------------------------------- of one request

    def cut_request(self, match: bytes, **options: Unpack[Options]) -> Fault:
        """End the connection instead of passing the request on: the server never sees it. Options as in `Fault`."""
        return self._add(Fault(Kind.CUT_REQUEST, match, **options))

    def cut_answer(self, match: bytes, **options: Unpack[Options]) -> Fault:
        """Pass the request on and end the connection when the server answers: done, and the client does not know."""
        return self._add(Fault(Kind.CUT_ANSWER, match, **options))

    def replace_answer(self, match: bytes, replacement: bytes = b"\xff" * 64, **options: Unpack[Options]) -> Fault:
        """Pass the request on and give the client something else than the answer, then end the connection."""
        fault = Fault(Kind.REPLACE_ANSWER, match, replacement=replacement, **options)
        return self._add(fault)

    def hold_request(self, match: bytes, **options: Unpack[Options]) -> Fault:
        """Keep the request back until `Fault.release`."""
        return self._add(Fault(Kind.HOLD_REQUEST, match, **options))

    def hold_answer(self, match: bytes, **options: Unpack[Options]) -> Fault:
        """Pass the request on, and keep the answer back until `Fault.release`."""
        return self._add(Fault(Kind.HOLD_ANSWER, match, **options))

    def watch(self, match: bytes, then: Callable[[], None] | None = None) -> Fault:
        """Do nothing but count, and call ``then`` before the request is passed on."""
        return self._add(Fault(Kind.WATCH, match, times=None, then=then))

    def clear(self) -> None:
        """Forget all faults, and let go what they hold."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            fault.release()

    # ------------------------------------------------------------------------------------- of everything

    def down(self) -> None:
        """End all connections and refuse new ones, as a server that has died."""
        self.refuse()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.cut()

    def up(self) -> None:
        """Accept connections again, on the same port."""
        self.accept_again()

    def refuse(self) -> None:
        """Refuse new connections; those there are live on."""
        listener, self._listener = self._listener, None
        if listener:
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept(), which else would take one more
            listener.close()

    def accept_again(self) -> None:
        """Undo `refuse`."""
        if self._listener is None:
            self._listener = self._listen()
            self.port = self._listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def freeze(self) -> None:
        """Let no byte through in any direction, and end no connection: a network that swallows packets."""
        self.flowing.clear()

    def thaw(self) -> None:
        """Let everything through that `freeze` held up."""
        self.flowing.set()

    # ------------------------------------------------------------------------------------- inside

    def matching(self, count: Callable[[Fault], int]) -> list[Fault]:
        """Count occurrences of each fault's bytes; return the faults that apply now."""
        with self._lock:
            faults = list(self._faults)
        return [fault for fault in faults if (occurrences := count(fault)) and fault.count(occurrences)]

    def forget(self, connection: "_Connection") -> None:
        """A connection has ended."""
        with self._lock:
            self._connections.discard(connection)

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def _listen(self) -> socket.socket:
        if self.port:
            return socket.create_server(("127.0.0.1", self.port))
        while True:
            try:
                return socket.create_server(("127.0.0.1", random.randint(*_PORTS)))
            except OSError:
                continue

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                continue
            connection = _Connection(self, client, server)
            with self._lock:
                self._connections.add(connection)
            connection.start()


class _Connection:
    def __init__(self, proxy: FaultProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._tails: dict[Fault, bytes] = {}  # of what the client sent, for bytes that come in two parts
        self._of_next_answer: Fault | None = None
        self._over = False
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        for source, target, handle in (
            (self._client, self._server, self._request),
            (self._server, self._client, self._answer),
        ):
            threading.Thread(target=self._pump, args=(source, target, handle), daemon=True).start()

    def cut(self) -> None:
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._proxy.forget(self)

    def _pump(self, source: socket.socket, target: socket.socket, handle: Callable[[bytes], bytes | None]) -> None:
        try:
            while data := source.recv(_CHUNK_BYTES):
                self._proxy.flowing.wait()
                passed_on = handle(data)
                if passed_on is None:
                    return
                target.sendall(passed_on)
            self._proxy.flowing.wait()  # nor does the end of a connection get through
        except OSError:
            pass
        finally:
            self.cut()

    def _count(self, fault: Fault, data: bytes) -> int:
        seen = self._tails.get(fault, b"") + data
        self._tails[fault] = seen[len(seen) - len(fault.match) + 1 :] if len(fault.match) > 1 else b""
        return seen.count(fault.match)

    def _request(self, data: bytes) -> bytes | None:
        if self._over:  # a client may ask again before the end has got to it: no fault has met that request
            return None
        for fault in self._proxy.matching(lambda fault: self._count(fault, data)):
            if not fault.kind.of_request and fault.kind is not Kind.WATCH:
                self._of_next_answer = fault
                continue
            fault.happen()
            if fault.kind is Kind.CUT_REQUEST:
                return None
            if fault.kind is Kind.HOLD_REQUEST:
                fault.hold()
        return data

    def _answer(self, data: bytes) -> bytes | None:
        fault, self._of_next_answer = self._of_next_answer, None
        if fault is None:
            return data
        fault.happen()
        if fault.kind is Kind.HOLD_ANSWER:
            fault.hold()
            return data
        self._over = True
        if fault.kind is Kind.REPLACE_ANSWER:
            self._client.sendall(fault.replacement)
        return None
