"""POST /api/images: a picture in, the result in the answer."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from PIL import Image
from starlette.types import Receive, Scope, Send

from vmatte.errors import OptionError, VmatteError
from vmatte.server.cutout import Wanted, cut_out
from vmatte.server.errors import Problem, problem_of
from vmatte.server.fetch import fetched
from vmatte.server.forms import Form, Upload, read_form
from vmatte.server.media import parse_behind
from vmatte.server.service import Service, service_of
from vmatte.server.shapes import form_of

router = APIRouter()

FORMATS = {
    "png": ("image/png", ".png"),
    "webp": ("image/webp", ".webp"),
    "jpg": ("image/jpeg", ".jpg"),
}
"""What a client may ask for: its media type, its suffix."""

PATIENCE = 120.0
"""Seconds in which a picture has to come: it holds a place meanwhile."""


class Once(FileResponse):
    """A file that goes when it was sent, or could not be."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            Path(self.path).unlink(missing_ok=True)


@router.post(
    "/api/images",
    summary="Cut the subject out of a picture",
    response_class=Response,
    openapi_extra=form_of(
        file=("binary", "the picture: PNG, JPEG, WebP, BMP, TIFF, GIF, AVIF or HEIC"),
        url=("string", "instead of file: where the picture is, http or https"),
        model=("string", "see /api/models"),
        background=(
            "string",
            "transparent (default), blur, blur:RADIUS, #rrggbb or a colour's name",
        ),
        background_file=("binary", "a picture to put behind"),
        format=("string", "png (default), webp or jpg"),
        output=("string", "picture (default), or alpha for the matte itself"),
    ),
    responses={200: {"content": {kind: {} for kind, _ in FORMATS.values()}}},
)
async def images(request: Request) -> Response:
    """Return the picture with its background gone, or replaced."""
    service = service_of(request)
    options = service.options
    with service.pictures.place():
        files = {"file": options.image_bytes, "background_file": options.image_bytes}
        async with read_form(
            request,
            service.scratch,
            files,
            seconds=min(PATIENCE, options.upload_seconds),
            room=service.room,
        ) as form:
            known = ("url", "model", "background", "format", "output")
            expect_fields(form.fields, known, ("file",))
            async with one_file(service, form, "file", "url") as upload:
                wanted = _wanted(service, form)
                return await answer(service, upload, form.files.get("background_file"), wanted)


def _wanted(service: Service, form: Form) -> Wanted:
    fields = form.fields
    background, format = fields.get("background") or "transparent", format_of(fields)
    shown = fields.get("output") or "picture"
    only = {"picture": "composite", "alpha": "alpha"}.get(shown)
    if only is None:
        raise OptionError(f"output is {shown[:20]!r}; expected picture or alpha")
    behind = parse_behind(background)
    clear = behind == "transparent" and "background_file" not in form.files
    if format == "jpg" and clear and only != "alpha":
        raise OptionError("jpg has no transparency; ask for png or webp, or give a background")
    return Wanted(
        model=service.models.name(fields.get("model")),
        background=behind,
        format=format,
        only=only,
    )


def format_of(fields: Mapping[str, str]) -> str:
    """Return one of FORMATS. Raises OptionError."""
    format = (fields.get("format") or "png").lower().replace("jpeg", "jpg")
    if format not in FORMATS:
        raise OptionError(f"format is {format[:20]!r}; expected one of {', '.join(FORMATS)}")
    return format


def expect_fields(
    fields: Mapping[str, str],
    known: tuple[str, ...],
    as_files: tuple[str, ...] = (),
) -> None:
    """Raise OptionError for a field that nobody reads: it would be ignored without a word."""
    for name in fields:
        if name in as_files:
            raise OptionError(f"{name} came as text; send it as a file, with a file name")
        if name not in known:
            raise OptionError(f"there is no field {name[:40]!r}; expected: {', '.join(known)}")


@asynccontextmanager
async def one_file(service: Service, form: Form, file: str, url: str) -> AsyncIterator[Upload]:
    """Give the one picture or video that a form names: a file of its own, or at an address."""
    if (file in form.files) == bool(form.fields.get(url)):
        got = "both" if file in form.files else "neither"
        raise Problem(422, "input", f"got {got}; expected either a file {file!r} or {url!r}")
    if file in form.files:
        yield form.files[file]
        return
    options = service.options
    async with fetched(
        form.fields[url],
        service.scratch,
        options.image_bytes,
        seconds=min(PATIENCE, options.upload_seconds),
        allowed=options.networks,
        room=service.room,
    ) as upload:
        yield upload


async def answer(
    service: Service, upload: Upload, behind: Upload | None, wanted: Wanted
) -> Response:
    """Matte one picture and return the answer."""
    kind, suffix = FORMATS[wanted.format]
    target = service.scratch / (secrets.token_hex(16) + suffix)
    begin = time.perf_counter()
    try:
        loop = asyncio.get_running_loop()
        size = await loop.run_in_executor(
            service.pool, _matte, service, upload, behind, wanted, target
        )
    except VmatteError as e:
        target.unlink(missing_ok=True)
        shown = {str(upload.path): upload.name or "the picture"}
        if behind is not None:
            shown[str(behind.path)] = behind.name or "the background"
        raise problem_of(e, shown) from e
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    service.metrics.pictures.labels(wanted.model).observe(time.perf_counter() - begin)
    stem = Path(upload.name or "picture").stem or "picture"
    return Once(
        target,
        headers={
            "X-Width": str(size[0]),
            "X-Height": str(size[1]),
            "X-Model": wanted.model,
            "Cache-Control": "no-store",
        },
        media_type=kind,
        filename=f"{stem[:80]}-cutout{suffix}",
        content_disposition_type="inline",
    )


def _matte(
    service: Service, upload: Upload, behind: Upload | None, wanted: Wanted, target: Path
) -> tuple[int, int]:
    pixels = service.options.image_pixels
    data = cut_out(
        upload,
        behind,
        wanted,
        service.models,
        service.cache,
        pixels=pixels,
        ran=service.metrics.steps.labels(wanted.model).inc,
    )
    target.write_bytes(data)
    with Image.open(target) as picture:
        return picture.size
