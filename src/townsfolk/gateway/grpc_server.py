"""The gRPC server: each method of the protos takes a type of `townsfolk.types`, makes one call.

Requests are parsed here and not by grpc, which would call bytes that are no message INTERNAL. A
call's deadline and a client that goes cancel the work, as grpc does by itself.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from time import perf_counter
from typing import Any

import grpc
from google.protobuf import message as protobuf
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from pydantic import BaseModel, ValidationError

from townsfolk import types
from townsfolk.config import Settings
from townsfolk.errors import DeadlineExceeded, InvalidRequest, TownsfolkError, Unauthorized
from townsfolk.gateway.convert import to_fields, to_protobuf
from townsfolk.gateway.faults import Fault, fault_of, invalid_fields
from townsfolk.gateway.front import Front
from townsfolk.gateway.limits import Gate
from townsfolk.gateway.metrics import CallMetrics
from townsfolk.gateway.pb import adapters_pb2, feedback_pb2, policy_pb2, townsfolk_pb2
from townsfolk.gateway.permits import CALLER
from townsfolk.gateway.service import Service
from townsfolk.gateway.tls import Certificate
from townsfolk.gateway.tokens import Tokens
from townsfolk.gateway.tracing import call_span

HEALTH_EVERY_S = 1.0
STOP_GRACE_S = 2.0
_HEALTH = "/grpc.health.v1.Health/"

ADMIN = adapters_pb2.DESCRIPTOR.services_by_name["Adapters"]
"""Left out where operators have a port of their own, `http.admin_port`."""
SERVICES: tuple[ServiceDescriptor, ...] = (
    townsfolk_pb2.DESCRIPTOR.services_by_name["Townsfolk"],
    policy_pb2.DESCRIPTOR.services_by_name["Policy"],
    ADMIN,
    feedback_pb2.DESCRIPTOR.services_by_name["Feedback"],
)

Call = Callable[..., Awaitable[BaseModel | None] | AsyncGenerator[BaseModel, None]]


class GrpcServer:
    """A grpc.aio server with health, which follows the service's readiness, and reflection; not yet bound."""

    def __init__(self, front: Front) -> None:
        settings = front.settings
        self._service = front.service
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            interceptors=(_Authorization(front.tokens),),
            options=(
                ("grpc.so_reuseport", 0),  # else a second server would bind the same port in silence
                ("grpc.max_receive_message_length", settings.grpc.max_message_bytes),
            ),
        )
        handlers = _Handlers(_calls(front.service), settings, CallMetrics("grpc", front.registry))
        services = [each for each in SERVICES if each is not ADMIN or settings.http.admin_port is None]
        self._server.add_generic_rpc_handlers(tuple(handlers.of(each) for each in services))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [each.full_name for each in services]
        reflection.enable_server_reflection(
            (*names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )

    def bind(self, address: str, certificate: Certificate | None) -> int:
        """Take `host:port` and return the port. Raises RuntimeError if it can't be had."""
        if certificate is None:
            return int(self._server.add_insecure_port(address))
        return int(self._server.add_secure_port(address, certificate.for_grpc()))

    async def run(self) -> None:
        """Serve until cancelled; calls under way then have STOP_GRACE_S to end."""
        await self._server.start()
        try:
            await self._report_health()
        finally:
            await self._server.stop(STOP_GRACE_S)

    async def _report_health(self) -> None:
        status = health_pb2.HealthCheckResponse
        while True:
            ready, _ = self._service.readiness()
            await self._health.set("", status.SERVING if ready else status.NOT_SERVING)
            await asyncio.sleep(HEALTH_EVERY_S)


def _calls(service: Service) -> dict[str, Call]:
    return {
        "Townsfolk.Connect": service.connect,
        "Townsfolk.Step": service.step,
        "Townsfolk.Infer": service.infer,
        "Townsfolk.InferStream": service.infer_stream,
        "Policy.Check": service.check,
        "Adapters.List": service.adapters,
        "Adapters.Load": service.load_adapter,
        "Adapters.Promote": service.promote_adapter,
        "Adapters.Rollback": service.rollback_adapter,
        "Adapters.Unload": service.unload_adapter,
        "Feedback.Rate": service.rate,
        "Feedback.Log": service.log,
        "Feedback.Demonstrate": service.demonstrate,
        "Feedback.Forget": service.forget,
    }


class _Authorization(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Refuses calls without a token, and notes whose the others are; health is open to monitors."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        if details.method.startswith(_HEALTH):
            return await continuation(details)
        try:
            header = dict(details.invocation_metadata).get("authorization")
            CALLER.set(self._tokens.authorize(header))
        except Unauthorized as error:
            return _refusing(fault_of(error))
        return await continuation(details)


def _refusing(fault: Fault) -> Any:
    async def refuse(_: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        await _abort(context, fault)

    return grpc.stream_stream_rpc_method_handler(refuse)


class _Handlers:
    """grpc's handlers for the methods of the protos."""

    def __init__(self, calls: dict[str, Call], settings: Settings, metrics: CallMetrics) -> None:
        self._calls = calls
        self._gate = Gate(settings.grpc.max_concurrent)
        self._longest_s = settings.grpc.request_timeout_s
        self._metrics = metrics

    def of(self, service: ServiceDescriptor) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            service.full_name, {method.name: self._handler(method) for method in service.methods}
        )

    def _handler(self, method: MethodDescriptor) -> Any:
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._streaming(method))
        return grpc.unary_unary_rpc_method_handler(self._unary(method))

    def _unary(self, method: MethodDescriptor) -> Callable[..., Awaitable[bytes]]:
        route = f"{method.containing_service.name}.{method.name}"
        call: Any = self._calls[route]

        async def handle(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
            async with self._guard(route, context):
                return _serialized(method, await call(*_arguments(method, data)))
            raise AssertionError("unreachable: the guard aborts the call")

        return handle

    def _streaming(self, method: MethodDescriptor) -> Callable[..., Awaitable[None]]:
        route = f"{method.containing_service.name}.{method.name}"
        call: Any = self._calls[route]

        async def handle(data: bytes, context: grpc.aio.ServicerContext) -> None:
            async with self._guard(route, context), aclosing(call(*_arguments(method, data))) as items:
                async for item in items:
                    await context.write(_serialized(method, item))

        return handle

    @asynccontextmanager
    async def _guard(self, route: str, context: grpc.aio.ServicerContext) -> AsyncIterator[None]:
        """Bound and count a call, and give its errors their status."""
        started, code = perf_counter(), grpc.StatusCode.UNKNOWN
        try:
            with self._gate.enter(), call_span(route, context.invocation_metadata() or ()):
                async with asyncio.timeout(self._longest_s):
                    yield
            code = grpc.StatusCode.OK
        except asyncio.CancelledError:
            code = _why_cancelled(context)
            raise
        except (TownsfolkError, ValidationError, TimeoutError) as error:
            fault = _fault(error)
            code = fault.grpc
            await _abort(context, fault)
        finally:
            self._metrics.observe(route, code.name, perf_counter() - started)


def _why_cancelled(context: grpc.aio.ServicerContext) -> grpc.StatusCode:
    """grpc cancels a call whose deadline has passed and one whose client has gone."""
    left = context.time_remaining()
    late = left is not None and left <= 0
    return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED


def _arguments(method: MethodDescriptor, data: bytes) -> tuple[BaseModel, ...]:
    """The request as the call's arguments: none where the proto says Empty."""
    message = message_factory.GetMessageClass(method.input_type)()
    try:
        message.ParseFromString(data)
    except protobuf.DecodeError as error:
        raise InvalidRequest(
            f"{len(data)} bytes that are no {method.input_type.full_name} ({error}): encode the message with "
            "the .proto files of this version, its strings in UTF-8"
        ) from error
    kind = getattr(types, method.input_type.name, None)
    return () if kind is None else (kind.model_validate(to_fields(message)),)


def _serialized(method: MethodDescriptor, reply: BaseModel | None) -> bytes:
    kind = message_factory.GetMessageClass(method.output_type)
    message = kind() if reply is None else to_protobuf(reply, kind)
    return message.SerializeToString()


def _fault(error: Exception) -> Fault:
    if isinstance(error, ValidationError):
        return invalid_fields(error.errors())
    if isinstance(error, TownsfolkError):
        return fault_of(error)
    return fault_of(DeadlineExceeded("the call took longer than grpc.request_timeout_s: ask for less"))


async def _abort(context: grpc.aio.ServicerContext, fault: Fault) -> None:
    await context.abort(fault.grpc, fault.details(), fault.trailers())
