"""`asoe knowledge`: articles of an organization. Acts as the organization's owner."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, identifier, run, say, show, show_one

app = typer.Typer(help="Import, list, publish, retire and search articles.", no_args_is_help=True)
_Article = Annotated[str, typer.Argument(help="Slug, title or id of the article (asoe knowledge list).")]
_InLanguage = Annotated[
    str | None, typer.Option("--language", help="en, de, es or fr: which one, when it is there in several.")
]


@app.command("import")
def import_articles(
    *,
    folder: Annotated[Path, typer.Argument(help="Folder with Markdown files and YAML front matter.")],
    draft: Annotated[bool, typer.Option("--draft", help="Do not publish.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Make them findable here and now, without a worker.")] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Save every .md file below a folder; one wrong file and nothing is written. Repeating changes nothing."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.cli.demo import bars
        from asoe.desk import knowledge as desk_knowledge

        with bars() as advance:
            report = await desk_knowledge.import_folder(
                desk, owner, folder, lambda done, total: advance("articles", done, total), publish_now=not draft
            )
            if wait and not draft:
                await _index_here(desk, owner, advance)
        return {name: list(getattr(report, name)) for name in ("created", "updated", "unchanged")}

    report = run(acting(work, org, data_dir))
    if as_json:
        show_one(report, as_json=True)
        return
    say(", ".join(f"{len(slugs)} {name}" for name, slugs in report.items()) + ".")
    if not wait and not draft and (report["created"] or report["updated"]):
        say("They can be found as soon as a worker (asoe serve) has read them; --wait does it at once.")


@app.command("list")
def list_articles(
    *,
    status: Annotated[str | None, typer.Option(help="draft, published or retired.")] = None,
    language: Annotated[str | None, typer.Option(help="en, de, es or fr.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10000)] = 1000,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List articles by slug."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import knowledge as desk_knowledge

        found: list[Any] = []
        cursor = None
        while len(found) < limit:
            page = await desk_knowledge.list_articles(
                desk, owner, status=status, language=language, cursor=cursor, limit=min(200, limit - len(found))
            )
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        return [
            {
                "slug": one.text.slug,
                "language": one.text.language,
                "title": one.text.title,
                "status": one.status,
                "version": one.version,
                "audience": one.text.audience,
                "id": one.id,
            }
            for one in found
        ]

    columns = ("slug", "language", "title", "status", "version", "audience", "id")
    show(run(acting(work, org, data_dir)), columns, as_json=as_json, empty="No articles: asoe knowledge import FOLDER")


@app.command()
def publish(
    *, article: _Article, language: _InLanguage = None, org: OrgOption = None, data_dir: DataDir = None
) -> None:
    """Show the newest version of an article to its readers."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import knowledge as desk_knowledge

        article_id = await desk_knowledge.find_article(desk, owner, article, language=language)
        return await desk_knowledge.publish_article(desk, owner, article_id)

    say(f"Published: {run(acting(work, org, data_dir)).text.slug}.")


@app.command()
def retire(*, article: _Article, language: _InLanguage = None, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Take an article from readers and search at once; its versions stay."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import knowledge as desk_knowledge

        article_id = await desk_knowledge.find_article(desk, owner, article, language=language)
        return await desk_knowledge.retire_article(desk, owner, article_id)

    say(f"Retired: {run(acting(work, org, data_dir)).text.slug}.")


@app.command()
def gaps(
    *,
    days: Annotated[int, typer.Option(min=1, max=365, help="How many days to look back.")] = 30,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List questions that no article answered, grouped; those of most clients first."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import gap

        return await gap.find_gaps(desk, owner, days=days)

    found = run(acting(work, org, data_dir))
    show(
        found, ("title", "clients", "tickets", "newest_at"), as_json=as_json, empty="Every question found its article."
    )


@app.command()
def draft(
    ticket: Annotated[str, typer.Argument(help="Id of a ticket that a person has answered.")],
    *,
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Make a draft of an article out of what people answered on a ticket; read it before you publish it."""
    wanted = identifier(ticket, of="ticket")

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import gap

        return await gap.draft_article(desk, owner, wanted)

    say(f"A draft: {run(acting(work, org, data_dir)).text.slug}. Nobody finds it before it is published.")


@app.command()
def search(
    *,
    question: Annotated[str, typer.Argument(help="The question as a client would put it.")],
    language: Annotated[str, typer.Option(help="Language of the question.")] = "en",
    audience: Annotated[str, typer.Option(help="client or agent: whose articles.")] = "client",
    limit: Annotated[int, typer.Option(min=1, max=50)] = 5,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show the passages that fit a question best, as the engine would find them."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import knowledge as desk_knowledge

        return await desk_knowledge.search_articles(
            desk, owner, question, language=language, audience=audience, limit=limit
        )

    found = run(acting(work, org, data_dir))
    if as_json:
        show(found, (), as_json=True)
        return
    rows = [
        {
            "score": f"{one.score:.3f}",
            "article": f"{one.slug} ({one.language})",
            "passage": f"{one.heading}: {one.text[:200]}",
        }
        for one in found
    ]
    show(rows, ("score", "article", "passage"), as_json=False, empty="Nothing fits.")


async def _index_here(desk: Any, owner: Any, advance: Any) -> None:
    from asoe.desk import knowledge as desk_knowledge
    from asoe.store import knowledge as store_knowledge

    async with desk.database.org_reading(owner) as connection:
        waiting = list(await store_knowledge.unindexed(connection, owner.org_id))
    for number, article_id in enumerate(waiting, 1):
        await desk_knowledge.index_article(desk, owner.org_id, article_id)
        advance("index", number, len(waiting))
