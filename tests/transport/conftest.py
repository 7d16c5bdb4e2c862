from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.transport.certificates import Authority
from tests.transport.loopback import Loopback, Script
from transport.engine import Transport
from transport.policy import TRUSTED
from transport.target import Target
from transport.wire import Answer, Terms, WireRequest

Send = Callable[..., Answer]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def serve() -> Iterator[Callable[..., Loopback]]:
    servers: list[Loopback] = []

    def start(script: Script, **options: object) -> Loopback:
        servers.append(Loopback(script, **options))  # type: ignore[arg-type]
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = Transport()
    yield transport
    transport.close()


@pytest.fixture
def send(transport: Transport) -> Send:
    def call(url: str, method: str = "GET", **options: object) -> Answer:
        request = {key: options.pop(key) for key in ("headers", "body", "idle_s") if key in options}
        terms = Terms(**{"policy": TRUSTED, "deadline_s": 2.0, **options})  # type: ignore[arg-type]
        return transport.send(WireRequest(method=method, target=Target.parse(url), **request), terms)  # type: ignore[arg-type]

    return call
