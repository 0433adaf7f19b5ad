"""`HTTP` and `HTTP_PROXY`: a server somewhere, and the client that asks it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from trunkline.errors import ConfigurationError, DeclarationError
from trunkline.integrations.base import Answered, IntegrationError
from trunkline.integrations.http_url import UrlTemplate

if TYPE_CHECKING:
    import httpx

    from trunkline.integrations.base import Asked

__all__ = ["ANSWER_BYTES", "HttpBackend", "HttpClient"]

ANSWER_BYTES: Final = 10 * 1024 * 1024
"""The largest answer; quotas of REST APIs: 10 MB of payload."""
_CONNECTIONS = 256
_IDLE_CONNECTIONS = 32
_WITHOUT_BODY = frozenset({"GET", "HEAD"})
_METHODS = frozenset({"DELETE", "OPTIONS", "PATCH", "POST", "PUT"}) | _WITHOUT_BODY


class HttpClient:
    """The client of a run: its connections are kept for whoever asks next, and nothing else is.

    httpx's transport is used without its client: that would keep the cookies of one answer for everybody's requests.
    There are no redirects, proxies or passwords of the environment either. Certificates are verified, by those of
    `SSL_CERT_FILE` or `SSL_CERT_DIR` where these are set.

    Raises:
        ConfigurationError: httpx is not installed.
    """

    __slots__ = ("_transport",)

    def __init__(self) -> None:
        try:
            import httpx
        except ImportError:
            raise ConfigurationError("HTTP integrations need httpx: pip install 'trunkline[aws]'") from None
        self._transport = httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_IDLE_CONNECTIONS)
        )

    async def send(
        self, method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes | None, *, who: str
    ) -> Answered:
        """Send a request, and read its answer; it takes as long as it takes.

        Args:
            body: None for none.
            who: is asked, for messages to people.

        Raises:
            IntegrationError: there was no answer, or one that cannot be taken.
        """
        import httpx

        pairs = [(name.encode(), value.encode()) for name, value in headers]
        if not any(name.lower() == b"accept-encoding" for name, _ in pairs):
            pairs.append((b"accept-encoding", b"identity"))
        try:
            request = httpx.Request(method, url, headers=pairs, content=body)
            response = await self._transport.handle_async_request(request)
            try:
                return await _read(response, who)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise IntegrationError(f"{who} did not answer: {type(error).__name__}: {error}") from None

    async def close(self) -> None:
        """Close its connections."""
        await self._transport.aclose()


class HttpBackend:
    """Sends requests to a URL.

    Args:
        uri: the URL, with `{name}` where a value of the path goes.
        method: the HTTP method; GET and HEAD have no body.
        client: sends them.

    Raises:
        DeclarationError: one of them cannot be.
    """

    __slots__ = ("_client", "_method", "_url", "_who")

    def __init__(self, uri: str, method: str, client: HttpClient) -> None:
        if method not in _METHODS:
            raise DeclarationError(f"the method is {method!r}; expected one of {', '.join(sorted(_METHODS))}")
        self._url = UrlTemplate(uri)
        self._method = method
        self._client = client
        self._who = f"{method} {uri.partition('?')[0]}"  # a key may stand behind it

    async def call(self, asked: Asked) -> Answered:
        """See `Backend.call`."""
        url = self._url.filled(asked.path, asked.query)
        headers = [(name, value) for name, values in asked.headers.items() for value in values]
        body = None if self._method in _WITHOUT_BODY else asked.body.encode()
        if body and not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", "application/json"))
        return await self._client.send(self._method, url, headers, body, who=self._who)


async def _read(response: httpx.Response, who: str) -> Answered:
    status = response.status_code
    if status > 599:
        raise IntegrationError(f"{who} answered with the status {status}; expected at most 599")
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.multi_items():
        headers.setdefault(name, []).append(value)
    encodings = headers.get("content-encoding", [])
    if any(encoding.strip().lower() != "identity" for encoding in encodings):
        # A few compressed bytes may become anything.
        raise IntegrationError(f"{who} answered in the encoding {encodings[-1]!r}, which it was not asked for")
    body = bytearray()
    async for some in response.aiter_raw():
        body += some
        if len(body) > ANSWER_BYTES:
            raise IntegrationError(f"{who} answered more than {ANSWER_BYTES:,} bytes")
    return Answered(status, body.decode("utf-8", "replace"), headers)
