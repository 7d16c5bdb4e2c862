"""Run the sandbox: `python -m sandbox --host 127.0.0.1 --port 8420 --data-dir DIR`."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server

from sandbox.application import Application


class QuietHandler(WSGIRequestHandler):
    """Log nothing per request: the calls are listed at /control/calls."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Stay silent."""

    def connection_dropped(self, error: BaseException, environ: object = None) -> None:
        """End the connection without a word: a caller left, or a fault cut the line."""
        self.close_connection = True


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="Strict stand-ins of vendors, for development."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8420)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--public-url", help="how others reach it, if not by host and port")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")

    base_url = options.public_url or f"http://{options.host}:{options.port}"
    application = Application(data_dir=options.data_dir, base_url=base_url)
    server = make_server(options.host, options.port, application, threaded=True, request_handler=QuietHandler)
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the serving loop, which runs in this thread: it must be asked from another one.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    application.start()
    logging.getLogger("sandbox").info("the sandbox answers at http://%s:%s/", options.host, options.port)
    try:
        server.serve_forever()
    finally:
        server.server_close()
        application.close()


if __name__ == "__main__":
    main()
