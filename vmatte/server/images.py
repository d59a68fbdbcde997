"""POST /api/images, and the form of it that remove.bg's clients use."""

import asyncio
import base64
import binascii
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from PIL import Image
from starlette.types import Receive, Scope, Send

from vmatte.errors import OptionError, VmatteError
from vmatte.server.cutout import Wanted, cut_out
from vmatte.server.errors import Problem, problem_of
from vmatte.server.fetch import fetched
from vmatte.server.forms import FIELD_BYTES, Form, Upload, read_form
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

_SIZES = {"preview": 0.25, "small": 0.25, "regular": 0.25, "medium": 1.5, "hd": 4.0}
"""remove.bg's sizes, in megapixels; the others mean the picture's own."""


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
        async with (
            read_form(
                request,
                service.scratch,
                files,
                seconds=min(PATIENCE, options.upload_seconds),
                room=service.room,
            ) as form,
            _one(service, form, "file", "url") as upload,
        ):
            fields = form.fields
            _expect(
                fields, ("url", "model", "background", "format", "output"), ("file",), form.files
            )
            background, format = fields.get("background") or "transparent", _format_of(fields)
            shown = fields.get("output") or "picture"
            only = {"picture": "composite", "alpha": "alpha"}.get(shown)
            if only is None:
                raise OptionError(f"output is {shown[:20]!r}; expected picture or alpha")
            behind = parse_behind(background)
            clear = behind == "transparent" and "background_file" not in form.files
            if format == "jpg" and clear and only != "alpha":
                raise OptionError(
                    "jpg has no transparency; ask for png or webp, or give a background"
                )
            wanted = Wanted(
                model=service.models.name(fields.get("model")),
                background=behind,
                format=format,
                only=only,
            )
            return await _serve(service, upload, form.files.get("background_file"), wanted)


def _format_of(fields: Mapping[str, str]) -> str:
    format = (fields.get("format") or "png").lower().replace("jpeg", "jpg")
    if format not in FORMATS:
        raise OptionError(f"format is {format[:20]!r}; expected one of {', '.join(FORMATS)}")
    return format


def _expect(
    fields: Mapping[str, str],
    known: tuple[str, ...],
    as_files: tuple[str, ...] = (),
    files: Mapping[str, Upload] | None = None,
) -> None:
    """Raise OptionError for a field that nobody reads: it would be ignored without a word."""
    for name in fields:
        if name in as_files:
            raise OptionError(f"{name} came as text; send it as a file, with a file name")
        if name not in known:
            raise OptionError(f"there is no field {name[:40]!r}; expected: {', '.join(known)}")


@asynccontextmanager
async def _one(service: Service, form: Form, file: str, url: str) -> AsyncIterator[Upload]:
    """Give the one picture or video that a form names: a file of its own, or at an address."""
    named = [n for n in (file, url) if n in form.files or form.fields.get(n)]
    if len(named) != 1:
        got = "both" if named else "neither"
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


async def _serve(
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


_IGNORED = {
    "type": None,  # of the subject: our models find it themselves
    "type_level": None,
    "crop": "false",
    "scale": "original",
    "position": "original",
    "add_shadow": "false",
    "semitransparency": "true",
    "roi": "0% 0% 100% 100%",
}
"""Fields of remove.bg's form that change nothing, as long as they have these values."""


@router.post(
    "/v1.0/removebg",
    summary="The same, for clients of remove.bg",
    response_class=Response,
    openapi_extra=form_of(
        image_file=("binary", "the picture"),
        image_file_b64=("string", "instead: the picture in base64"),
        image_url=("string", "instead: where the picture is"),
        size=("string", "preview, small, regular (0.25 megapixels), medium (1.5), hd (4), full"),
        format=("string", "auto (png, or jpg over a colour), png, jpg, webp"),
        channels=("string", "rgba (default) or alpha"),
        bg_color=("string", "a colour's name, or hexadecimal digits"),
        bg_image_file=("binary", "a picture to put behind"),
    ),
    responses={200: {"content": {kind: {} for kind, _ in FORMATS.values()}}},
)
async def removebg(request: Request) -> Response:
    """Take remove.bg's form, answer as it does. Errors come in its form, too."""
    try:
        response = await _removebg(request)
    except (Problem, VmatteError) as e:
        problem = problem_of(e)
        # It knows of 400 where we tell more.
        status = 400 if problem.status in (404, 409, 413, 415, 422) else problem.status
        errors = [{"title": problem.detail, "code": problem.kind}]
        headers = {} if problem.retry is None else {"Retry-After": str(problem.retry)}
        return JSONResponse({"errors": errors}, status, headers)
    if isinstance(response, Once):
        response.headers["X-Credits-Charged"] = "0"
        if "application/json" in request.headers.get("accept", ""):
            try:
                data = base64.b64encode(Path(response.path).read_bytes()).decode()
            finally:
                Path(response.path).unlink(missing_ok=True)
            return JSONResponse({"data": {"result_b64": data}})
    return response


async def _removebg(request: Request) -> Response:
    service = service_of(request)
    options = service.options
    files = {"image_file": options.image_bytes, "bg_image_file": options.image_bytes}
    with service.pictures.place():
        async with read_form(
            request,
            service.scratch,
            files,
            field_bytes=options.image_bytes * 4 // 3 + FIELD_BYTES,
            seconds=min(PATIENCE, options.upload_seconds),
            room=service.room,
        ) as form:
            _from_base64(service, form)
            wanted = _removebg_wanted(service, form)
            async with _one(service, form, "image_file", "image_url") as upload:
                return await _serve(service, upload, form.files.get("bg_image_file"), wanted)


def _from_base64(service: Service, form: Form) -> None:
    text = form.fields.pop("image_file_b64", "")
    if not text:
        return
    if "image_file" in form.files:
        raise Problem(422, "input", "got both image_file and image_file_b64; expected one")
    try:
        data = base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text)
    except binascii.Error as e:
        raise Problem(422, "input", f"image_file_b64 is not base64: {e}") from e
    digest = hashlib.sha256(data).hexdigest()
    upload = Upload("", service.scratch / secrets.token_hex(16), len(data), digest)
    form.files["image_file"] = upload
    upload.path.write_bytes(data)


def _removebg_wanted(service: Service, form: Form) -> Wanted:
    fields = dict(form.fields)
    for name, harmless in _IGNORED.items():
        value = fields.pop(name, None)
        if value and harmless is not None and value.lower() != harmless:
            raise OptionError(f"{name}={value[:40]} is not offered here; leave it out")
    _expect(
        fields,
        ("image_url", "size", "format", "channels", "bg_color"),
        ("image_file", "bg_image_file"),
    )
    colour = fields.get("bg_color", "")
    background = parse_behind(colour) if colour else "transparent"
    opaque = background != "transparent" or "bg_image_file" in form.files
    format = (fields.get("format") or "auto").lower()
    only = {"rgba": "composite", "alpha": "alpha"}.get(fields.get("channels") or "rgba")
    if only is None:
        raise OptionError(f"channels is {fields['channels'][:20]!r}; expected rgba or alpha")
    if format == "auto":
        format = "jpg" if opaque else "png"
    format = _format_of({"format": format})
    if format == "jpg" and not opaque and only != "alpha":
        background = "white"  # As remove.bg does: its documents say so.
    size = (fields.get("size") or "preview").lower()
    if size not in (*_SIZES, "full", "auto", "4k", "50mp"):
        raise OptionError(f"size is {size[:20]!r}; expected one of {', '.join(_SIZES)}, full")
    return Wanted(
        model=service.models.name(None),
        background=background,
        format=format,
        only=only,
        megapixels=_SIZES.get(size),
    )
