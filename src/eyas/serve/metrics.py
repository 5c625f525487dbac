"""What the server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counts of one server; nothing is shared with another one in the process."""

    def __init__(self, waiting: Callable[[], float], in_work: Callable[[], float]) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter("eyas_requests", "Requests by path and status.", ["path", "code"], registry=own)
        about = "Seconds from a request's head to its answer."
        self.seconds = Histogram("eyas_request_seconds", about, ["path"], buckets=SECONDS, registry=own)
        about = "Pictures that met in a batch."
        self.batches = Histogram("eyas_batch_pictures", about, buckets=SIZES, registry=own)
        self.pictures = Counter("eyas_pictures", "Pictures answered.", registry=own)
        about = "Pictures that wait for the network."
        Gauge("eyas_queue_pictures", about, registry=own).set_function(waiting)
        about = "Pictures that have arrived and are not answered."
        Gauge("eyas_in_work_pictures", about, registry=own).set_function(in_work)

    def record(self, path: str, code: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests.labels(path, str(code)).inc()
        self.seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Return all of it in the text format of Prometheus."""
        return generate_latest(self.registry)
