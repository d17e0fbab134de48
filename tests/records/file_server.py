"""A real HTTP server on localhost whose answers can be made to fail as servers do."""

import hashlib
import itertools
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHUNK_BYTES = 1 << 16


@dataclass
class Served:
    """What a path answers: its bytes and the plan of its next answers (the last one repeats).

    Plans: "ok"; "die" (the connection breaks after `part` of what was asked for); "stall" (silence
    after `part`); "slow" (a chunk each `pause_s`); "drip" (a byte each `pause_s`, for ever);
    "drip-head" (the same in the head); "no-range" (Range is ignored); "no-etag" (no validator);
    "chunked" (the length is not told); "bad-chunks"; "huge" (the length told is a petabyte); "gzip"
    (it says that it is compressed); "shifted" (206 with a wrong start); "lying-206" (206 of other
    bytes, whatever If-Range said); "404" and other statuses; "html" (a page with status 200);
    "to:/path" (a redirect).
    """

    content: bytes
    plans: list[str] = field(default_factory=lambda: ["ok"])
    part: float = 0.5
    pause_s: float = 0.02
    kind: str = "application/octet-stream"


@dataclass
class Asked:
    """One request and what was sent: status and bytes of the body."""

    method: str
    path: str
    headers: dict[str, str]
    status: int = 0
    num_bytes: int = 0


@dataclass
class FileServer:
    """The running server: its address, what it serves and what it was asked for."""

    base: str
    served: dict[str, Served]
    asked: list[Asked]

    def add(self, path: str, content: bytes, *plans: str, **options: Any) -> str:
        """Serve bytes under a path and return their URL."""
        self.served[path] = Served(content, list(plans) or ["ok"], **options)
        return self.base + path

    def gets(self, path: str | None = None) -> list[Asked]:
        """Return the GET requests so far."""
        return [a for a in self.asked if a.method == "GET" and path in (None, a.path)]


class Handler(BaseHTTPRequestHandler):
    """Answer by the plan of the path."""

    protocol_version = "HTTP/1.1"
    file_server: FileServer

    def log_message(self, *_: Any) -> None:
        """Stay silent; `FileServer.asked` is the log."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.split("?")[0]
        asked = Asked(self.command, path, {k.lower(): v for k, v in self.headers.items()})
        self.file_server.asked.append(asked)
        served = self.file_server.served.get(path)
        plan = "404" if served is None else served.plans[0]
        if served is not None and len(served.plans) > 1 and self.command == "GET":
            served.plans.pop(0)
        if plan.isdigit():
            self._send(asked, int(plan), b"sorry", {"Content-Type": "text/plain"})
        elif plan.startswith("to:"):
            self._send(asked, 302, b"", {"Location": plan[3:]})
        elif plan == "html":
            page = b"<!DOCTYPE html>\n<html><body>Please log in</body></html>"
            self._send(asked, 200, page, {"Content-Type": "text/html; charset=utf-8"})
        else:
            self._send_file(asked, served, plan)

    def _send_file(self, asked: Asked, served: Served, plan: str) -> None:
        content, status = served.content, 200
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = {"Content-Type": served.kind}
        if plan == "gzip":
            headers["Content-Encoding"] = "gzip"
        if plan != "no-etag":
            headers["ETag"] = etag
        asked_range = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("range", ""))
        unchanged = asked.headers.get("if-range", etag) == etag or plan == "lying-206"
        if asked_range and unchanged and plan not in ("no-range", "chunked"):
            start = int(asked_range[1])
            end = min(int(asked_range[2] or len(content) - 1), len(content) - 1)
            if start >= len(content):
                headers["Content-Range"] = f"bytes */{len(content)}"
                self._send(asked, 416, b"", headers)
                return
            status = 206
            told = start + 7 if plan == "shifted" else start
            headers["Content-Range"] = f"bytes {told}-{end}/{len(content)}"
            content = content[start : end + 1]
        if plan != "no-range":
            headers["Accept-Ranges"] = "bytes"
        self._send(asked, status, content, headers, served, plan)

    def _send(
        self,
        asked: Asked,
        status: int,
        body: bytes,
        headers: dict[str, str],
        served: Served | None = None,
        plan: str = "ok",
    ) -> None:
        asked.status = status
        if plan == "drip-head":
            self._drip(served.pause_s)
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if plan in ("chunked", "bad-chunks"):
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(10**15 if plan == "huge" else len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if plan == "bad-chunks":
            self.wfile.write(b"a chunk of some length\r\n" + body)
            self.close_connection = True
            return
        if plan == "drip":
            self._drip(served.pause_s)
            return
        broken = plan in ("die", "stall", "huge")
        limit = int(len(body) * served.part) if broken and served else len(body)
        try:
            for start in range(0, limit, CHUNK_BYTES):
                chunk = body[start : min(start + CHUNK_BYTES, limit)]
                if plan == "chunked":
                    self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                else:
                    self.wfile.write(chunk)
                asked.num_bytes += len(chunk)
                if plan == "slow":
                    time.sleep(served.pause_s)
            if plan == "chunked":
                self.wfile.write(b"0\r\n\r\n")
            if plan == "stall":
                time.sleep(30)
        except (BrokenPipeError, ConnectionResetError):
            broken = True
        if broken:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _drip(self, pause_s: float) -> None:
        """Send a byte now and then until the client has gone."""
        self.close_connection = True
        try:
            for byte in itertools.chain(b"HTTP/1.1 200 OK\r\nA: ", itertools.repeat(0x61)):
                self.wfile.write(bytes([byte]))
                time.sleep(pause_s)
        except OSError:
            pass


class QuietServer(ThreadingHTTPServer):
    """Clients that go away in mid-answer are what these tests are about, not worth a traceback."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def run_file_server() -> Iterator[FileServer]:
    """Serve until the block ends."""
    handler = type("BoundHandler", (Handler,), {})
    server = QuietServer(("127.0.0.1", 0), handler)
    file_server = FileServer(f"http://127.0.0.1:{server.server_port}", {}, [])
    handler.file_server = file_server
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield file_server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
