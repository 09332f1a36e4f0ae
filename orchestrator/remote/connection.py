"""Requests to a service, and what goes wrong with them as errors for people."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Self
from urllib.parse import quote, urlsplit

import httpx2

from orchestrator import errors
from orchestrator.documents.schema import titled
from orchestrator.errors import ServerError, TunefleetError, UsageError
from orchestrator.remote.address import TOKEN_VARIABLE, ServerAddress

__all__ = ["Connection", "Downloaded", "ServerEvent", "connect"]

_API = "/api/v1"
_CONNECT_SECONDS = 10.0
# Of a million trials some answers take seconds, and an uploaded file is looked into before it is answered.
_ANSWER_SECONDS = 180.0
# A stream of events says something every 15 s.
_QUIET_SECONDS = 60.0
_CHUNK_BYTES = 2**18
Document = dict[str, Any]


@dataclass(frozen=True)
class ServerEvent:
    """An event of a stream, with its data as text."""

    name: str
    data: str


@dataclass(frozen=True)
class Downloaded:
    """What came, and the headers with it, their names in small letters."""

    size_bytes: int
    headers: dict[str, str]


def connect(address: ServerAddress) -> Connection:
    """Return a connection; nothing is asked yet.

    Raises
    ------
    UsageError
        The file of certificates can't be read.
    """
    verify: ssl.SSLContext | bool = True
    if address.ca is not None:
        try:
            verify = ssl.create_default_context(cafile=address.ca)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"--ca {address.ca} is no file of certificates, PEM: {error}") from None
    timeout = httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
    return Connection(address, httpx2.Client(verify=verify, timeout=timeout))


class Connection:
    """A service that is asked.

    What its API is asked for is named by the parts of a path, which may hold any character.

    Parameters
    ----------
    http : httpx2.Client
        It is closed with this.
    """

    def __init__(self, address: ServerAddress, http: httpx2.Client) -> None:
        self.address = address
        self._http = http
        if address.token is not None:
            http.headers["Authorization"] = f"Bearer {address.token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def url(self) -> str:
        """Its address, for people."""
        return self.address.url

    def get(self, kind: str, *parts: object, **query: object) -> Document:
        """Return a document.

        Parameters
        ----------
        kind : str
            What it is: the name in its ``schema``.
        query : object
            Those that are None are left out.

        Raises
        ------
        TunefleetError
            As the same command on a database would raise, with the server's sentence.
        ServerError
            There is none, or it is no service, or of another release.
        """
        return self._document(kind, self._ask("GET", parts, query))

    def post(
        self,
        kind: str,
        *parts: object,
        body: object = None,
        content: Iterable[bytes] | None = None,
        size: int = 0,
        **query: object,
    ) -> Document:
        """Have something done, with a JSON document, or a file of a size, as the body; see :meth:`get`."""
        more: dict[str, Any] = {} if body is None else {"json": body}
        if content is not None:
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            more = {"content": content, "headers": headers}
        return self._document(kind, self._ask("POST", parts, query, **more))

    def put(self, kind: str, *parts: object, body: object) -> Document:
        """Have something set; see :meth:`get`."""
        return self._document(kind, self._ask("PUT", parts, {}, json=body))

    def download(self, *parts: object, into: BinaryIO, **query: object) -> Downloaded:
        """Write an answer into a file as it comes.

        Raises
        ------
        ServerError
            It broke off: what was written is not whole.
        """
        with self._told(), self._http.stream("GET", self._path(parts), params=_given(query)) as answer:
            self._require_accepted(answer)
            size = 0
            for chunk in answer.iter_bytes(_CHUNK_BYTES):
                into.write(chunk)
                size += len(chunk)
            return Downloaded(size, dict(answer.headers))

    def events(self, *parts: object) -> Iterator[ServerEvent]:
        """Return what a stream of events says, until it ends."""
        timeout = httpx2.Timeout(_QUIET_SECONDS, connect=_CONNECT_SECONDS)
        with self._told(), self._http.stream("GET", self._path(parts), timeout=timeout) as answer:
            self._require_accepted(answer)
            for event in httpx2.EventSource(answer):
                yield ServerEvent(event.event, event.data)

    def _path(self, parts: tuple[object, ...]) -> str:
        return f"{self.url}{_API}/" + "/".join(quote(str(part), safe="") for part in parts)

    def _ask(
        self, method: str, parts: tuple[object, ...], query: dict[str, object], **more: Any
    ) -> httpx2.Response:
        with self._told():
            answer = self._http.request(method, self._path(parts), params=_given(query), **more)
        self._require_accepted(answer)
        return answer

    def _document(self, kind: str, answer: httpx2.Response) -> Document:
        document = _json(answer)
        wanted = titled(kind, {})["schema"]
        if document.get("schema") != wanted:
            found = str(document.get("schema", "none"))[:80]
            raise ServerError(
                f"{self.url} answers with the document {found} where {wanted} is expected: it is no "
                "tunefleet service, or one of another release"
            )
        return document

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Make what goes wrong on the way an error for people."""
        try:
            yield
        except httpx2.ConnectError as error:
            raise ServerError(self._not_reached(error)) from None
        except httpx2.TimeoutException:
            raise ServerError(f"{self.url} doesn't answer: it was waited for, and given up") from None
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise ServerError(f"{self.url} broke off: {str(error) or type(error).__name__}") from None

    def _not_reached(self, error: httpx2.ConnectError) -> str:
        said = str(error)
        if "CERTIFICATE_VERIFY_FAILED" in said:
            why = said.partition("certificate verify failed: ")[2].rpartition(" (")[0] or said
            return (
                f"the certificate of {self.url} is not one that is trusted here ({why}): name the file of "
                "what signed it with --ca or TUNEFLEET_CA"
            )
        if "SSL" in said.upper():
            return f"{self.url} doesn't speak TLS as it should ({said}): is it http:// rather?"
        return f"no service is reached at {self.url} ({said}): does `tunefleet serve` run there?"

    def _require_accepted(self, answer: httpx2.Response) -> None:
        if answer.is_error or answer.is_redirect:
            answer.read()
            raise self._refusal(answer)

    def _refusal(self, answer: httpx2.Response) -> TunefleetError:
        if answer.is_redirect:
            there = urlsplit(answer.headers.get("location", ""))
            named = f"{there.scheme}://{there.netloc}" if there.netloc else "somewhere else"
            return ServerError(f"{self.url} sends on to {named}: name that with --server")
        told = _json(answer).get("error")
        if not isinstance(told, dict):
            return ServerError(
                f"{self.url} answers {answer.status_code} {answer.reason_phrase}, and not as a tunefleet "
                "service: something before it refuses, or it is none"
            )
        message = str(told.get("message", ""))
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            sent = "the token that was sent" if self.address.token else "no token was sent"
            message = f"{self.url}: {message} ({sent}; {TOKEN_VARIABLE} or --token-file names one)"
        return _raised(str(told.get("kind", "")), message, told.get("exit_code"))


def _given(query: dict[str, object]) -> dict[str, Any]:
    def text(value: object) -> object:
        if isinstance(value, bool):
            return "true" if value else "false"
        return [text(one) for one in value] if isinstance(value, list | tuple) else value

    return {name: text(value) for name, value in query.items() if value is not None}


def _json(answer: httpx2.Response) -> Document:
    try:
        found = json.loads(answer.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _raised(kind: str, message: str, exit_code: object) -> TunefleetError:
    """Return the error that the same command would raise here."""
    known = getattr(errors, kind, None) if kind in errors.__all__ else None
    if isinstance(known, type) and issubclass(known, TunefleetError):
        make: Callable[[str], TunefleetError] = known
        return make(message)
    return UsageError(message) if exit_code == UsageError.exit_code else ServerError(message)
