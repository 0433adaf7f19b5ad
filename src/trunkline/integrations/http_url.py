"""URLs of HTTP integrations: what a client puts into a place of the path never becomes more than one segment of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode, urlsplit

from trunkline.errors import DeclarationError
from trunkline.integrations.base import MessageRefused

__all__ = ["UrlTemplate"]

_PLACE = re.compile(r"\{([a-zA-Z0-9._$-]+)\}")
_DOTS = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)
_SCHEMES = ("http", "https")


class UrlTemplate:
    """A URL with places such as `{name}` in its path or query string.

    Args:
        text: the URL.

    Raises:
        DeclarationError: it is none, or has places elsewhere; of a host, a client could choose who is asked.
    """

    __slots__ = ("_base", "_path", "_query")

    def __init__(self, text: str) -> None:
        try:
            parts = urlsplit(text)
            is_url = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_url = False
        if not is_url or parts.username is not None or "{" in parts.netloc or re.search(r"[^!-~]", text):
            raise DeclarationError(
                "the URL of an integration is expected to be http or https, with a host, without a user or password, "
                "in ASCII, and with {NAME} in its path or query string alone"
            )
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path or "/"
        self._query = parts.query
        if re.search(r"[{}]", _PLACE.sub("", self._path + self._query)):
            raise DeclarationError(f"the path {parts.path!r} has a brace that is no {{NAME}}")
        if _has_dots(_PLACE.sub("x", self._path)):
            raise DeclarationError(f"the path {parts.path!r} has . or .. as a segment; expected one without")

    def filled(self, values: Mapping[str, str], query: Mapping[str, Sequence[str]]) -> str:
        """The URL of a request.

        Raises:
            MessageRefused: a value is missing or empty, or makes another path than the one that is meant.
        """

        def fill(place: re.Match[str]) -> str:
            value = values.get(place[1], "")
            if not value:
                raise MessageRefused(f"there is no value for {place.group()} of the URL", 400)
            return quote(value, safe="")

        path, static = _PLACE.sub(fill, self._path), _PLACE.sub(fill, self._query)
        if _has_dots(path):
            raise MessageRefused("values make a segment of dots in the path of the URL", 400)
        mapped = urlencode(query, doseq=True, quote_via=quote, safe="")
        whole = "&".join(part for part in (static, mapped) if part)
        return f"{self._base}{path}?{whole}" if whole else self._base + path


def _has_dots(path: str) -> bool:
    return any(_DOTS.fullmatch(segment) for segment in path.split("/"))
