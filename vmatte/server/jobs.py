"""/api/jobs: videos that take their time."""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse

from vmatte import __version__
from vmatte.errors import OptionError
from vmatte.server.errors import Problem
from vmatte.server.fetch import fetched
from vmatte.server.forms import Form, Upload, read_form
from vmatte.server.media import check_picture, check_video, parse_behind
from vmatte.server.runner import ended
from vmatte.server.service import Service, service_of
from vmatte.server.shapes import form_of
from vmatte.server.store import Job
from vmatte.server.worker import OUTPUTS

router = APIRouter(prefix="/api/jobs")

_FIELDS = ("url", "model", "background", "outputs")
_TICK = 0.25
"""Seconds between two looks at a job whose progress is followed."""

_KEEP_ALIVE = 15.0


@router.post(
    "",
    status_code=202,
    summary="Matte a video",
    openapi_extra=form_of(
        file=("binary", "the video"),
        url=("string", "instead of file: where the video is, http or https"),
        model=("string", "see /api/models"),
        background=("string", "green (default), #rrggbb, blur, blur:RADIUS or transparent"),
        background_file=("binary", "a picture to put behind"),
        outputs=(
            "string",
            "separated by commas: mp4 (default), webm (default where transparent), prores, alpha",
        ),
    ),
)
async def create(request: Request) -> JSONResponse:
    """Take on a video; it waits for its turn, over restarts of the service."""
    service = service_of(request)
    options = service.options
    if service.store.count("queued") >= options.queue:
        service.metrics.refused.labels("jobs").inc()
        raise Problem(
            429,
            "busy",
            f"{options.queue} videos wait, the most there may be; try again later",
            retry=30,
        )
    with service.uploads.place():
        files = {"file": options.video_bytes, "background_file": options.image_bytes}
        async with (
            read_form(
                request, service.scratch, files, seconds=options.upload_seconds, room=service.room
            ) as form,
            _video(service, form) as upload,
        ):
            job = await asyncio.to_thread(_prepare, service, form, upload)
            return _take(service, form, upload, *job)


@asynccontextmanager
async def _video(service: Service, form: Form) -> AsyncIterator[Upload]:
    for name in form.fields:
        if name not in _FIELDS:
            raise OptionError(
                f"there is no field {name[:40]!r}; expected the files file and background_file, "
                f"and {', '.join(_FIELDS)}"
            )
    url = form.fields.get("url", "")
    if ("file" in form.files) == bool(url):
        raise Problem(422, "input", "expected either a file 'file' or the field 'url'")
    if not url:
        yield form.files["file"]
        return
    options = service.options
    async with fetched(
        url,
        service.scratch,
        options.video_bytes,
        seconds=options.upload_seconds,
        allowed=options.networks,
        room=service.room,
    ) as upload:
        yield upload


def _prepare(service: Service, form: Form, upload: Upload) -> tuple[dict[str, Any], str]:
    """Check all that can be checked before the job waits; return what is wanted, and its key."""
    fields, behind = form.fields, form.files.get("background_file")
    model = service.models.name(fields.get("model"))
    background = parse_behind(fields.get("background") or "green")
    transparent = background == "transparent" and behind is None
    outputs = _outputs(fields.get("outputs", ""), transparent)
    check_video(upload.path, upload.name or "the video", service.options)
    if behind is not None:
        check_picture(behind.path, behind.name or "the background", service.options.image_pixels)
    wanted = {
        "model": model,
        "background": background,
        "behind": behind is not None,
        "outputs": outputs,
    }
    parts = [
        __version__,
        upload.sha256,
        behind.sha256 if behind else "",
        service.models.sha256(model),
        json.dumps(wanted, sort_keys=True),
    ]
    return wanted, hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _outputs(text: str, transparent: bool) -> list[str]:
    kinds = [k.strip().lower() for k in text.split(",") if k.strip()]
    kinds = list(dict.fromkeys(kinds)) or ["webm" if transparent else "mp4"]
    for kind in kinds:
        if kind not in OUTPUTS:
            raise OptionError(f"outputs has {kind[:20]!r}; expected some of {', '.join(OUTPUTS)}")
    if transparent and "mp4" in kinds:
        raise OptionError("mp4 has no transparency; ask for webm or prores, or a background")
    return kinds


def _take(
    service: Service, form: Form, upload: Upload, wanted: dict[str, Any], key: str
) -> JSONResponse:
    store = service.store
    id = store.new_id()
    folder = store.folder(id)
    earlier = store.equal(key)
    if earlier is not None and _link(store.folder(earlier.id) / "out", folder / "out"):
        job = store.add(id, upload.name, key, wanted)
        job.state, job.results, job.stats = "done", earlier.results, earlier.stats
        store.save(job)
    else:
        upload.move(folder / "input")
        if "background_file" in form.files:
            form.files["background_file"].move(folder / "behind")
        job = store.add(id, upload.name, key, wanted)
        service.runner.wake()
    return JSONResponse(_describe(service, job), 202, {"Location": f"/api/jobs/{id}"})


def _link(source: Path, target: Path) -> bool:
    """Give a second job the results of an equal one; False where they are gone."""
    part = target.with_name("part-linked")
    try:
        part.mkdir()
        for path in source.iterdir():
            os.link(path, part / path.name)
        part.rename(target)
    except OSError:
        return False
    return True


def _describe(service: Service, job: Job) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": job.id,
        "state": job.state,
        "name": job.name,
        "created": round(job.created, 3),
        "updated": round(job.updated, 3),
        **{k: job.wanted[k] for k in ("model", "background", "outputs")},
    }
    progress = service.runner.progress.get(job.id)
    if progress is not None:
        found["progress"] = asdict(progress)
    if job.state == "done":
        found["results"] = [
            {
                "kind": r["kind"],
                "type": r["type"],
                "bytes": r["bytes"],
                "url": f"/api/jobs/{job.id}/result/{r['kind']}",
            }
            for r in job.results
        ]
        found["stats"] = job.stats
        found["expires"] = round(job.updated + service.options.keep)
    if job.error is not None:
        found["error"] = job.error
    return found


def _job(service: Service, id: str) -> Job:
    job = service.store.get(id)
    if job is None:
        raise Problem(404, "no-job", f"there is no job {id[:64]!r}; it may have been removed")
    return job


@router.get("", summary="All jobs, the newest first")
async def every(request: Request) -> dict[str, Any]:
    """List the jobs."""
    service = service_of(request)
    return {"jobs": [_describe(service, job) for job in service.store.every()]}


@router.get("/{id}", summary="One job")
async def one(request: Request, id: str) -> dict[str, Any]:
    """Describe a job."""
    service = service_of(request)
    return _describe(service, _job(service, id))


@router.get(
    "/{id}/events",
    summary="A job's progress, as server-sent events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(request: Request, id: str) -> StreamingResponse:
    """Send the job whenever it changes, as event 'job'; the last one has ended."""
    service = service_of(request)
    _job(service, id)

    async def follow() -> AsyncIterator[str]:
        last, said = "", time.monotonic()
        while not service.closing.is_set():
            job = service.store.get(id)
            if job is None:
                return
            text = json.dumps(_describe(service, job), ensure_ascii=False)
            if text != last:
                yield f"event: job\ndata: {text}\n\n"
                last, said = text, time.monotonic()
            elif time.monotonic() - said > _KEEP_ALIVE:
                yield ": still here\n\n"
                said = time.monotonic()
            if ended(job):
                return
            await asyncio.sleep(_TICK)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(follow(), headers=headers, media_type="text/event-stream")


@router.delete(
    "/{id}",
    summary="Cancel a job, or remove one that has ended",
    responses={204: {"description": "it had ended, and is removed with its results"}},
)
async def cancel(request: Request, id: str) -> Response:
    """Cancel or remove a job."""
    service = service_of(request)
    job = _job(service, id)
    if ended(job):
        service.store.remove(id)
        return Response(status_code=204)
    await service.runner.cancel(job)
    return JSONResponse(_describe(service, _job(service, id)))


@router.get("/{id}/result", summary="A job's first result", response_class=FileResponse)
async def result(request: Request, id: str) -> FileResponse:
    """Send the first result; ranges are served."""
    job = _done(service_of(request), id)
    return _send(service_of(request), job, job.results[0])


@router.get("/{id}/result/{kind}", summary="One of its results", response_class=FileResponse)
async def result_of_kind(request: Request, id: str, kind: str) -> FileResponse:
    """Send a result of a kind, such as mp4 or alpha; ranges are served."""
    service = service_of(request)
    job = _done(service, id)
    for found in job.results:
        if found["kind"] == kind:
            return _send(service, job, found)
    kinds = ", ".join(r["kind"] for r in job.results)
    raise Problem(404, "no-result", f"the job has no result {kind[:20]!r}; it has: {kinds}")


def _done(service: Service, id: str) -> Job:
    job = _job(service, id)
    if job.state != "done":
        raise Problem(409, "not-done", f"the job is {job.state}; it has no results")
    return job


def _send(service: Service, job: Job, found: dict[str, Any]) -> FileResponse:
    path = service.store.folder(job.id) / "out" / found["file"]
    stem = Path(job.name or "video").stem[:80] or "video"
    words = {"alpha": "-alpha"}.get(found["kind"], "-cutout")
    return FileResponse(
        path,
        media_type=found["type"],
        filename=f"{stem}{words}{path.suffix}",
        headers={"Cache-Control": "private, no-cache"},
    )
