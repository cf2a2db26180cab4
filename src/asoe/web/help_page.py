"""The hosted help page of an organization: its published articles for clients, search, and the chat. Off unless it says so."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from asoe.api.widget_door import Front, too_often
from asoe.desk import knowledge as desk_knowledge
from asoe.domain.errors import Missing
from asoe.domain.knowledge import Article
from asoe.domain.policy import SUPPORTED_LANGUAGES
from asoe.store import knowledge
from asoe.web.door import Pages, Visit

pages = Pages()
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; frame-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
MOST: Final = 200
_LONGEST_QUESTION: Final = 300
WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "Help",
        "search": "Search the help",
        "hint": "What do you need help with?",
        "all": "All articles",
        "found": "Found",
        "nothing": "Nothing was found. Ask in the chat below: a person reads it if the assistant does not know.",
        "none": "There are no articles yet. Ask in the chat below.",
        "back": "All articles",
        "updated": "Updated",
        "missing": "Not found",
        "no_article": "There is no article at this address. It may have been renamed or withdrawn: search, or ask in the chat.",
        "no_help": "There is no help page at this address. Check the address, or go back to the page that led here.",
    },
    "de": {
        "title": "Hilfe",
        "search": "Hilfe durchsuchen",
        "hint": "Wobei brauchen Sie Hilfe?",
        "all": "Alle Artikel",
        "found": "Gefunden",
        "nothing": "Nichts gefunden. Fragen Sie unten im Chat: Ein Mensch liest es, wenn der Assistent nicht weiterweiß.",
        "none": "Es gibt noch keine Artikel. Fragen Sie unten im Chat.",
        "back": "Alle Artikel",
        "updated": "Stand",
        "missing": "Nicht gefunden",
        "no_article": "An dieser Adresse gibt es keinen Artikel. Vielleicht wurde er umbenannt oder zurückgezogen: Suchen Sie, oder fragen Sie im Chat.",
        "no_help": "An dieser Adresse gibt es keine Hilfeseite. Prüfen Sie die Adresse, oder gehen Sie zurück zur Seite, von der Sie kommen.",
    },
    "es": {
        "title": "Ayuda",
        "search": "Buscar en la ayuda",
        "hint": "¿En qué necesita ayuda?",
        "all": "Todos los artículos",
        "found": "Encontrado",
        "nothing": "No se ha encontrado nada. Pregunte en el chat: lo leerá una persona si el asistente no lo sabe.",
        "none": "Todavía no hay artículos. Pregunte en el chat.",
        "back": "Todos los artículos",
        "updated": "Actualizado",
        "missing": "No encontrado",
        "no_article": "No hay ningún artículo en esta dirección. Quizá se haya renombrado o retirado: busque, o pregunte en el chat.",
        "no_help": "No hay ninguna página de ayuda en esta dirección. Compruebe la dirección o vuelva a la página de la que viene.",
    },
    "fr": {
        "title": "Aide",
        "search": "Chercher dans l’aide",
        "hint": "De quoi avez-vous besoin ?",
        "all": "Tous les articles",
        "found": "Trouvé",
        "nothing": "Rien trouvé. Posez la question dans le chat : une personne la lira si l’assistant ne sait pas.",
        "none": "Il n’y a pas encore d’articles. Posez la question dans le chat.",
        "back": "Tous les articles",
        "updated": "Mis à jour",
        "missing": "Introuvable",
        "no_article": "Il n’y a pas d’article à cette adresse. Il a peut-être été renommé ou retiré : cherchez, ou posez la question dans le chat.",
        "no_help": "Il n’y a pas de page d’aide à cette adresse. Vérifiez l’adresse, ou revenez à la page d’où vous venez.",
    },
}


@pages.open("/help/{org}")
async def show_all(visit: Visit) -> Response:
    try:
        front = await _front(visit)
    except Missing:
        return _missing(visit, None)
    language = _language(visit, front)
    question = visit.text("q", most=_LONGEST_QUESTION).strip()
    listed = await desk_knowledge.list_articles(
        visit.desk, front.engine, status="published", audience="client", language=language, limit=MOST
    )
    found = await _search(visit, front, question, language) if question else []
    return _page(visit, front, language, "help.html", articles=listed.items, question=question, found=found)


@pages.open("/help/{org}/{article}")
async def show_article(visit: Visit) -> Response:
    front = None
    try:
        front = await _front(visit)
        language = _language(visit, front)
        article = await _article(visit, front, language)
    except Missing:
        return _missing(visit, front)
    return _page(visit, front, article.text.language, "help_article.html", article=article)


async def _front(visit: Visit) -> Front:
    front = await visit.site.gate.fronts.find(visit.request.path_params["org"])
    if not front.widget.shows_help:
        raise Missing("There is no help page at this address.", code="help_missing")
    return front


async def _search(visit: Visit, front: Front, question: str, language: str) -> list[Any]:
    """The best passage of each article that fits."""
    request = visit.request
    allowance = visit.site.gate.fronts.addresses.hit(request.client.host if request.client else "")
    if allowance.is_spent:
        raise too_often(allowance)
    passages = await desk_knowledge.search_articles(
        visit.desk, front.engine, question, language=language, audience="client", limit=24
    )
    best = {passage.slug: passage for passage in reversed(passages)}
    return [passage for passage in passages if best[passage.slug] is passage][:10]


async def _article(visit: Visit, front: Front, language: str) -> Article:
    """The published version in the reader's language, else in another one."""
    slug = visit.request.path_params["article"]
    async with visit.desk.database.org_reading(front.engine) as connection:
        for each in dict.fromkeys((language, front.language, *SUPPORTED_LANGUAGES)):
            found = await knowledge.find_by_slug(connection, front.engine.org_id, slug, each, published=True)
            if found is not None and found.status == "published" and found.text.audience == "client":
                return found
    raise Missing("There is no article at this address.", code="article_missing")


def _language(visit: Visit, front: Front | None) -> str:
    """Asked for, else the browser's, else the organization's."""
    given = [visit.text("lang", most=10)]
    given += [part.partition(";")[0].strip() for part in visit.request.headers.get("accept-language", "").split(",")]
    wanted = (each[:2].lower() for each in (*given, front.language if front else ""))
    return next((each for each in wanted if each in SUPPORTED_LANGUAGES), "en")


def _missing(visit: Visit, front: Front | None) -> Response:
    """Nothing is there: said to a client in the client's words, with a way on where there is one."""
    return _page(visit, front, _language(visit, front), "help_missing.html", 404)


def _page(
    visit: Visit, front: Front | None, language: str, template: str, status: int = 200, **values: Any
) -> Response:
    said = WORDS.get(language, WORDS["en"])
    response = visit.page(
        template,
        status,
        front=front,
        language=language,
        languages=SUPPORTED_LANGUAGES,
        said=said,
        home=f"/help/{front.slug}" if front else "",
        **values,
    )
    response.headers["Content-Security-Policy"] = CSP
    return response
