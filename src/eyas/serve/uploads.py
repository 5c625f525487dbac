"""The pictures in a request: a form, or the bytes themselves. Read in memory, counted as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from fastapi import Request
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from eyas.config.serve import ServeConfig
from eyas.serve.limits import Guest
from eyas.serve.pictures import Upload
from eyas.serve.refusal import RefusalError

FIELDS = ("file", "files")  # of a form; one may come several times
ONE_FIELD = "A form may have files called `file`, or files called `files`, and nothing else."
RAW = ("application/octet-stream", "image/")  # the body is the picture itself


async def read_uploads(request: Request, guest: Guest, config: ServeConfig) -> list[Upload]:
    """Return the files of a request, their bytes and places counted in `guest`.

    Raises `RefusalError`: 400 for a malformed body, 413 while too much of it comes, 415 for a kind that is not taken.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    guest.announce(request.headers.get("content-length"))
    if kind == "multipart/form-data":
        uploads = await of_form(request, guest, config)
    elif kind.startswith(RAW):
        body = b"".join([chunk async for chunk in counted(request, guest)])
        uploads = [Upload("picture 1", body)] if body else []
    else:
        words = "Send a form (multipart/form-data), or a picture as image/..."
        raise RefusalError(415, "unknown_request", words)
    guest.bring(len(uploads))
    return uploads


async def of_form(request: Request, guest: Guest, config: ServeConfig) -> list[Upload]:
    """Return the files of a form."""
    refused: list[RefusalError] = []

    async def parts() -> AsyncGenerator[bytes, None]:
        try:
            async for part in counted(request, guest):
                yield part
        except RefusalError as error:  # told to the parser as its own error, so that it closes its files
            refused.append(error)
            raise MultiPartException("refused") from error

    parser = MultiPartParser(request.headers, parts(), max_files=config.max_files, max_fields=8)
    parser.spool_max_size = int(config.max_mb * 1e6) + 1  # never on the disk
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError) as error:  # older versions of Starlette let the second through
        for refusal in refused:
            raise refusal from None
        if "Too many files" in str(error):
            guest.bring(config.max_files + 1)  # refuses in the words for it
        raise RefusalError(400, "malformed", "The form cannot be read: it is malformed.") from None
    uploads = []
    try:
        names = {field for field, _ in form.multi_items()}
        for place, (field, value) in enumerate(form.multi_items(), 1):
            if len(names) > 1 or field not in FIELDS:
                raise RefusalError(422, "unknown_field", ONE_FIELD)
            if not isinstance(value, UploadFile):
                raise RefusalError(422, "no_picture", f"`{field}` is a text; send a file.")
            name = (value.filename or "").replace("\\", "/").rpartition("/")[2][:200]
            uploads.append(Upload(name or f"picture {place}", await value.read()))
    finally:
        await form.close()
    return uploads


async def counted(request: Request, guest: Guest) -> AsyncGenerator[bytes, None]:
    """Yield the parts of a body as they come; raises `RefusalError` where they become too many bytes."""
    try:
        async for chunk in request.stream():
            guest.hold(len(chunk))
            yield chunk
    except ClientDisconnect:
        raise RefusalError(400, "malformed", "The request broke off.") from None
