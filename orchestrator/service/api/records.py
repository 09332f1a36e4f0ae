"""Records, in and out, as JSON Lines."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path as FilePath
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from orchestrator.documents.exported import REPORT_HEADER, export_document
from orchestrator.documents.imported import imported_document
from orchestrator.documents.schema import titled
from orchestrator.errors import UsageError
from orchestrator.records.jsonl_read import import_records, is_records
from orchestrator.records.jsonl_write import export_records
from orchestrator.service.access.identity import Admin, Reader
from orchestrator.service.access.quotas import upload_limit
from orchestrator.service.parts import Parts, one_of_few, parts_of
from orchestrator.service.reading import device_class
from orchestrator.service.refusals import RefusedError, refused_by_the_disk

__all__ = ["router"]

router = APIRouter(tags=["records"])
_Parts = Annotated[Parts, Depends(parts_of)]
_GZIP = b"\x1f\x8b"
_BODY = {
    "requestBody": {
        "required": True,
        "description": "JSON Lines as `tunefleet records export` writes them, packed or not.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get(
    "/records",
    response_class=FileResponse,
    responses={200: {"content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}}}},
)
def export(
    parts: _Parts,
    _who: Reader,
    device: Annotated[str | None, Query(max_length=200)] = None,
    engine: Annotated[str | None, Query(max_length=100)] = None,
    workload: Annotated[str | None, Query(max_length=64)] = None,
) -> FileResponse:
    """Return what is stored as packed JSON Lines, as `tunefleet records export` does."""
    name = None if device is None else device_class(parts, device, engine).name
    workloads = None if workload is None else [parts.store.workloads.resolve(workload).hash]
    with refused_by_the_disk():
        folder = tempfile.TemporaryDirectory(prefix="tunefleet-export-")
    path = FilePath(folder.name, "records.jsonl.gz")
    try:
        with one_of_few(parts):
            found = export_records(parts.store, path, engine=engine, device_class=name, workloads=workloads)
    except BaseException:
        folder.cleanup()
        raise
    document = export_document("records.jsonl.gz", found)
    return FileResponse(
        path,
        media_type="application/gzip",
        filename="records.jsonl.gz",
        # What the command says of it: a header, since the body is the file.
        headers={REPORT_HEADER: json.dumps(document)},
        background=BackgroundTask(folder.cleanup),
    )


@router.post("/records", openapi_extra=_BODY)
async def import_(
    parts: _Parts,
    who: Admin,
    request: Request,
    dry_run: bool = False,
    skip_bad: Annotated[bool, Query(description="Store the good lines where there are bad ones.")] = False,
) -> dict[str, Any]:
    """Store records, all of them or none, as `tunefleet records import` does."""
    most = upload_limit(parts, who)
    with contextlib.ExitStack() as stack:
        with refused_by_the_disk():
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tunefleet-import-"))
            path = FilePath(folder, "records.jsonl")
            begin = await _receive(request, path, most)
        if begin == _GZIP:
            path = path.rename(path.with_suffix(".jsonl.gz"))
        if not is_records(path):
            raise UsageError(
                "these are no records: send what `tunefleet records export -o FILE.jsonl.gz` wrote"
            )

        def take() -> dict[str, Any]:
            return imported_document(import_records(parts.store, path, skip_bad=skip_bad, dry_run=dry_run))

        document = await to_thread.run_sync(take)
    if not dry_run:
        entry = who.entry("import", "records", trials=document["trials_imported"])
        await to_thread.run_sync(parts.store.audit.note, entry)
    return titled("records-import-jsonl", {**document, "database": parts.store.url})


async def _receive(request: Request, path: FilePath, most: int) -> bytes:
    """Write a body to a file; return what it begins with."""
    size, begin = 0, b""
    with path.open("wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise RefusedError(413, f"this file is larger than {most:,} bytes, the most that is taken")
            begin = (begin + chunk[:2])[:2]
            await to_thread.run_sync(file.write, chunk)
    return begin
