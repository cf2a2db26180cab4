"""Routes on the knowledge base: write, publish, retire, restore, read and search articles."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from asoe.api import answers, encoding
from asoe.api.door import Door, call_of
from asoe.api.encoding import page, reply
from asoe.api.schemas import ArticleChange, ArticleIn, ArticleSearch, ArticleStatus, Audience, Language, RestoreIn
from asoe.desk import knowledge
from asoe.domain.errors import FieldProblem, Invalid, Missing
from asoe.domain.knowledge import ArticleText

router = APIRouter(route_class=Door, tags=["articles"])
_ONE: Final = "/api/articles/{article_id}"
_MAX_VERSION: Final = 2**31 - 1


@router.get("/api/articles", response_model=answers.ArticlePage)
async def list_articles(
    request: Request,
    *,
    status: ArticleStatus | None = None,
    language: Language | None = None,
    audience: Audience | None = None,
    product: Annotated[str | None, Query(max_length=120)] = None,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """By slug and language, without bodies; clients see what is published for them."""
    call = call_of(request)
    found = await knowledge.list_articles(
        call.desk,
        call.principal,
        status=status,
        language=language,
        audience=audience,
        product=product,
        cursor=None if cursor is None else _read_cursor(cursor),
        limit=limit,
    )
    following = None if found.next_cursor is None else encoding.write_cursor(json.dumps(found.next_cursor))
    return reply(page([encoding.article(each) for each in found.items], following))


@router.post("/api/articles", status_code=201, response_model=answers.ArticleOut)
async def write_article(request: Request, body: ArticleIn) -> Response:
    """A draft. With a slug and language that exist: `article_changed`; change that article instead."""
    call = call_of(request)
    text = ArticleText(body.title, body.slug, body.language, body.body, body.product, body.audience, tuple(body.tags))
    return reply(
        encoding.article(await knowledge.save_article(call.acting, call.principal, text, expected_version=0)), 201
    )


@router.post("/api/articles/search", response_model=answers.PassagePage)
async def search_articles(request: Request, body: ArticleSearch) -> Response:
    """The passages that fit a question best; reads only, so an Idempotency-Key changes nothing."""
    call = call_of(request)
    found = await knowledge.search_articles(
        call.desk, call.principal, body.question, language=body.language, product=body.product, limit=body.limit
    )
    return reply(page([encoding.passage(each) for each in found], None))


@router.get(_ONE, response_model=answers.ArticleOut)
async def get_article(
    request: Request, article_id: UUID, version: Annotated[int | None, Query(ge=1, le=_MAX_VERSION)] = None
) -> Response:
    """Staff read the newest version or the one asked for, clients the published one."""
    call = call_of(request)
    wanted = None if call.principal.is_client else version
    return reply(encoding.article(await knowledge.read_article(call.desk, call.principal, article_id, version=wanted)))


@router.patch(_ONE, response_model=answers.ArticleOut)
async def change_article(request: Request, article_id: UUID, body: ArticleChange) -> Response:
    """Write a further version; readers see it once it is published."""
    call = call_of(request)
    standing = await knowledge.read_article(call.desk, call.principal, article_id)
    given = {name: getattr(body, name) for name in body.model_fields_set}
    if "tags" in given:
        given["tags"] = tuple(given["tags"] or ())
    if wrong := sorted(name for name, value in given.items() if value is None and name != "product"):
        raise Invalid(
            f"{', '.join(wrong)}: null is no value; leave it out to keep what is there.",
            code="invalid_request",
            fields=tuple(FieldProblem(name, "may not be null") for name in wrong),
        )
    text = replace(standing.text, **given)
    changed = await knowledge.save_article(call.desk, call.principal, text, expected_version=standing.version)
    return reply(encoding.article(changed))


@router.get(_ONE + "/versions", response_model=answers.ArticleVersionPage)
async def list_versions(request: Request, article_id: UUID) -> Response:
    """Newest first."""
    call = call_of(request)
    found = await knowledge.list_versions(call.desk, call.principal, article_id)
    if not found:
        raise Missing(f"There is no article {article_id} here, or it is not yours to see.", code="article_missing")
    return reply(page([encoding.article_version(each) for each in found], None))


@router.post(_ONE + "/publish", response_model=answers.ArticleOut)
async def publish_article(
    request: Request, article_id: UUID, version: Annotated[int | None, Query(ge=1, le=_MAX_VERSION)] = None
) -> Response:
    """Show a version (the newest by default) to readers; it can be found once it is indexed."""
    call = call_of(request)
    return reply(
        encoding.article(await knowledge.publish_article(call.acting, call.principal, article_id, version=version))
    )


@router.post(_ONE + "/retire", response_model=answers.ArticleOut)
async def retire_article(request: Request, article_id: UUID) -> Response:
    """Take it from readers and search at once; its versions stay."""
    call = call_of(request)
    return reply(encoding.article(await knowledge.retire_article(call.acting, call.principal, article_id)))


@router.post(_ONE + "/restore", response_model=answers.ArticleOut)
async def restore_version(request: Request, article_id: UUID, body: RestoreIn) -> Response:
    """Write an old version again as the newest and publish it."""
    call = call_of(request)
    return reply(
        encoding.article(await knowledge.restore_version(call.acting, call.principal, article_id, body.version))
    )


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        slug, language = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(slug, str) and isinstance(language, str) and "\x00" not in slug + language:
            return slug, language
    except (ValueError, TypeError, RecursionError):
        pass
    raise Invalid(
        "cursor: this is not a cursor we handed out; leave it away to start from the first.",
        code="bad_cursor",
        fields=(FieldProblem("cursor", "not a cursor of this list"),),
    )
