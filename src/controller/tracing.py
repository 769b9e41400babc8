"""Spans of OpenTelemetry: one for each run of a reconcile function, one for each request.

Only the API of OpenTelemetry is used; whoever wants spans brings an SDK and hands its provider in.
Without one nothing is wrapped, and a run costs what it costs without this module.

A span says what was done and how it ended, never what it was done with: of an error it has the type
and the status of the answer. Messages of the API server quote values of objects.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

from .errors import ApiError
from .fence import check_work
from .protocols import Response, Transport
from .reconcile import Reconcile, Request, Result
from .types import Headers, Query

SCOPE: Final = "hybridpg.controller"
"""The name of our instrumentation, by which an SDK can filter."""


class Tracing:
    """Wraps what is to have spans.

    ::

        tracing = Tracing(provider)
        client = Client(tracing.transport(transport, host=config.host))
        controller = Controller("widgets", tracing.reconcile("widgets", reconcile))

    A manager does both: ``Manager(client, tracing=tracing)``.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer(SCOPE)

    def reconcile(self, controller: str, reconcile: Reconcile) -> Reconcile:
        """Return a reconcile function with a span around each run; requests are its children."""
        tracer = self._tracer

        async def run(request: Request) -> Result | None:
            attributes = {
                "controller": controller,
                "namespace": request.key.namespace,
                "name": request.key.name,
                "reconcile_id": request.reconcile_id,
            }
            with (
                tracer.start_as_current_span(
                    f"reconcile {controller}",
                    attributes=attributes,
                    record_exception=False,
                    set_status_on_exception=False,
                ) as span,
                _errors(span),
            ):
                return await reconcile(request)

        return run

    def transport(self, transport: Transport, *, host: str = "") -> Transport:
        """Return a transport with a span for each request; of a watch, until it is answered."""
        return _TracedTransport(transport, self._tracer, urlsplit(host).hostname or host)


class _TracedTransport:
    def __init__(self, transport: Transport, tracer: Tracer, address: str) -> None:
        self._transport = transport
        self._tracer = tracer
        self._address = address

    def check(self, what: str) -> None:
        check_work(self._transport, what)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Headers = (),
        body: bytes | None = None,
    ) -> Response:
        with self._span(method, path) as span:
            response = await self._transport.request(
                method, path, query=query, headers=headers, body=body
            )
            span.set_attribute("http.response.status_code", response.status)
            if response.status >= 400:
                span.set_status(Status(StatusCode.ERROR))
            return response

    async def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncGenerator[list[bytes], None]:
        lines = self._transport.stream(path, query=query, headers=headers)
        try:
            # the span is not made current: a generator shares the context of whoever reads it
            with self._span("WATCH", path) as span:
                first = await anext(lines, None)
                span.set_attribute("http.response.status_code", 200)
            if first is not None:
                yield first
            async for each in lines:
                yield each
        finally:  # not left to the garbage collector: it holds a connection
            if isinstance(lines, AsyncGenerator):
                await lines.aclose()

    async def close(self) -> None:
        await self._transport.close()

    @contextmanager
    def _span(self, verb: str, path: str) -> Iterator[Span]:
        span = self._tracer.start_span(
            f"{verb} {_plural(path)}",
            kind=SpanKind.CLIENT,
            attributes={
                "http.request.method": "GET" if verb == "WATCH" else verb,
                "url.path": path,
                "server.address": self._address,
            },
        )
        try:
            with _errors(span):
                yield span
        finally:
            span.end()


@contextmanager
def _errors(span: Span) -> Iterator[None]:
    """Write down how it failed, without a word of the message."""
    try:
        yield
    except BaseException as error:
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute("error.type", type(error).__name__)
        if isinstance(error, ApiError):
            span.set_attribute("http.response.status_code", error.status)
            span.set_attribute("k8s.status.reason", error.reason)
        raise


def _plural(path: str) -> str:
    """Return the kind that a path is about, as few words as there are kinds.

    ``/api/v1/…`` or ``/apis/group/version/…``, then perhaps ``namespaces/name``, then the plural,
    the name and the subresource.
    """
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
        rest = rest[2:]
    return "/".join([*rest[:1], *rest[2:3]]) or path
