"""Reads what a client's reply does to the conversation: wants a person, was helped, was not helped, or none of these.

Conservative on purpose: a reply counts as `helped` only when nothing in it says otherwise, since that closes a ticket;
`wants_person` always wins, since nobody may be kept from one.
"""

import re
from typing import Final, Literal

from asoe.ai.features import words_of
from asoe.ai.language import SUPPORTED

Reply = Literal["wants_person", "helped", "did_not_help", "other"]

LONGEST_CONFIRMATION: Final = 40
"""Words: a longer reply says more than thanks and is never read as `helped`."""

# patterns over words joined by single spaces, lower case, without accents and apostrophes
_PERSON: Final = {
    "en": r"""\b(talk|speak|chat|connect me|put me through|transfer me|escalate( this)?|get me|give me)
        ( \w+){0,4} (a |an |the |some |real |live |actual |human |your )*(human|person|people|agent|representative|rep|operator|manager|supervisor|someone real|somebody real|human being|colleague)\b
        |\b(need|want|like|rather have|prefer)( \w+){0,3} (a |an |the |some |real |live |actual |human |your )*(human|person|agent|representative|rep|operator|someone real|somebody real|human being|real people)\b
        |\b(need|want|like) (a|your|the) (manager|supervisor)\b(?! to)
        |\b(human|real person|live agent|real human|an agent|operator) (please|pls|now)\b|^(agent|human|operator|representative|person)( please)?$
        |\b(call|ring|phone) me( back)?\b|\b(can|could|may|will) (someone|somebody) (please )?(call|ring|phone|contact)
        |\b(talk|speak|chat) (to|with) (someone|somebody|one of you)\b|\bnot a (bot|robot|machine)\b|\bno (bots|more bots|robots)\b
        |\bstop (the bot|sending me (bot|automat)\w*)|\bhand (me|this) over to\b
        |\b(pass|hand|give|forward) (this|it|that|me|my (case|ticket|request|matter|issue))( on| over)? to (a|an|one of|some|your|another) (\w+ ){0,2}(colleague|colleagues|person|people|human|humans|employee|staff|agent)\b
        |\b(ask|have|get|let) (someone|somebody|one of you|(a|an) (\w+ )?(colleague|employee|human|person|agent|member of (your )?(staff|team)))( of yours| of flesh and blood| real)?( to)? (pick (this|it) up|take (this|it)( on| over)|handle|deal with|answer|write|reply|respond|get in touch|contact)\b
        |\b(deal|dealing|speaking|talking) with (people|humans|a human|a person|real people)\b
        |\b(anyone|anybody|someone|somebody) (there |here )?(that |who )?(i|we) (can|could|may) (talk|speak) (to|with)\b
        |\b(anybody|anyone|somebody|someone) real\b|\b(a |phone )call from your\b|\b(one|some) of your (employees|staff|people|colleagues) (please )?(get|contact|call|answer|help|reply|write)\b
        |\ba word with (one of )?your\b|\b(talk|speak) (to|with) your (team|staff|support)\b|\bconnect me (to|with) (your )?(staff|team|support)\b
        |\b(don t|do not|dont) want to (talk|speak|chat) (to|with) (an? )?(ai|bot|robot|machine)\b
        |\btransfer me to\b|\b(schedule|arrange|book) a (phone )?call with\b|\bno ai( please| anymore)?$
        |\b(talk|talking|speak|speaking|chat|chatting) (to|with) (a |your )?(machine|software|bot|robot)s?\b""",
    "de": r"""\b(mit|an) (einem|einer|einen|eine|dem|der|ihrem|eurem|jemand\w*)?( \w+){0,2} ?(menschen|mensch|person|mitarbeiter\w*|kollegen|kollegin|berater\w*|ansprechpartner\w*|jemand\w*|chef\w*|vorgesetzten)\b( \w+){0,3} ?(sprechen|reden|verbinden|verbunden|schreiben|weiterleiten|telefonieren)?
        |\b(echten?|richtigen?|lebenden?|menschlichen?) (menschen|person|mitarbeiter\w*|ansprechpartner\w*|support)\b
        |\b(rufen sie mich|ruft mich|ruf mich|bitte um ruckruf|bitte ruckruf|ruckruf bitte|mich (bitte )?(zuruck)?anrufen|mich (bitte )?(zuruck)?rufen)\b
        |\b(mensch|mitarbeiter|menschen) bitte\b|\bkein(en)? (bot|roboter|chatbot)\b|\bjemanden sprechen\b
        |\b(echter|richtiger|lebender) mensch\b|\b(brauche|mochte|wunsche|hatte gern) (bitte )?einen ruckruf\b
        |\bpersonlichen ansprechpartner\b|\bmir (bitte )?(ein mensch|eine person) (antworten|schreiben|helfen)\b
        |\b(ihren|euren|den) (chef|vorgesetzten|teamleiter) sprechen\b|\b(mich|uns) (bitte )?telefonisch (kontaktieren|erreichen|zuruckrufen)\b
        |\bmit (einer |einem |ihrem )?(maschine|bot|roboter|computer|software) (reden|sprechen|schreiben|chatten)\b""",
    "es": r"""\b(hablar|hable|comunicarme|contactar|conectame|pasame|paseme|pasenme|pasarme|ponme|pongame|ponganme|atienda|atiendan|quiero|necesito)( \w+){0,3} (persona|personas|humano|humana|agente|operador|operadora|alguien|responsable|encargado|encargada|supervisor|supervisora|jefe|jefa|gerente|companero|companera)\b
        |\b(pasame|paseme|pasenme|ponme|pongame|ponganme) con\b|\b(persona|alguien) de verdad\b|\bme (pueden|puede|podrian|podria) llamar\b
        |\bno quiero (hablar|chatear) con (un |una )?(bot|robot|maquina)\b
        |\b(llamame|llamenme|llameme|llamadme|me llamen|me llame|me llameis|que alguien me llame)\b
        |\b(persona real|un humano|agente|operador) por favor\b|\bno (quiero|con) (un )?(robot|bot|maquina)\b""",
    "fr": r"""\b(parler|discuter|echanger|joindre|voir|transferez moi|passez moi|mettez moi|veux|voudrais|besoin)( \w+){0,4} (humain|humaine|personne|quelqu un|conseiller|conseillere|agent|operateur|responsable|interlocuteur|collegue)\b
        |\b(appelez moi|rappelez moi|rappeler moi|me rappeler|m appeler|etre rappele\w*|qu on me rappelle)\b
        |\b(vraie personne|un humain|conseiller|agent) (s il vous plait|svp|merci)\b|\bpas (un|de) (robot|bot|machine)\b
        |\b(il|elle) un humain\b|\bun humain (derriere|au bout|qui lit)\b
        |\ben (contact|relation) avec (un|une|quelqu un|votre) ?(personne|humain|conseiller|conseillere|agent|equipe)?\b
        |\bvrai(e)? (conseiller|conseillere|personne|humain|agent)\b
        |\b(discuter|parler|echanger) (avec|a) (un|une|votre) (machine|robot|bot|logiciel)\b
        |\b(transmettez|confiez|transferez)( \w+){0,3} (a|au) (un |une |votre )?(collegue|conseiller|conseillere|humain|responsable)\b""",
}
_UNHELPED: Final = {
    "en": r"""\b(not|didn t|doesn t|don t|did not|does not|isn t|wasn t|never|no|hasn t|haven t|won t|cant|can t|cannot|still|nothing|hardly|without)\b
        |\b(didnt|doesnt|isnt|wasnt|hasnt|havent|wont|dont|nope|unsolved|unresolved|useless|wrong|fail\w*|broken|same (error|problem|issue|thing)|again|but|however|unfortunately|except|only (partly|half)|almost|nearly|until|if only|would have|worse|in advance|please (?!(close|mark|consider)\b)\w+|(when|once|if) (this|it|that) (is|gets|works)|will be)\b""",
    "de": r"""\b(nicht|kein\w*|nie|niemals|nichts|immer noch|noch immer|weiterhin|leider|nutzlos|falsch|aber|trotzdem|jedoch|schon wieder|wieder nicht|nein|ne|nee|fehlschl\w*|klappt nur|nur teilweise|fast|ungelost|dasselbe|gleiche[rs]? (fehler|problem)|schlimmer|im voraus|bitte (?!(schlie\w+|das ticket|den fall)\b)\w+|sobald|wenn (es|das))\b""",
    "es": r"""\b(no|nunca|tampoco|nada|sigue|siguen|sigo|todavia|aun|pero|sin embargo|inutil|mal|falla|mismo (error|problema)|otra vez|de nuevo|casi|a medias|peor|sin (exito|resolver|solucionar)|de antemano|por adelantado|por favor (?!(cierr\w+|cerrar)\b)\w+|cuando)\b""",
    "fr": r"""\b(pas|non|jamais|rien|toujours|encore|mais|cependant|inutile|faux|echec|meme (erreur|probleme)|helas|malheureusement|presque|aucun\w*|sans succes|pire|a moitie|d avance|par avance|veuillez|(merci|prier|prie) de (?!(fermer|clore)\b)\w+|quand)\b""",
}
_HELPED: Final = {
    "en": r"""\b(that|this|it|which|everything|all|problem|issue|now|your (answer|tip|link))?( \w+){0,2} ?(help(ed|s)|work(s|ed)( now)?|did (it|the trick)|fixed|solved|resolved|sorted|cleared up|answers? my question)\b
        |\b(perfect|awesome|excellent|great|brilliant|lovely|thank you|thanks|thx|cheers|all good|all set|got it|it s ok now|working now|back in|i m in|case closed|you can close)\b""",
    "de": r"""\b(geholfen|hilft|hat geklappt|klappt|klappte|funktioniert|funktionierte|lauft( wieder| jetzt)?|geht( wieder| jetzt| nun)|gelost|erledigt|geschafft|beantwortet|alles (gut|klar|bestens)|perfekt|super|prima|wunderbar|danke\w*|vielen dank|besten dank|passt|kann geschlossen werden)\b""",
    "es": r"""\b(funciona|funciono|ya va|ya (esta|funciona|puedo|entre)|resuelto|solucionado|arreglado|me (sirvio|ayudo|ha servido|ha ayudado)|perfecto|genial|estupendo|gracias|listo|todo (bien|correcto)|pueden? cerrar\w*|aclarado)\b""",
    "fr": r"""\b(ca (marche|fonctionne|y est)|fonctionne|marche|resolu\w*|regle\w*|c est (bon|parfait|regle|resolu)|m a aide\w*|aide\w*|parfait|super|genial|merci|nickel|tout est (bon|ok|rentre dans l ordre)|vous pouvez (fermer|clore))\b""",
}
_EXPLICITLY_UNHELPED: Final = {
    "en": r"""\b(not|\w+n t|never|no|hardly|nothing|didnt|doesnt|dont|hasnt|isnt|wasnt)( \w+){0,5} (help\w*|work\w*|solv\w*|fix\w*|resolv\w*|sorted|answer\w*|change\w*|luck|success|use|good|better|it|difference)\b
        |\b(still|again)( \w+){0,4} (not|can t|cannot|cant|doesn t|doesnt|isn t|fail\w*|broken|stuck|missing|wrong|same|get|getting|happen\w*|waiting|locked|error)\b
        |\bsame (error|problem|issue|thing|result|message)\b|\b(not at all|useless|unhelpful|nope|unsolved|unresolved|no luck|made it worse)\b|^no( |$)(?!w)""",
    "de": r"""\b(nicht|nichts|kein\w*|nie)( \w+){0,4} (geholfen|hilft|geklappt|klappt|funktionier\w*|gelost|weiter\w*|gebracht|erledigt|erfolg|beantwortet|besser|verstanden|losung)\b
        |\b(hilft|klappt|geht|funktioniert|lauft|half|bringt|stimmt|klappte|funktionierte)( \w+){0,4} (nicht|nichts|nie)\b
        |\b(immer noch|noch immer|weiterhin|nach wie vor)\b|\b(gleiche[rs]?|selbe[rs]?|derselbe|dasselbe|dieselbe) (fehler|problem|meldung|ergebnis)?|\b(nutzlos|ungelost)\b|^(nein|ne|nee)\b""",
    "es": r"""\b(no|tampoco|nada)( \w+){0,4} (funcion\w*|ayud\w*|sirv\w*|resuel\w*|resolv\w*|solucion\w*|arregl\w*|va|cambi\w*|puedo|entra|deja)\b
        |\b(sigue|siguen|sigo|seguimos)( \w+){0,3}\b|\bmismo (error|problema|mensaje)\b|\b(todavia|aun) no\b|\b(inutil|sin exito)\b|^no\b(?! hay problema)""",
    "fr": r"""\b(pas|rien|jamais|aucun\w*)( \w+){0,4} (aide\w*|march\w*|fonctionn\w*|resolu\w*|regle\w*|chang\w*|utile|mieux|suffi\w*|repond\w*|bon)\b
        |\b(marche|fonctionne|aide|aidee?|resout|change|regle|resolu|va|suffit)( \w+){0,3} (pas|rien|jamais)\b
        |\b(toujours|encore) (pas|le|la|les|en|bloqu\w*|l|une?|impossible)\b|\bmeme (erreur|probleme|message|chose)\b|\b(inutile|sans succes)\b|^non\b""",
}
_NOT_WANTED: Final = re.compile(
    r"\b(no need|don t need|do not need|dont need|not necessary|no necesito|kein\w* (mensch|mitarbeiter)\w* (notig|mehr)|"
    r"brauche (ich )?kein\w*|pas besoin)\b( \w+){0,4} (human|person|agent|someone|somebody|call|mensch\w*|mitarbeiter\w*|"
    r"persona|agente|humano|humain|personne|conseiller)"
)
_QUESTION: Final = re.compile(r"\?")
_NOT_OWN_WORDS: Final = re.compile(
    r"\A\s*>|<[|/!a-z]|^\W*(?:assistant|system|user|human|agent|tool|engine|role)[^\w\s]|[{}]|\w=\w",
    re.IGNORECASE | re.MULTILINE,
)
"""Quotes, turns of others, markup and code: what stands in them is nobody's confirmation."""


def read_reply(text: str, language: str = "und") -> Reply:
    """What the reply means for the conversation; every supported language is tried when `language` is none of them."""
    words = " ".join(words_of(text))
    tongues = (language,) if language in SUPPORTED else SUPPORTED
    # English is understood everywhere: "agent please" is written in any language
    everywhere = tuple(dict.fromkeys((*tongues, "en")))
    if _says(_PERSON, everywhere, words) and not _NOT_WANTED.search(words):
        return "wants_person"
    if _says(_EXPLICITLY_UNHELPED, tongues, words):
        return "did_not_help"
    if (
        _says(_HELPED, everywhere, words)
        and not _says(_UNHELPED, SUPPORTED, words)
        and not _QUESTION.search(text)
        and not _NOT_OWN_WORDS.search(text)
        and len(words.split()) <= LONGEST_CONFIRMATION
    ):
        return "helped"
    return "other"


def _says(patterns: dict[str, str], languages: tuple[str, ...], words: str) -> bool:
    return any(_COMPILED[patterns[language]].search(words) for language in languages)


_COMPILED: Final = {
    pattern: re.compile(re.sub(r"\n\s*", "", pattern))
    for group in (_PERSON, _UNHELPED, _HELPED, _EXPLICITLY_UNHELPED)
    for pattern in group.values()
}
