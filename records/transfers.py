"""Bring the bytes of a published file here and go on where an earlier try stopped."""

import itertools
import re
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

from records.errors import UserError
from records.files import read_json, write_json
from records.orders import Order, format_bytes, hide_secrets, make_bar

CHUNK_BYTES = 1 << 16
READ_BYTES = 1 << 20
# Less than this between two failures counts as no progress, so that a drip cannot go on for ever.
PROGRESS_BYTES = 1 << 18
LONGEST_PAUSE_S = 60.0
SLOWEST_BYTES_PER_S = 256  # a slower server than that is taken for one that drips
TIMEOUTS_TO_ANSWER = 4  # an answer's head, with all redirects, may take so many times the timeout
PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)
WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)


class _BrokenOffError(Exception):
    """A failure that may pass; pause_s is what the server asked for."""

    def __init__(self, reason: str, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


def is_web_page(order: Order, beginning: bytes, content_type: str = "") -> bool:
    """Tell whether a web page came where a file was asked for."""
    if order.path.suffix in (".html", ".htm"):
        return False
    return content_type.lower().startswith("text/html") or bool(WEB_PAGE.match(beginning))


def explain_web_page(order: Order, answered: str) -> str:
    """Say that a web page came, and from where."""
    return (
        f"{order.path}: {order.shown} gave a web page instead of the file (answered by {answered}):"
        " a login, a proxy's notice or a file that has moved; open the address in a browser to see "
        f"it, {order.by_hand()}"
    )


def check_space(order: Order, num_bytes: int) -> None:
    """Demand room for what is still to come.

    Raises:
        UserError: the file system of the path has less; both numbers are shown.
    """
    free = shutil.disk_usage(order.path.parent).free
    if num_bytes > free:
        raise UserError(
            f"{order.path}: {format_bytes(num_bytes)} are needed for what is still to come from "
            f"{order.shown}, {format_bytes(free)} are free there; free some space, or choose a "
            "folder on another disk"
        )


def copy_part(order: Order) -> None:
    """Copy a file of this machine to the half file.

    Raises:
        UserError: no such file, or no space for it.
    """
    source = Path(url2pathname(urlsplit(order.url).path))
    if not source.is_file():
        raise UserError(
            f"{order.path}: there is no file at {order.shown}; check the address, {order.by_hand()}"
        )
    total = source.stat().st_size
    check_space(order, total)
    with (
        open(source, "rb") as file,
        open(order.part, "wb") as part,
        make_bar(order, order.path.name, total) as bar,
    ):
        while block := file.read(READ_BYTES):
            part.write(block)
            bar.update(len(block))


def download_part(order: Order) -> None:
    """Ask until the half file has its whole length, with longer and longer pauses.

    Raises:
        UserError: no progress in num_tries tries in a row (what arrived is kept), a refusal that
            will not pass, a web page, another size than known, or no space.
    """
    import requests

    num_failed, furthest = 0, _size_of(order.part)
    if order.num_bytes is not None:
        check_space(order, order.num_bytes - furthest)
    with requests.Session() as session:
        # Offsets count the file's own bytes, so nothing may be compressed on the way.
        session.headers["Accept-Encoding"] = "identity"
        while True:
            try:
                return _append_rest(order, session)
            except _BrokenOffError as error:
                reason, pause_s = str(error), error.pause_s
            size = _size_of(order.part)
            num_failed = 1 if size >= furthest + PROGRESS_BYTES else num_failed + 1
            furthest = max(furthest, size)
            if num_failed >= order.num_tries:
                kept = f"{format_bytes(size)} have arrived and are kept in {order.part}"
                raise UserError(
                    f"{order.path}: could not be fetched from {order.shown}: {reason} "
                    f"({num_failed} tries without progress); {kept if size else 'nothing arrived'};"
                    f" run the same command again {'to go on from there' if size else 'later'}, "
                    f"{order.by_hand()}"
                )
            pause_s = max(pause_s, min(order.pause_s * 2 ** (num_failed - 1), LONGEST_PAUSE_S))
            order.tell(f"{reason} at {format_bytes(size)}; trying again in {pause_s:.0f} s")
            time.sleep(pause_s)


def _append_rest(order: Order, session: Any) -> None:
    """Ask once for what is missing and append it."""
    import requests
    from urllib3.exceptions import HTTPError

    offset, state = _load_state(order)
    total = order.num_bytes if order.num_bytes is not None else state.get("num_bytes")
    if offset and offset == total:
        return
    headers = {}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if state.get("validator"):
            headers["If-Range"] = state["validator"]
    try:
        with _ask(order, session, headers) as response:
            if response.status_code == 416 and _told_total(response) == offset > 0:
                return  # the server never told the length, and this is all of it
            _check_status(order, response)
            start, total = _find_start(order, response, offset, state)
            chunks = _iterate_chunks(order, response)
            first = next(chunks, b"")
            if is_web_page(
                order, b"" if start else first, response.headers.get("Content-Type", "")
            ):
                raise UserError(explain_web_page(order, hide_secrets(response.url)))
            _check_total(order, total)
            check_space(order, (total or 0) - max(start, offset))
            _save_chunks(order, response, itertools.chain([first], chunks), start, total)
    except (requests.RequestException, HTTPError, ValueError) as error:
        reason, may_pass = _find_reason(error)
        if may_pass:
            raise _BrokenOffError(reason) from None
        raise UserError(
            f"{order.path}: {order.shown} cannot be fetched: {reason}; check the address, "
            f"{order.by_hand()}"
        ) from None
    size = _size_of(order.part)
    if total is not None and size != total:
        raise _BrokenOffError(f"the server stopped after {size} of {total} bytes")


def _ask(order: Order, session: Any, headers: dict[str, str]) -> Any:
    """Wait for the head of an answer, in a thread: a server that drips is never silent."""
    answers: SimpleQueue[Any] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(
                session.get(
                    order.url,
                    headers=headers,
                    stream=True,
                    timeout=order.timeout_s,
                    hooks={"response": partial(_refuse_downgrade, order)},
                )
            )
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=TIMEOUTS_TO_ANSWER * order.timeout_s)
    except Empty:
        raise _BrokenOffError("the server does not come to the end of its answer's head") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _refuse_downgrade(order: Order, response: Any, **_: Any) -> None:
    """Refuse to be led from an encrypted address to one that anybody between can change."""
    target = urljoin(response.url, response.headers.get("Location", ""))
    schemes = [urlsplit(address).scheme for address in (response.url, target)]
    if response.is_redirect and schemes == ["https", "http"]:
        raise UserError(
            f"{order.path}: {hide_secrets(response.url)} redirects to {hide_secrets(target)}, "
            f"which is not encrypted; check the address, {order.by_hand()}"
        )


def _iterate_chunks(order: Order, response: Any) -> Iterator[bytes]:
    """Yield what arrives as it arrives, from a server that does not drip."""
    read = getattr(response.raw, "read1", response.raw.read)
    start, num_bytes = time.monotonic(), 0
    while chunk := read(CHUNK_BYTES, decode_content=False):
        num_bytes += len(chunk)
        seconds = time.monotonic() - start
        if seconds > order.timeout_s:
            if num_bytes < SLOWEST_BYTES_PER_S * seconds:
                raise _BrokenOffError(f"the server sent {num_bytes} bytes in {seconds:.0f} s")
            start, num_bytes = time.monotonic(), 0
        yield chunk


def _save_chunks(
    order: Order, response: Any, chunks: Iterator[bytes], start: int, total: int | None
) -> None:
    """Write an answer to its place in the half file."""
    with open(order.part, "ab") as part:
        # First cut, then say which version it is: killed in between, nothing is mixed.
        part.truncate(start)
        validator = response.headers.get("ETag", "")
        if not validator or validator.startswith("W/"):  # a weak one does not promise equal bytes
            validator = response.headers.get("Last-Modified", "")
        write_json(
            order.state,
            {"url": order.shown, "validator": validator, "num_bytes": total},
        )
        with make_bar(order, order.path.name, total, done=start) as bar:
            for chunk in chunks:
                part.write(chunk)
                bar.update(len(chunk))


def _load_state(order: Order) -> tuple[int, dict[str, Any]]:
    """Tell how much has arrived, and of which version; what cannot be gone on with is discarded.

    Without a validator equal sizes have to do. A half file of another address (a mirror's) is of
    use only when a known hash will judge the whole.
    """
    offset = _size_of(order.part)
    if not offset:
        return 0, {}
    try:
        state = read_json(order.state, "download state")
    except UserError:
        state = {}
    total = order.num_bytes if order.num_bytes is not None else state.get("num_bytes")
    if state.get("url") != order.shown:
        state = {}
    if (not state and order.sha256 is None) or (total is not None and offset > total):
        order.discard()
        return 0, {}
    return offset, state


def _check_status(order: Order, response: Any) -> None:
    """Demand 200 or 206, whole bytes and no compression."""
    status = response.status_code
    if status == 416:
        order.discard()
        raise _BrokenOffError("the half file does not fit the server's")
    if status in PASSING_STATUSES:
        wait = response.headers.get("Retry-After", "")
        pause_s = min(float(wait), LONGEST_PAUSE_S) if wait.isdigit() else 0.0
        raise _BrokenOffError(f"the server answered {status} {response.reason}", pause_s)
    if status not in (200, 206):
        raise UserError(
            f"{order.path}: {hide_secrets(response.url)} answered {status} {response.reason}; check"
            f" the address (asked for {order.shown}), {order.by_hand()}"
        )
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise UserError(
            f"{order.path}: {hide_secrets(response.url)} sends it as "
            f"{response.headers['Content-Encoding']} although that was not asked for; fetch it "
            f"from another place, {order.by_hand()}"
        )


def _find_start(
    order: Order, response: Any, offset: int, state: dict[str, Any]
) -> tuple[int, int | None]:
    """Tell where in the file an answer begins, and how long the file is in all."""
    length = response.headers.get("Content-Length", "")
    if response.status_code == 200:  # Range was ignored, or the file has changed: all of it comes
        if offset:
            order.tell("the server sends it from the beginning again")
        return 0, int(length) if length.isdigit() else None
    told = re.match(r"bytes (\d+)-\d+/", response.headers.get("Content-Range", ""))
    total = _told_total(response)
    known = state.get("num_bytes")
    etag = response.headers.get("ETag", "")
    changed = etag and state.get("validator", "").startswith('"') and etag != state["validator"]
    if not told or int(told[1]) != offset or (known and total and known != total) or changed:
        order.discard()
        raise _BrokenOffError("the rest does not fit the half file")
    return offset, total if total is not None else known


def _told_total(response: Any) -> int | None:
    """Read the length of the whole file from the header of a partial answer."""
    told = re.match(r"bytes .*/(\d+)$", response.headers.get("Content-Range", ""))
    return int(told[1]) if told else None


def _check_total(order: Order, total: int | None) -> None:
    """Demand the size that the file is known to have, before it is fetched."""
    if total is not None and order.num_bytes not in (None, total):
        raise UserError(
            f"{order.path}: {order.shown} has {total} bytes; {order.num_bytes} are needed; it is "
            f"another file and was not fetched; check the address, {order.by_hand()}"
        )


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _find_reason(error: BaseException | None) -> tuple[str, bool]:
    """Say what broke, and whether it may pass.

    The libraries' own messages are not shown: they hold whole addresses, with their secrets.
    """
    if isinstance(error, ValueError):
        return "it is, or leads to, an address that is not http or https", False
    while error is not None:
        name = type(error).__name__
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate was not accepted ({error.verify_message})", False
        if name == "TooManyRedirects":
            return "it redirects in circles", False
        if name == "ProxyError":
            return "the proxy could not be reached", True
        if isinstance(error, ValueError):  # below another error: a chunk whose length is no number
            return "the server sent broken chunks", True
        if isinstance(error, socket.gaierror):
            return "the server's name is not known here", True
        if isinstance(error, TimeoutError) or "Timeout" in name:
            return "the server was silent for too long", True
        if isinstance(error, OSError) and error.strerror:
            return error.strerror[0].lower() + error.strerror[1:], True
        error = error.__cause__ or error.__context__
    return "the connection broke off", True
