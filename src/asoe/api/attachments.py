"""Routes on files. A file is only ever a download: nothing a client sends is shown by a browser from our origin."""

from __future__ import annotations

import hashlib
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, File, Form, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from asoe.api import answers, encoding
from asoe.api.door import Door, call_of
from asoe.api.encoding import page, reply
from asoe.api.once import hash_request
from asoe.desk import attachment
from asoe.store.attachments import Attachment

router = APIRouter(route_class=Door, tags=["attachments"])
_OF_TICKET = "/api/support/ticket/{ticket_id}/attachments"


@router.get(_OF_TICKET, response_model=answers.AttachmentPage)
async def list_attachments(request: Request, ticket_id: UUID) -> Response:
    call = call_of(request)
    found = await attachment.list_attachments(call.desk, call.principal, ticket_id)
    return reply(page([encoding.attachment(each, call.principal) for each in found], None))


@router.post(
    _OF_TICKET,
    status_code=201,
    response_model=answers.AttachmentOut,
    form_limits={"max_files": 1, "max_fields": 4, "max_part_size": 1024},
)
async def add_attachment(
    request: Request,
    *,
    ticket_id: UUID,
    file: Annotated[UploadFile, File(description="At most 25 MB.")],
    is_internal: Annotated[bool, Form()] = False,
) -> Response:
    """Attach a file (multipart/form-data)."""
    call = call_of(request)
    content = await file.read()
    name, media_type = file.filename or "file", file.content_type or "application/octet-stream"
    if call.once is not None:
        call.once.request = file_request(request, name, media_type, content, is_internal=is_internal)
    added = await attachment.attach(
        call.desk,
        call.principal,
        ticket_id,
        name=name,
        media_type=media_type,
        content=content,
        is_internal=is_internal,
        remember=call.remember(lambda made: encoding.attachment(made, call.principal)),
    )
    return reply(encoding.attachment(added, call.principal), 201)


@router.get(
    "/api/support/attachment/{attachment_id}",
    response_class=Response,
    responses={
        200: {
            "description": "The file",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def get_attachment(request: Request, attachment_id: UUID) -> Response:
    """The file as a download, whatever it claims to be."""
    call = call_of(request)
    found, content = await attachment.read_attachment(call.desk, call.principal, attachment_id)
    return as_download(found, content)


def file_request(request: Request, name: str, media_type: str, content: bytes, *, is_internal: bool = False) -> bytes:
    """What was asked, for `Once`: a form's boundary differs each time it is sent, what counts is the file."""
    asked = b"%s\n%s\n%r\n%s" % (name.encode(), media_type.encode(), is_internal, hashlib.sha256(content).digest())
    return hash_request("POST", request.scope["path"], asked)


def as_download(found: Attachment, content: bytes) -> Response:
    plain = found.name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    return Response(
        content,
        media_type="application/octet-stream",
        headers={
            "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(found.name)}",
            "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        },
    )
