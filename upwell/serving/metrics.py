"""What happened here in numbers, under the names that dashboards for vLLM know, by prometheus_client.

A `Metrics` belongs to one application. It knows no request and no text; who serves tells it.
"""

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

PREFIX = "vllm:"  # the names that are in use
LABEL = ("model_name",)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """Counters and histograms of one server."""

    def __init__(self, places: int):
        self.places, self.registry = places, CollectorRegistry()
        self.running: dict[str, int] = {}
        self.waiting: dict[str, int] = {}
        self.read, self.written, self.asked, self.known = (
            self._counter(name, help) for name, help in (
                ("prompt_tokens", "Tokens read"), ("generation_tokens", "Tokens written"),
                ("prefix_cache_queries", "Tokens of prompts"),
                ("prefix_cache_hits", "Tokens of prompts that had been read for an earlier one")))  # fmt: skip
        self.finished = Counter(PREFIX + "request_success", "Texts written to their end", (*LABEL, "finished_reason"),
                                registry=self.registry)  # fmt: skip
        self.first, self.between, self.whole, self.queued = (
            self._histogram(name, help) for name, help in (
                ("time_to_first_token_seconds", "From the request to its first token"),
                ("inter_token_latency_seconds", "From one token to the next"),
                ("e2e_request_latency_seconds", "From the request to its end"),
                ("request_queue_time_seconds", "In line")))  # fmt: skip
        self.registry.register(Now(self))
        self.totals = {"read": 0, "written": 0, "known": 0, "asked": 0}

    def page(self) -> bytes:
        """All of them as Prometheus reads them."""
        return generate_latest(self.registry)

    def count(self, model: str, usage, finish: str) -> None:
        """A text has ended."""
        self.read.labels(model).inc(usage.prompt - usage.known)
        self.written.labels(model).inc(usage.new)
        self.asked.labels(model).inc(usage.prompt)
        self.known.labels(model).inc(usage.known)
        self.finished.labels(model, finish).inc()
        for name, value in (("read", usage.prompt - usage.known), ("written", usage.new), ("known", usage.known),
                            ("asked", usage.prompt)):  # fmt: skip
            self.totals[name] += value

    def _counter(self, name: str, help: str) -> Counter:
        return Counter(PREFIX + name, help, LABEL, registry=self.registry)

    def _histogram(self, name: str, help: str) -> Histogram:
        return Histogram(PREFIX + name, help, LABEL, buckets=SECONDS, registry=self.registry)


class Now(Collector):
    """What is so at this moment."""

    def __init__(self, metrics: Metrics):
        self.metrics = metrics

    def collect(self):
        for name, help, values in (
            ("num_requests_running", "Requests at work", self.metrics.running),
            ("num_requests_waiting", "Requests in line", self.metrics.waiting),
            ("kv_cache_usage_perc", "Share of the places that are taken", self.used()),
        ):
            family = GaugeMetricFamily(PREFIX + name, help, labels=LABEL)
            for model, value in values.items():
                family.add_metric([model], value)
            yield family

    def used(self) -> Mapping[str, float]:
        """A cache here grows and shrinks with its rows: what can be full are the places."""
        return {model: min(1.0, count / self.metrics.places) for model, count in self.metrics.running.items()}


class Watch:
    """One request as it goes on: what it waited for, and how fast it came."""

    def __init__(self, metrics: Metrics, model: str):
        self.metrics, self.model, self.start = metrics, model, time.monotonic()
        self.begun: float | None = None
        self.last: float | None = None
        self.first: float | None = None
        metrics.waiting[model] = metrics.waiting.get(model, 0) + 1

    def begin(self) -> None:
        """It has left the line."""
        self.begun = time.monotonic()
        self.metrics.waiting[self.model] -= 1
        self.metrics.running[self.model] = self.metrics.running.get(self.model, 0) + 1
        self.metrics.queued.labels(self.model).observe(self.begun - self.start)

    def token(self, count: int) -> None:
        """So many tokens have come."""
        now = time.monotonic()
        if self.first is None:
            self.first = now
            self.metrics.first.labels(self.model).observe(now - self.start)
        elif count:
            self.metrics.between.labels(self.model).observe((now - self.last) / count)
        self.last = now

    def end(self) -> None:
        """It is over, however that came."""
        if self.begun is None:
            self.metrics.waiting[self.model] -= 1
            return
        self.metrics.running[self.model] -= 1
        self.metrics.whole.labels(self.model).observe(time.monotonic() - self.start)
