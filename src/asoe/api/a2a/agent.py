"""The methods of A2A over the desk: a message opens a ticket or goes on with it, a task is read from its rows.

Nothing is held between requests, so tasks outlive every process. What a caller is refused is said in the protocol's errors.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any, Final
from uuid import UUID

import structlog
from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.server.routes.common import ServerCallContextBuilder
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors
from google.protobuf.json_format import MessageToDict, ParseDict
from pydantic_core import to_json
from starlette.requests import Request

from asoe.api import outside, problems
from asoe.api.door import Call, call_of
from asoe.api.outside import Trace
from asoe.api.permissions import rule_of
from asoe.desk import a2a_task as tasks
from asoe.desk import delegation, intake, session, task_push, ticket
from asoe.desk.intake import NewTicket
from asoe.desk.task_push import NewPush, Push
from asoe.domain.errors import AsoeError, Conflict, Denied, FieldProblem, Invalid, Missing, Unavailable
from asoe.domain.session import Message, Session
from asoe.domain.ticket import MAX_SUBJECT_CHARS, Ticket
from asoe.store.tickets import TicketFilter

_log = structlog.get_logger("asoe.a2a")
# it logs what callers send
logging.getLogger("a2a").setLevel(logging.CRITICAL)

PATIENCE_SECONDS: Final = 25.0
STREAM_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 10.0
_MOST_TASKS: Final = 100
_TICKET: Final = "/api/support/ticket/{ticket_id}"
RULES: Final = {
    "open_ticket": rule_of("POST", "/api/support/ticket"),
    "answer_ticket": rule_of("POST", "/api/support/message/{session_id}"),
    "read_ticket": rule_of("GET", _TICKET),
    "find_tickets": rule_of("GET", "/api/support/tickets"),
}


class _CallContext(ServerCallContextBuilder):
    def build(self, request: Request) -> ServerCallContext:
        return ServerCallContext(state={"headers": dict(request.headers), "call": call_of(request)})


@cache
def dispatcher() -> JsonRpcDispatcher:
    """The one of this process; it holds no state."""
    return JsonRpcDispatcher(Agent(), _CallContext())


async def _no_other_card(self: Any, params: Any, context: ServerCallContext) -> Any:  # noqa: ARG001
    raise errors.ExtendedAgentCardNotConfiguredError


class Agent(RequestHandler):
    """Each method acts as the caller, and only on tickets that the caller opened for itself."""

    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Task:
        """Open a ticket or write into one, then wait a while for what comes of it unless told to return at once."""
        call = _call(context)
        with _as_protocol():
            wanted = params.configuration
            ticket_id = await _say(call, params.message, wanted)
            seen = await _look(call, ticket_id)
            ends = time.monotonic() + (0 if wanted.return_immediately else PATIENCE_SECONDS)
            async with _woken(call, seen) as wake:
                while not _rests(seen) and (left := ends - time.monotonic()) > 0:
                    await wake(min(left, _LOOK_SECONDS))
                    seen = await _look(call, ticket_id)
            return _task(seen, _history(wanted))

    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        call = _call(context)
        with _as_protocol():
            ticket_id = await _say(call, params.message, params.configuration)
            async for event in _follow(call, ticket_id, _history(params.configuration)):
                yield event

    async def on_subscribe_to_task(
        self, params: pb.SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        call = _call(context)
        with _as_protocol():
            async with _recorded(call, "read_ticket") as trace:
                seen = await _look(call, _id(params.id))
                trace.ticket_id = seen.ticket.id
            if tasks.state_of(seen.ticket) in tasks.ENDED:
                raise errors.UnsupportedOperationError("This task has ended: read it with GetTask.")
            async for event in _follow(call, seen.ticket.id, None):
                yield event

    async def on_get_task(self, params: pb.GetTaskRequest, context: ServerCallContext) -> pb.Task:
        call = _call(context)
        with _as_protocol():
            async with _recorded(call, "read_ticket") as trace:
                seen = await _look(call, _id(params.id))
                trace.ticket_id = seen.ticket.id
            return _task(seen, _history(params))

    async def on_list_tasks(self, params: pb.ListTasksRequest, context: ServerCallContext) -> pb.ListTasksResponse:
        """The caller's own tickets, newest first."""
        call = _call(context)
        with _as_protocol():
            async with _recorded(call, "find_tickets"):
                return await _list(call, params)

    async def on_cancel_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """Withdraw the ticket; what a run has done already stays done."""
        call = _call(context)
        with _as_protocol():
            async with _recorded(call, "answer_ticket", changes=True) as trace:
                seen = await _look(call, _id(params.id))
                if tasks.state_of(seen.ticket) in tasks.ENDED:
                    raise errors.TaskNotCancelableError("This task has ended.")
                await delegation.withdraw(call.desk, call.principal, seen.ticket.id)
                trace.ticket_id = seen.ticket.id
            return _task(await _look(call, seen.ticket.id), 0)

    async def on_create_task_push_notification_config(
        self, params: pb.TaskPushNotificationConfig, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        """Have the task told to an address of the caller's; the same id again replaces it."""
        call = _call(context)
        with _as_protocol():
            async with _recorded(call, "answer_ticket") as trace:
                trace.ticket_id = _id(params.task_id)
                return await _keep_push(call, trace.ticket_id, params)

    async def on_get_task_push_notification_config(
        self, params: pb.GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        call = _call(context)
        with _as_protocol():
            async with _recorded(call, "read_ticket") as trace:
                trace.ticket_id = _id(params.task_id)
                return _push(
                    params.task_id, await task_push.read(call.desk, call.principal, trace.ticket_id, params.id)
                )

    async def on_list_task_push_notification_configs(
        self, params: pb.ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> pb.ListTaskPushNotificationConfigsResponse:
        """All of them: there are never many."""
        call = _call(context)
        with _as_protocol():
            async with _recorded(call, "read_ticket") as trace:
                trace.ticket_id = _id(params.task_id)
                found = await task_push.list_own(call.desk, call.principal, trace.ticket_id)
                configs = [_push(params.task_id, each) for each in found]
                return pb.ListTaskPushNotificationConfigsResponse(configs=configs)

    async def on_delete_task_push_notification_config(
        self, params: pb.DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        call = _call(context)
        with _as_protocol():
            async with _recorded(call, "answer_ticket") as trace:
                trace.ticket_id = _id(params.task_id)
                await task_push.remove(call.desk, call.principal, trace.ticket_id, params.id)

    on_get_extended_agent_card = _no_other_card


# --- saying something ---


async def _say(call: Call, message: pb.Message, wanted: pb.SendMessageConfiguration) -> UUID:
    """Open a ticket with the message, or write it into the one it names; the same message sent again has one effect."""
    has_push = wanted.HasField("task_push_notification_config")
    if has_push:  # refused before there is a ticket
        new = _asked(wanted.task_push_notification_config)
        task_push.check(call.principal, new, may_be_private=call.gate.settings.connector_private)
    goes_on = bool(message.task_id or message.context_id)
    async with _recorded(call, "answer_ticket" if goes_on else "open_ticket", changes=True) as trace:
        text = _text_of(message)
        if not message.message_id:
            raise Invalid("message.messageId is missing.", code="invalid_request")
        known = await _known_ticket(call, message) if goes_on else None
        if goes_on and known is None:  # a further task in the context of one that has ended
            (await outside.delegated(call, RULES)).check("open_ticket")
        asked = {"text": text, "task": message.task_id, "context": message.context_id}

        async def do(acting: Call) -> dict[str, str]:
            if known is None:
                return {"id": str(await _open(acting, text))}
            assert known.session_id is not None, "every ticket has a session"
            await session.add_message(acting.acting, acting.principal, known.session_id, "user", text)
            return {"id": str(known.id)}

        # an id says that it is the same message, its words that it is: some clients give one id to many
        key = hashlib.sha256(to_json([message.message_id, asked])).hexdigest()
        done = await outside.do_once(call, trace, key, asked, do)
        trace.ticket_id = UUID(done["id"])
        if has_push:
            await _keep_push(call, trace.ticket_id, wanted.task_push_notification_config)
    return trace.ticket_id


async def _keep_push(
    call: Call, ticket_id: UUID, asked: pb.TaskPushNotificationConfig
) -> pb.TaskPushNotificationConfig:
    may_be_private = call.gate.settings.connector_private
    kept = await task_push.keep(call.desk, call.principal, ticket_id, _asked(asked), may_be_private=may_be_private)
    return _push(str(ticket_id), kept)


def _asked(config: pb.TaskPushNotificationConfig) -> NewPush:
    proof = config.authentication
    return NewPush(config.url, config.id, config.token, proof.scheme, proof.credentials)


def _push(task_id: str, kept: Push) -> pb.TaskPushNotificationConfig:
    made = pb.TaskPushNotificationConfig(id=kept.name, task_id=task_id, url=kept.url)
    if kept.scheme:
        made.authentication.scheme = kept.scheme
    return made


async def _open(call: Call, text: str) -> UUID:
    """The caller is who wants it: a key's account is as good a requester as a person's."""
    user_id = None if call.principal.is_client else call.principal.user_id
    new = NewTicket(
        subject=text.strip().partition("\n")[0][: min(120, MAX_SUBJECT_CHARS)],
        body=text,
        user_id=user_id,
        metadata={"via": "a2a"},
        channel="api",
    )
    return (await intake.open_ticket(call.acting, call.principal, new)).id


async def _known_ticket(call: Call, message: pb.Message) -> Ticket | None:
    """The caller's ticket that the message goes on with; None for a new one."""
    if not message.task_id and not message.context_id:
        return None
    if message.task_id:
        found = (await _look(call, _id(message.task_id))).ticket
        if message.context_id and message.context_id != str(found.session_id):
            raise errors.InvalidParamsError("This task belongs to another context.")
    else:
        found = (await _look(call, await _ticket_of_session(call, message.context_id))).ticket
    if tasks.state_of(found) in tasks.ENDED:
        if message.task_id:
            raise errors.UnsupportedOperationError("This task has ended: send the message without a taskId.")
        return None
    return found


async def _ticket_of_session(call: Call, context_id: str) -> UUID:
    try:
        found, _ = await session.read_session(call.desk, call.principal, _id(context_id), after_seq=2**31 - 1)
    except (Missing, errors.TaskNotFoundError):
        raise errors.InvalidParamsError("There is no such context: leave contextId out to begin one.") from None
    return found.ticket_id


def _text_of(message: pb.Message) -> str:
    """The words of a message; raises the protocol's error for what the desk cannot read."""
    said = []
    for part in message.parts:
        match part.WhichOneof("content"):
            case "text":
                said.append(part.text)
            case "data":
                said.append(str(MessageToDict(part.data)))
            case _:
                raise errors.ContentTypeNotSupportedError("Send text; files are attached through the API.")
    text = "\n\n".join(each for each in said if each.strip())
    if not text:
        raise Invalid("message.parts: say in text what is wanted.", code="invalid_request")
    return text


# --- looking ---


class _Seen:
    """A ticket of the caller with what it may see of the talk."""

    __slots__ = ("said", "session", "ticket")

    def __init__(self, found: Ticket, talk: Session | None, said: list[Message]) -> None:
        self.ticket, self.session, self.said = found, talk, said

    @property
    def mark(self) -> tuple[str, int]:
        """What makes an update worth telling: the state, and whether the desk said more."""
        return tasks.state_of(self.ticket), max((each.seq for each in self.said if each.role != "user"), default=0)


async def _look(call: Call, ticket_id: UUID) -> _Seen:
    found = await ticket.read_ticket(call.desk, call.principal, ticket_id)
    if found.user_id != call.principal.user_id:
        raise Missing("There is no such task of yours.", code="ticket_missing")
    if found.session_id is None:
        return _Seen(found, None, [])
    talk, said = await session.read_session(call.desk, call.principal, found.session_id)
    return _Seen(found, talk, [each for each in said if not each.is_internal])


async def _list(call: Call, params: pb.ListTasksRequest) -> pb.ListTasksResponse:
    state = pb.TaskState.Name(params.status) if params.status else None
    statuses = tasks.STATUSES.get(state) if state else None
    size = params.page_size if params.HasField("page_size") else 50
    if not 1 <= size <= _MOST_TASKS:
        raise errors.InvalidParamsError(f"pageSize is 1 to {_MOST_TASKS}.")
    after = params.status_timestamp_after.ToDatetime() if params.HasField("status_timestamp_after") else None
    wanted = TicketFilter(user_id=call.principal.user_id, status=statuses)
    found = await ticket.list_tickets(call.desk, call.principal, wanted, cursor=params.page_token or None, limit=size)
    shown = []
    for each in found.items:
        if state is not None and tasks.state_of(each) != state:
            continue
        if params.context_id and params.context_id != str(each.session_id):
            continue
        if after is not None and each.updated_at.replace(tzinfo=None) <= after:
            continue
        seen = await _look(call, each.id)
        made = tasks.task(seen.ticket, seen.said, history_length=_history(params) or 0)
        if not params.include_artifacts:
            made.pop("artifacts", None)
        shown.append(made)
    total = await delegation.count_own(call.desk, call.principal, statuses)
    listed = {"tasks": shown, "nextPageToken": found.next_cursor or "", "pageSize": size, "totalSize": total}
    made_list: pb.ListTasksResponse = ParseDict(listed, pb.ListTasksResponse())
    return made_list


async def _follow(call: Call, ticket_id: UUID, history: int | None) -> AsyncIterator[Event]:
    """The task, then each change of it, until it ends or somebody else has to act; ten minutes at most."""
    seen = await _look(call, ticket_id)
    yield _task(seen, history)
    ends = time.monotonic() + STREAM_SECONDS
    async with _woken(call, seen) as wake:
        while not _rests(seen) and time.monotonic() < ends:
            before = seen.mark
            await wake(_LOOK_SECONDS)
            seen = await _look(call, ticket_id)
            if seen.mark != before:
                yield ParseDict(tasks.update(seen.ticket, seen.said), pb.TaskStatusUpdateEvent())
    if tasks.state_of(seen.ticket) == tasks.COMPLETED:
        made = tasks.task(seen.ticket, seen.said)
        event = {name: made[name] for name in ("contextId",)} | {"taskId": made["id"], "lastChunk": True}
        yield ParseDict({**event, "artifact": made["artifacts"][0]}, pb.TaskArtifactUpdateEvent())


@asynccontextmanager
async def _woken(call: Call, seen: _Seen) -> AsyncIterator[Any]:
    """A way to sleep until something happened in the ticket, or some seconds passed."""
    async with call.gate.hub.viewing(call.principal, seen.session, ticket_id=seen.ticket.id) as viewer:

        async def wake(seconds: float) -> None:
            try:
                async with asyncio.timeout(seconds):
                    if await viewer.waiting.get() is None:
                        raise Unavailable("This process is ending. Ask again.", code="stream_ended", retry_after=1)
            except TimeoutError:
                return

        yield wake


def _rests(seen: _Seen) -> bool:
    return tasks.state_of(seen.ticket) in tasks.ENDED | tasks.INTERRUPTED


def _task(seen: _Seen, history: int | None) -> pb.Task:
    made: pb.Task = ParseDict(tasks.task(seen.ticket, seen.said, history_length=history), pb.Task())
    return made


def _history(asked: Any) -> int | None:
    return max(0, asked.history_length) if asked.HasField("history_length") else None


def _call(context: ServerCallContext) -> Call:
    call: Call = context.state["call"]
    return call


def _id(named: str) -> UUID:
    try:
        return UUID(named)
    except ValueError:
        raise errors.TaskNotFoundError from None


# --- rights, record and errors ---


@asynccontextmanager
async def _recorded(call: Call, tool: str, *, changes: bool = False) -> AsyncIterator[Trace]:
    """Check that the tool is delegated, and keep how it ended."""
    trace = Trace(tool, "a2a", changes, call.desk.clock())
    try:
        (await outside.delegated(call, RULES)).check(tool)
        yield trace
    except AsoeError as error:
        trace.outcome = error.code
        raise
    except errors.A2AError as error:
        trace.outcome = type(error).__name__
        raise
    except Exception:
        trace.outcome = "internal_error"
        raise
    finally:
        await outside.keep(call, trace)


@contextmanager
def _as_protocol() -> Iterator[None]:
    """Errors of ours as the protocol's; what nobody foresaw says nothing of itself."""
    try:
        yield
    except errors.A2AError:
        raise
    except Exception as error:
        problem = problems.problem_of(error)
        if problem is None:
            _log.error("a2a.failed", error=type(error).__name__)
            raise errors.InternalError("This is a fault of the service.") from None
        raise _translated(error, problem) from None


def _translated(error: Exception, problem: problems.Problem) -> errors.A2AError:
    about: dict[str, Any] = {"code": problem.code}
    if problem.errors:
        about["errors"] = [_field(each) for each in problem.errors[:20]]
    if isinstance(error, Missing):
        return errors.TaskNotFoundError(problem.detail, about)
    if isinstance(error, Invalid):
        return errors.InvalidParamsError(problem.detail, about)
    if isinstance(error, Denied | Conflict):
        return errors.UnsupportedOperationError(problem.detail, about)
    return errors.InternalError(problem.detail, about)


def _field(value: FieldProblem) -> dict[str, str]:
    return {"field": value.field, "message": value.problem}
