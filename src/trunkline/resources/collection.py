"""The declaration of a collection: its documents, its queries, and what the program may do with them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from trunkline import clock
from trunkline.errors import DeclarationError, InvalidQuery
from trunkline.resources.application import declare
from trunkline.resources.context import current_node
from trunkline.resources.permissions import COLLECTION_WORDS, Declared, caller, check_words, denied
from trunkline.stores.base import Filter, check_filter, check_id

if TYPE_CHECKING:
    from trunkline.stores.base import Record, Store

__all__ = [
    "Collection",
    "CollectionGroup",
    "Document",
    "DocumentRef",
    "Page",
    "Query",
    "Subcollection",
    "collection",
]

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "startsWith"]
_STREAM_PAGE = 256
_FETCH_LIMIT = 1000
_NAME_BYTES = 128


class Collection:
    """A collection, or a handle on it with permissions. Two of the same name are equal.

    Attributes:
        name: its name.
        granted: the words that the program may use; none until `allow`.
        where: file and line of the declaration.
    """

    __slots__ = ("granted", "name", "where")

    def __init__(self, name: str, where: Declared, granted: frozenset[str] = frozenset()) -> None:
        self.name = name
        self.where = where
        self.granted = granted
        declare(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Collection) and other.name == self.name

    def __hash__(self) -> int:
        return hash((Collection, self.name))

    def __repr__(self) -> str:
        return f"collection({self.name!r})"

    def allow(self, *words: Literal["reading", "writing", "deleting"]) -> Collection:
        """A handle with these permissions besides those it has. They hold for its subcollections too.

        Raises:
            DeclarationError: a word that is none.
        """
        where = caller()
        granted = self.granted | check_words(repr(self), words, COLLECTION_WORDS, where)
        return Collection(self.name, where, granted)

    def doc(self, id: str) -> DocumentRef:  # noqa: A002
        """The document of an id: 1 to 1,024 bytes of UTF-8. It need not exist."""
        return DocumentRef(self, (self.name,), id)

    def query(self) -> Query:
        """All documents of the collection, by id; `where` narrows it."""
        return Query(self, (self.name,), None)

    def collection(self, name: str) -> CollectionGroup:
        """The group of all subcollections of this name, under every document of this collection."""
        return CollectionGroup(self, _check_name(name))

    def check(self, operation: str, word: str) -> Store:
        """The store, if the operation is allowed."""
        if word not in self.granted:
            raise denied(repr(self), operation, word, self.where, self.granted)
        return current_node(operation).store


class CollectionGroup:
    """Subcollections of one name under all documents of a collection: it can be queried."""

    __slots__ = ("_handle", "name")

    def __init__(self, handle: Collection, name: str) -> None:
        self._handle = handle
        self.name = name

    def query(self) -> Query:
        """All documents of the group, by parent id and id."""
        return Query(self._handle, (self._handle.name,), self.name)


class Subcollection:
    """The documents under one document."""

    __slots__ = ("_handle", "_path")

    def __init__(self, handle: Collection, path: tuple[str, ...]) -> None:
        self._handle = handle
        self._path = path

    def doc(self, id: str) -> DocumentRef:  # noqa: A002
        """The document of an id. It need not exist."""
        return DocumentRef(self._handle, self._path, id)

    def query(self) -> Query:
        """All documents of the subcollection, by id."""
        return Query(self._handle, self._path, None)


class DocumentRef:
    """A place for a document: every operation on one document.

    Every operation raises PermissionDenied (the grant lacks its word), NotRunning, and StoreUnavailable.
    """

    __slots__ = ("_handle", "_path", "id")

    def __init__(self, handle: Collection, path: tuple[str, ...], id: str) -> None:  # noqa: A002
        check_id(id)
        self._handle = handle
        self._path = path
        self.id = id

    def __repr__(self) -> str:
        return "/".join((*self._path, self.id))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DocumentRef) and (other._path, other.id) == (self._path, self.id)

    def __hash__(self) -> int:
        return hash((self._path, self.id))

    @property
    def parent(self) -> DocumentRef | None:
        """The document above a subcollection's document; None at the top."""
        if len(self._path) == 1:
            return None
        return DocumentRef(self._handle, self._path[:1], self._path[1])

    def collection(self, name: str) -> Subcollection:
        """The subcollection of a name; there is one level of them.

        Raises:
            DeclarationError: the document is in a subcollection itself, or the name cannot be.
        """
        if len(self._path) > 1:
            raise DeclarationError(f"{self!r} is in a subcollection, and subcollections have one level")
        return Subcollection(self._handle, (*self._path, self.id, _check_name(name)))

    async def get(self) -> Any:
        """The value, or None if there is no document. Needs `reading`."""
        record = await self._handle.check("get", "reading").get(self._path, self.id)
        return None if record is None else record.value

    async def fetch(self) -> Document | None:
        """The document with its version, or None. Needs `reading`."""
        record = await self._handle.check("fetch", "reading").get(self._path, self.id)
        return None if record is None else _document(self._handle, record)

    async def set(self, value: Any, *, if_version: int | None = None, expires_in: float | None = None) -> int:
        """Write the whole document; it is durable when this returns. Needs `writing`.

        Args:
            value: what JSON can say, at most 400 KB.
            if_version: write only if the document is at this version.
            expires_in: seconds after which it is as if deleted; without it, never.

        Returns:
            The document's new version: a number that no other write of it has.

        Raises:
            Conflict: it is at another version, or not there.
            InvalidDocument: the value is not JSON, or too large.
        """
        store = self._handle.check("set", "writing")
        return await store.put(self._path, self.id, value, if_version=if_version, expires_at=_expiry(expires_in))

    async def create(self, value: Any, *, expires_in: float | None = None) -> int:
        """Write the document if there is none; see `set`. Needs `writing`.

        Raises:
            AlreadyExists: there is one.
        """
        store = self._handle.check("create", "writing")
        return await store.put(self._path, self.id, value, create=True, expires_at=_expiry(expires_in))

    async def delete(self) -> None:
        """Delete the document if it is there. Its subcollections stay. Needs `deleting`."""
        await self._handle.check("delete", "deleting").delete(self._path, self.id)


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it was read.

    Attributes:
        id: its id.
        content: its value.
        version: for `set(..., if_version=...)`.
        ref: its place.
    """

    id: str
    content: Any
    version: int
    ref: DocumentRef


@dataclass(frozen=True, slots=True)
class Page:
    """Some results of a query.

    Attributes:
        documents: in order.
        token: for `page_from` to go on behind them; None if these were the last.
    """

    documents: list[Document]
    token: str | None


class Query:
    """A query; every method gives a new one. Documents come in the order of their ids' UTF-8 bytes.

    Operators: `==`, `!=`, `<`, `<=`, `>`, `>=`, `startsWith`. A value compares with values of its own type
    only; a missing field fulfils `!=` and nothing else. `trunkline.stores.base` has the whole table.
    """

    __slots__ = ("_filters", "_group", "_handle", "_limit", "_path", "_token")

    def __init__(
        self,
        handle: Collection,
        path: tuple[str, ...],
        group: str | None,
        filters: tuple[Filter, ...] = (),
        limit: int | None = None,
        token: str | None = None,
    ) -> None:
        self._handle = handle
        self._path = path
        self._group = group
        self._filters = filters
        self._limit = limit
        self._token = token

    def where(self, field: str, op: Operator, value: Any) -> Query:
        """Only documents whose field (`"user.name"` for a member of a member) fulfils the comparison.

        Raises:
            InvalidQuery: the operator or the value cannot be.
        """
        condition = Filter(field, op, value)
        check_filter(condition)
        return self._with(filters=(*self._filters, condition))

    def limit(self, n: int) -> Query:
        """At most n documents: of a page for `fetch`, in all for `stream`."""
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise InvalidQuery(f"limit({n!r}): expected a whole number above 0")
        return self._with(limit=n)

    def page_from(self, token: str | None) -> Query:
        """Go on where an earlier page ended; None is the beginning."""
        if token is not None:
            _read_token(token, self._group)
        return self._with(token=token)

    async def fetch(self) -> Page:
        """One page, of at most 1,000 documents unless `limit` says otherwise. Needs `reading`.

        Raises:
            PermissionDenied, NotRunning, StoreUnavailable: see `trunkline.errors`.
        """
        store = self._handle.check("fetch", "reading")
        limit = self._limit or _FETCH_LIMIT
        # One more than asked for tells whether there is a next page.
        records = await self._read(store, self._token, limit + 1)
        documents = [_document(self._handle, record) for record in records[:limit]]
        token = _write_token(records[limit - 1], self._group) if len(records) > limit else None
        return Page(documents, token)

    async def stream(self) -> AsyncIterator[Document]:
        """Every document, read page by page: what is written meanwhile may or may not be seen. Needs `reading`.

        Raises:
            PermissionDenied, NotRunning, StoreUnavailable: see `trunkline.errors`.
        """
        store = self._handle.check("stream", "reading")
        token, left = self._token, self._limit
        while left is None or left > 0:
            size = _STREAM_PAGE if left is None else min(_STREAM_PAGE, left)
            records = await self._read(store, token, size)
            for record in records:
                yield _document(self._handle, record)
            if len(records) < size:
                return
            token = _write_token(records[-1], self._group)
            left = None if left is None else left - size

    async def _read(self, store: Store, token: str | None, limit: int) -> list[Record]:
        after = None if token is None else _read_token(token, self._group)
        if self._group is None:
            last = None if after is None else after[-1]
            return await store.query(self._path, self._filters, after=last, limit=limit)
        position = None if after is None else (after[0], after[1])
        return await store.query_group(self._path[0], self._group, self._filters, after=position, limit=limit)

    def _with(self, **changes: Any) -> Query:
        kept = {"filters": self._filters, "limit": self._limit, "token": self._token} | changes
        return Query(self._handle, self._path, self._group, **kept)


def collection(name: str) -> Collection:
    """Declare a collection; `.allow("reading", "writing", "deleting")` says what the program does with it.

    Raises:
        DeclarationError: the name cannot be.
    """
    where = caller()
    try:
        return Collection(_check_name(name), where)
    except DeclarationError as error:
        raise DeclarationError(f"{where}: {error}") from None


def _check_name(name: str) -> str:
    if (
        not isinstance(name, str)
        or not name
        or len(name.encode("utf-8", "replace")) > _NAME_BYTES
        or not all(c.isalnum() or c in "_-." for c in name)
    ):
        raise DeclarationError(f"collection({name!r}): a name is 1 to 128 letters, digits, '_', '-' and '.'")
    return name


def _document(handle: Collection, record: Record) -> Document:
    return Document(record.id, record.value, record.version, DocumentRef(handle, record.path, record.id))


def _expiry(expires_in: float | None) -> float | None:
    if expires_in is None:
        return None
    if not expires_in > 0:
        raise ValueError(f"expires_in={expires_in!r}: expected seconds above 0")
    return clock.now() + expires_in


# A token is the position of the last document, as base64 of JSON: it says nothing that the caller was not
# allowed to read, and it is the same on every store.


def _write_token(record: Record, group: str | None) -> str:
    position = [record.id] if group is None else [record.path[1], record.id]
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode("ascii")


def _read_token(token: str, group: str | None) -> list[str]:
    try:
        position = msgspec.json.decode(base64.urlsafe_b64decode(token), type=list[str])
    except (binascii.Error, ValueError, TypeError, AttributeError):
        position = []
    if len(position) != (1 if group is None else 2):
        raise InvalidQuery(f"page_from({str(token)[:40]!r}): expected the token of an earlier page of this query")
    return position
