"""Forms of any size: files stream to disk, nothing large is held in memory."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from vmatte.server.errors import Problem

FIELD_BYTES = 64 << 10
_MAX_PARTS = 64


@dataclass(slots=True)
class Upload:
    """A file that came. name: what the client calls it; path: where it lies until the form ends."""

    name: str
    path: Path
    size: int = 0
    sha256: str = ""

    def move(self, target: Path) -> None:
        """Keep the file, as ``target``."""
        self.path.replace(target)


def plain(name: str) -> str:
    """Return what may be shown of a client's name for a file: no folders, nothing unprintable."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[:200].strip(". ")


@dataclass(slots=True)
class Form:
    """What a client sent."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, Upload] = field(default_factory=dict)


@asynccontextmanager
async def read_form(
    request: Request,
    folder: Path,
    files: Mapping[str, int],
    *,
    field_bytes: int = FIELD_BYTES,
    seconds: float = 600.0,
    room: Callable[[int], None] | None = None,
) -> AsyncIterator[Form]:
    """Read a multipart, urlencoded or JSON form; files that nobody moved go when the block ends.

    files: the names of files that may come, with the bytes that each may have. field_bytes: of all
    other fields together. seconds: that all of it may take. room: called with the bytes of files
    so far; raises where there is no room for them. Raises Problem.
    """
    form = Form()
    try:
        try:
            async with asyncio.timeout(seconds):
                await _read(request, folder, files, field_bytes, room, form)
        except ClientDisconnect:
            raise Problem(400, "gone", "the upload broke off") from None
        except TimeoutError:
            raise Problem(
                408, "slow", f"the upload was not whole after {seconds:g} s; try again"
            ) from None
        yield form
    finally:
        for upload in form.files.values():
            upload.path.unlink(missing_ok=True)


async def _read(
    request: Request,
    folder: Path,
    files: Mapping[str, int],
    field_bytes: int,
    room: Callable[[int], None] | None,
    form: Form,
) -> None:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"multipart/form-data":
        boundary = options.get(b"boundary", b"")
        if not 1 <= len(boundary) <= 200:
            raise Problem(400, "malformed", "the form's Content-Type names no boundary")
        reader = _Multipart(folder, files, field_bytes, room, form)
        try:
            parser = MultipartParser(boundary, reader.callbacks())
            async for chunk in request.stream():
                parser.write(chunk)
        except FormParserError as e:
            raise Problem(400, "malformed", f"the form is malformed: {e}") from e
        finally:
            reader.close()
        if not reader.ended:
            raise Problem(400, "malformed", "the form ends early; send it again")
        return
    if kind not in (b"application/json", b"application/x-www-form-urlencoded"):
        raise Problem(
            415,
            "content-type",
            f"got Content-Type {kind.decode('latin-1') or '(none)'!r}; expected "
            "multipart/form-data, application/x-www-form-urlencoded or application/json",
        )
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > field_bytes:
            raise Problem(413, "too-large", f"the form has more than {field_bytes} bytes")
    form.fields.update(_json(body) if kind == b"application/json" else _urlencoded(body))


def _json(body: bytearray) -> dict[str, str]:
    try:
        data: Any = json.loads(body or b"{}")
    except (ValueError, RecursionError) as e:
        raise Problem(400, "malformed", f"the body is not JSON: {e}") from e
    if not isinstance(data, dict):
        raise Problem(400, "malformed", "the body is JSON, but no object")
    fields = {}
    for name, value in data.items():
        if isinstance(value, list):
            value = ",".join(map(str, value))
        if isinstance(value, bool):
            value = str(value).lower()
        if value is not None:
            fields[name] = str(value)
    return fields


def _urlencoded(body: bytearray) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_PARTS))
    except ValueError as e:
        raise Problem(400, "malformed", f"the form is malformed: {e}") from e


class _Multipart:
    """Takes the parts as the parser finds them."""

    def __init__(
        self,
        folder: Path,
        files: Mapping[str, int],
        field_bytes: int,
        room: Callable[[int], None] | None,
        form: Form,
    ) -> None:
        self.ended = False
        self._folder, self._allowed, self._room, self._form = folder, files, room, form
        self._left = self._field_bytes = field_bytes
        self._parts = self._received = 0
        self._file: BinaryIO | None = None

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise Problem(413, "too-large", f"the form has more than {_MAX_PARTS} parts")
        self._headers: dict[bytes, bytes] = {}
        self._key, self._value = b"", b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._key += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._key.lower()] = self._value
        self._key, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._text = bytearray()
        self._upload: Upload | None = None
        if b"filename" not in options:
            return
        name = self._name
        if name not in self._allowed:
            expected = ", ".join(self._allowed) or "none"
            raise Problem(422, "unknown-field", f"no file {name!r} is expected, only: {expected}")
        if name in self._form.files:
            raise Problem(422, "twice", f"the file {name!r} came twice; send one at a time")
        shown = plain(options[b"filename"].decode("utf-8", "replace"))
        self._upload = Upload(shown, self._folder / secrets.token_hex(16))
        self._form.files[name] = self._upload
        self._hash = hashlib.sha256()
        self._file = self._upload.path.open("xb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        size = end - start
        if self._upload is None or self._file is None:
            self._left -= size
            if self._left < 0:
                raise Problem(
                    413, "too-large", f"the form's fields have more than {self._field_bytes} bytes"
                )
            self._text += data[start:end]
            return
        limit = self._allowed[self._name]
        self._upload.size += size
        self._received += size
        if self._upload.size > limit:
            raise Problem(
                413, "too-large", f"the file {self._name!r} has more than {limit} bytes, the limit"
            )
        if self._room is not None:
            self._room(self._received)
        part = data[start:end]
        self._hash.update(part)
        self._file.write(part)

    def _end(self) -> None:
        if self._upload is not None and self._file is not None:
            self._file.close()
            self._file = None
            self._upload.sha256 = self._hash.hexdigest()
            if not self._upload.name and not self._upload.size:
                # A browser's file field that was left empty.
                self._form.files.pop(self._name).path.unlink()
            return
        try:
            self._form.fields[self._name] = self._text.decode()
        except UnicodeDecodeError as e:
            raise Problem(400, "malformed", f"the field {self._name!r} is not UTF-8") from e

    def _finish(self) -> None:
        self.ended = True
