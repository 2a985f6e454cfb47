import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from autostream.config import ZooKeeperSettings
from autostream.coordination.client import ZooKeeperClient

Connect = Callable[..., ZooKeeperClient]


@pytest.fixture
def root() -> str:
    """A part of ZooKeeper of the test's own."""
    return f"/test-{uuid.uuid4().hex}"


@pytest.fixture
def connect(request: pytest.FixtureRequest, root: str) -> Iterator[Connect]:
    """Makes clients of their own sessions, by default with the shared server; closed after the test.

    A session lasts ten seconds without a word, so that a busy machine ends none.
    """
    with ExitStack() as stack:

        def make(**settings: object) -> ZooKeeperClient:
            hosts = settings.pop("hosts", None) or request.getfixturevalue("zookeeper").hosts
            chosen = {"hosts": hosts, "root": root, "session_timeout_seconds": 10, **settings}
            client = ZooKeeperClient(ZooKeeperSettings.model_validate(chosen))
            stack.callback(client.close)
            return client

        yield make
