"""POST /v1.0/removebg: pictures, in the form that clients of remove.bg send."""

import base64
import binascii
import hashlib
import re
import secrets
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from vmatte.errors import OptionError, VmatteError
from vmatte.images import Margin
from vmatte.server.cutout import Edge, Wanted
from vmatte.server.errors import Problem, problem_of
from vmatte.server.forms import FIELD_BYTES, Form, Upload, read_form
from vmatte.server.images import (
    FORMATS,
    PATIENCE,
    Once,
    answer,
    expect_fields,
    format_of,
    one_file,
)
from vmatte.server.media import parse_behind
from vmatte.server.service import Service, service_of
from vmatte.server.shapes import form_of

router = APIRouter()

_SIZES = {"preview": 0.25, "small": 0.25, "regular": 0.25, "medium": 1.5, "hd": 4.0}
"""Its sizes, in megapixels; the others mean the picture's own."""

_IGNORED = {
    "type": None,  # of the subject: our models find it themselves
    "type_level": None,
    "scale": "original",
    "position": "original",
    "add_shadow": "false",
    "semitransparency": "true",
}
"""Its fields that change nothing, as long as they have these values."""

_LENGTH = re.compile(r"(\d{1,5}(?:\.\d{1,3})?)(px|%)")


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
        crop=("string", "true: cut the result to the subject; default false"),
        crop_margin=("string", "room around it: 30px, or 10% of the subject's longer side"),
        roi=("string", "x1 y1 x2 y2, in px or %: all outside is background"),
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
            wanted = _wanted(service, form)
            async with one_file(service, form, "image_file", "image_url") as upload:
                return await answer(service, upload, form.files.get("bg_image_file"), wanted)


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


def _wanted(service: Service, form: Form) -> Wanted:
    fields = dict(form.fields)
    for name, harmless in _IGNORED.items():
        value = fields.pop(name, None)
        if value and harmless is not None and value.lower() != harmless:
            raise OptionError(f"{name}={value[:40]} is not offered here; leave it out")
    expect_fields(
        fields,
        (
            *("image_url", "size", "format", "channels", "bg_color"),
            *("crop", "crop_margin", "roi"),
        ),
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
    format = format_of({"format": format})
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
        crop=_crop(fields),
        roi=_roi(fields["roi"]) if fields.get("roi") else None,
    )


def _crop(fields: dict[str, str]) -> Margin | None:
    crop, text = (fields.get("crop") or "false").lower(), fields.get("crop_margin") or "0px"
    if crop not in ("true", "false"):
        raise OptionError(f"crop is {crop[:20]!r}; expected true or false")
    if crop == "false":
        return None
    value, share = _length("crop_margin", text if text != "0" else "0px")
    return Margin(share=value) if share else Margin(pixels=value)


def _roi(text: str) -> tuple[Edge, ...]:
    edges = tuple(_length("roi", word) for word in text.split())
    if len(edges) != 4:
        raise OptionError(
            f"roi is {text[:60]!r}; expected x1 y1 x2 y2, such as 10% 0% 90% 100% or 20px 0px ..."
        )
    return edges


def _length(field: str, text: str) -> Edge:
    """Read a length as (value, whether it is a share, of 1)."""
    found = _LENGTH.fullmatch(text.strip())
    if found is None or (found[2] == "%" and float(found[1]) > 100):
        raise OptionError(f"{field} has {text[:20]!r}; expected such as 30px or 10%, to 100%")
    return (float(found[1]) / 100, True) if found[2] == "%" else (float(found[1]), False)
