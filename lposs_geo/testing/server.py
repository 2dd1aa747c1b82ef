"""A file server on this machine, as scenes on the net have one."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["served"]


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """A file server that knows ranges, and counts the bytes it sends."""

    protocol_version = "HTTP/1.1"
    knows_ranges = True
    head: int | None = None
    sent: list[int]

    def do_GET(self) -> None:
        file = Path(self.translate_path(self.path.partition("?")[0]))
        if not file.is_file():
            self.send_error(404)
            return
        data, size = file.read_bytes(), file.stat().st_size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")) if self.knows_ranges else None
        if wanted:
            first, last = int(wanted.group(1)), min(int(wanted.group(2)), size - 1)
            data = data[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        else:
            self.send_response(200)
        if self.knows_ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.sent.append(len(data))
            with suppress(BrokenPipeError, ConnectionResetError):  # who asked for a part has enough
                self.wfile.write(data)

    def do_HEAD(self) -> None:
        if self.head is None:
            self.do_GET()
        elif self.head:
            self.send_response(self.head)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:  # no answer at all
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path, *, knows_ranges: bool = True, head: int | None = None) -> Iterator[tuple[str, list[int]]]:
    """The folder's URL and what was sent so far; `head` is the answer to all questions for headers alone, 0 none."""
    sent: list[int] = []
    handler = type("Handler", (_Ranges,), {"sent": sent, "knows_ranges": knows_ranges, "head": head})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", sent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
