"""A2A push notifications: an outside agent hears of its own tasks and nobody else's, signed, at addresses that may be called."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from a2a.client.client import Client, ClientConfig
from a2a.client.client_factory import ClientFactory
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors
from standardwebhooks import Webhook
from tests.connectors.connector_cast import Stub, answer, stub

from asoe.app import App, open_connectors
from asoe.desk import delivery, journey, notification, people
from asoe.domain.organization import Principal
from asoe.store import deliveries, facts

TOKEN = "push-token-4711"
PUBLIC = "https://hooks.example/a2a?secret=1"


@pytest.fixture
async def receiver() -> AsyncIterator[Stub]:
    async with stub() as made:
        made.says("/push", {})
        yield made


@pytest.fixture
async def app(app: App) -> AsyncIterator[App]:
    connectors = open_connectors(app.database, app.secret_key, app.desk.engine_of)
    yield replace(app, desk=replace(app.desk, connectors=connectors))
    await connectors.close()


@pytest.fixture
def open_app(app: App) -> App:
    """One whose operator lets admins reach private addresses."""
    return replace(app, settings=app.settings.model_copy(update={"connector_private": True}))


@asynccontextmanager
async def calling(
    app: App, serve: Callable[[App], httpx.ASGITransport], owner: Principal, role: str
) -> AsyncIterator[Client]:
    token = (await people.create_key(app.desk, owner, name=f"pushed {uuid4().hex[:6]}", role=role)).token
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=serve(app), base_url="http://127.0.0.1", headers=headers) as carrier:
        factory = ClientFactory(ClientConfig(streaming=False, httpx_client=carrier))
        yield await factory.create_from_url("http://127.0.0.1")


def push(url: str, **more: Any) -> pb.TaskPushNotificationConfig:
    return pb.TaskPushNotificationConfig(url=url, token=TOKEN, **more)


async def send(client: Client, config: pb.TaskPushNotificationConfig | None = None) -> pb.Task:
    message = pb.Message(
        message_id=str(uuid4()), role=pb.ROLE_USER, parts=[pb.Part(text="Where is the invoice of May?")]
    )
    wanted = pb.SendMessageConfiguration(return_immediately=True, task_push_notification_config=config)
    async for event in client.send_message(pb.SendMessageRequest(message=message, configuration=wanted)):
        return event.task
    raise AssertionError("no answer")


async def deliver_all(app: App, org: Any) -> list[Any]:
    await notification.spread(app.desk)
    async with app.desk.database.org_reading(org.engine) as connection:
        found = await deliveries.list_newest(connection, org.org_id, channel="webhook")
    for each in found:
        await delivery.deliver(app.desk, org.org_id, each.id)
    async with app.desk.database.org_reading(org.engine) as connection:
        return await deliveries.list_newest(connection, org.org_id, channel="webhook")


async def test_each_change_is_told_once_and_signed(open_app: App, acme: Any, serve: Any, receiver: Stub):
    proof = pb.AuthenticationInfo(scheme="Bearer", credentials="for-the-receiver")
    async with calling(open_app, serve, acme.owner, "admin") as client:
        task = await send(client, push(f"{receiver.url}/push", authentication=proof))
        (told,) = await deliver_all(open_app, acme)
        assert (told.status, told.trouble) == ("delivered", None)
        await journey.carry_on(open_app.desk, acme.org_id, UUID(task.id))
        await deliver_all(open_app, acme)
    first, second = receiver.heard
    assert [each.json["task"]["status"]["state"] for each in receiver.heard] == [
        "TASK_STATE_SUBMITTED",
        "TASK_STATE_WORKING",
    ]
    assert all(each.json["task"]["id"] == task.id for each in receiver.heard)
    assert (first.headers["x-a2a-notification-token"], first.headers["authorization"]) == (
        TOKEN,
        "Bearer for-the-receiver",
    )
    assert first.headers["webhook-id"] != second.headers["webhook-id"]
    Webhook("whsec_" + b64encode(TOKEN.encode()).decode()).verify(first.body, dict(first.headers))


async def test_they_are_kept_read_and_removed_and_secrets_stay_inside(app: App, acme: Any, serve: Any):
    proof = pb.AuthenticationInfo(scheme="Bearer", credentials="for-the-receiver")
    async with calling(app, serve, acme.owner, "client") as client:
        task = await send(client)
        made = await client.create_task_push_notification_config(
            push(PUBLIC, task_id=task.id, id="one", authentication=proof)
        )
        assert (made.id, made.url, made.token, made.authentication.credentials) == ("one", PUBLIC, "", "")
        await client.create_task_push_notification_config(push(f"{PUBLIC}&2", task_id=task.id, id="one"))
        await client.create_task_push_notification_config(push(PUBLIC, task_id=task.id))
        listed = await client.list_task_push_notification_configs(
            pb.ListTaskPushNotificationConfigsRequest(task_id=task.id)
        )
        assert [each.url for each in listed.configs] == [f"{PUBLIC}&2", PUBLIC]
        wanted = pb.GetTaskPushNotificationConfigRequest(task_id=task.id, id="one")
        assert (await client.get_task_push_notification_config(wanted)).url == f"{PUBLIC}&2"
        gone = pb.DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="one")
        for _ in range(2):
            await client.delete_task_push_notification_config(gone)
        with pytest.raises(errors.TaskNotFoundError):
            await client.get_task_push_notification_config(wanted)
        for number in range(4):
            await client.create_task_push_notification_config(push(PUBLIC, task_id=task.id, id=str(number)))
        with pytest.raises(errors.UnsupportedOperationError):
            await client.create_task_push_notification_config(push(PUBLIC, task_id=task.id, id="one too many"))
    async with app.desk.database.org_reading(acme.engine) as connection:
        kinds = [fact.kind for fact in await facts.timeline(connection, acme.org_id, UUID(task.id))]
    assert (kinds.count("task_push.added"), kinds.count("task_push.removed")) == (7, 1)


async def test_nobody_has_anothers_task_told(app: App, acme: Any, globex: Any, serve: Any):
    async with calling(app, serve, acme.owner, "client") as client:
        task = await send(client, push(PUBLIC, id="mine"))
    for org, role in ((acme, "client"), (acme, "admin"), (globex, "admin")):
        async with calling(app, serve, org.owner, role) as other:
            with pytest.raises(errors.TaskNotFoundError):
                await other.create_task_push_notification_config(push(PUBLIC, task_id=task.id, id="mine"))
            with pytest.raises(errors.TaskNotFoundError):
                await other.list_task_push_notification_configs(
                    pb.ListTaskPushNotificationConfigsRequest(task_id=task.id)
                )
            with pytest.raises(errors.TaskNotFoundError):
                await other.delete_task_push_notification_config(
                    pb.DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
                )


@pytest.mark.parametrize(
    "config",
    [
        push("http://hooks.example/a2a"),
        push("ftp://hooks.example"),
        push(f"https://hooks.example/{'x' * 3000}"),
        pb.TaskPushNotificationConfig(url=PUBLIC, token="line\nbreak"),
        push(PUBLIC, authentication=pb.AuthenticationInfo(scheme="Bearer: x", credentials="y")),
        push(PUBLIC, id="x" * 200),
    ],
)
async def test_what_cannot_be_called_is_refused_before_there_is_a_ticket(app: App, acme: Any, serve: Any, config: Any):
    async with calling(app, serve, acme.owner, "client") as client:
        with pytest.raises(errors.InvalidParamsError):
            await send(client, config)
        assert (await client.list_tasks(pb.ListTasksRequest())).total_size == 0


async def test_an_address_inside_is_never_called(app: App, open_app: App, acme: Any, serve: Any, receiver: Stub):
    async with calling(open_app, serve, acme.owner, "client") as client:
        with pytest.raises(errors.InvalidParamsError):
            await send(client, push(f"{receiver.url}/push"))
        task = await send(client, push(f"https://127.0.0.1:{receiver.port}/push"))
    (told,) = await deliver_all(open_app, acme)
    assert (told.status, receiver.connections) == ("dead", 0)
    assert "private address" in told.trouble
    async with app.desk.database.org_reading(acme.engine) as connection:
        kinds = [fact.kind for fact in await facts.timeline(connection, acme.org_id, UUID(task.id))]
    assert "delivery.failed" not in kinds, "nobody of ours is called for it"


async def test_a_receiver_that_wants_no_more_and_a_revoked_key_hear_nothing(
    open_app: App, acme: Any, serve: Any, receiver: Stub
):
    receiver.on("/push", answer({}, 410))
    async with calling(open_app, serve, acme.owner, "admin") as client:
        task = await send(client, push(f"{receiver.url}/push"))
        await deliver_all(open_app, acme)
        listed = await client.list_task_push_notification_configs(
            pb.ListTaskPushNotificationConfigsRequest(task_id=task.id)
        )
        assert list(listed.configs) == []
        await client.create_task_push_notification_config(push(f"{receiver.url}/push", task_id=task.id))
        for each in await people.list_keys(open_app.desk, acme.owner):
            await people.revoke_key(open_app.desk, acme.owner, each.id)
    await journey.carry_on(open_app.desk, acme.org_id, UUID(task.id))
    found = await deliver_all(open_app, acme)
    assert {each.status for each in found} == {"dead"}
    assert len(receiver.heard) == 1
