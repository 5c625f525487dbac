"""Why a request is not answered: an HTTP status, a code for programs, a message for people."""

from __future__ import annotations

MEANINGS = {
    400: "The request is malformed, or is for a host that this server does not go by.",
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
    408: "The request did not arrive in time.",
    413: "The request has too many bytes.",
    415: "The request, or a file in it, is of a kind that is not read.",
    422: "A picture cannot be decoded or has too many pixels; or there is none, or too many; or a parameter is wrong.",
    500: "The server failed. Its log says why.",
    503: "The server has too much to do, is stopping, or did not finish in time. Try again later.",
}
RETRY_SECONDS = 1  # what Retry-After says: a full queue is worked off within about a second, or is full again


class RefusalError(Exception):
    """A request that is not answered. `message` names nothing of the server: no path, no address, no library."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    @property
    def headers(self) -> dict[str, str]:
        """The headers that belong to the status."""
        return {"Retry-After": str(RETRY_SECONDS)} if self.status == 503 else {}
