"""Whether somebody writes for another person or company, and in which words; rules, since sentence vectors miss most of it.

Only what says that the matter is another's counts: who merely mentions a colleague or a client writes for themselves.
"""

import re
from typing import Final

_KIN: Final = (
    r"(?:colleague|co-?worker|team-?mate|boss|manager|friend|neighbou?r|acquaintance|contractor|supplier|assistant|cousin|husband|wife|son|daughter|brother|sister|father|mother"
    r"|(?:sister|parent|partner|mother|client) (?:company|firm|organi[sz]ation)|subsidiary)"
)
_TRADE: Final = r"(?:partner|client|customer)"
_OTHER_ONE: Final = (
    r"(?:(?:an)?other (?:company|firm|organi[sz]ation|business|customer|person|user|account|workspace|shop)"
    r"|a different (?:company|firm|organi[sz]ation|business|person|user|account|workspace)|some(?:one|body) (?:else|at|from)|a third party)"
)
_WHOSE: Final = r"(?:my|our|a|an|another|one|one of (?:my|our))"
_PARTY: Final = rf"(?i:{_WHOSE} (?:[\w-]+ )?(?:{_KIN}|{_TRADE})s?(?: of (?:mine|ours))?\b(?! (?:of yours|lists?|data|records?|exports?|imports?|portals?|base|numbers?|orders?|tables?|files?|mails?)\b)|{_OTHER_ONE}\b|a company (?:we|i) \w+)"
_ONE: Final = rf"(?i:(?<!two of )(?:my|our|a|an|another|one of (?:my|our)) (?:[\w-]+ )?{_KIN}s?(?: of (?:mine|ours))?)"
_NAME: Final = r"(?!(?:I|We|You|It|The|Our|My|This|That|Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)(?:day)?\b)[A-Z][\w&.'’-]*(?: (?:&|and|of)? ?[A-Z0-9][\w&.'’-]*)*"
_US: Final = r"(?i:(?:my|our|the|all|us|me|everyone|everybody|this)\b(?: [\w-]+){0,3}? ?(?:team|department|company|office|staff|colleagues|firm|organi[sz]ation|group|crew|family|members|management|administrator|everyone|us|me)?\b)"
_BELONGINGS: Final = r"(?i:accounts?|workspaces?|log-?ins?|sign-?ins?|profile|subscription|organi[sz]ation|tenant)"
_I: Final = r"(?i:\b(?:i|we)(?:['’ ]?(?:m|am|re|are|do|ll|have))?\b)"
_TELLS: Final = (
    r"(?i:writ(?:e|ing)|contact(?:ing)?|report(?:ing)?|act(?:ing)?|speak(?:ing)?|(?:the|all) it|agency|consultant)"
)
_ASKS: Final = r"(?i:ask\w*|call\w*|request\w*|open\w*|responsible|in charge|help\w*|manage|administer)"
_TROUBLE: Final = r"(?i:(?:\w+ ){0,2}(?:problems?|troubles?|issues?|difficult\w+))"
_ALSO: Final = re.compile(r"\b(?:same|too|also|as well|either|like (?:me|us)|no such)\b", re.IGNORECASE)

_FOR_ANOTHER: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?i:\b(?:on behalf of|in the name of)) (?:{_PARTY}|(?!{_US}(?=\W|$)){_NAME})",
        rf"{_I}(?: \w+){{0,2}}? {_TELLS}(?: \w+){{0,5}}? (?i:for|of) (?:{_PARTY}|{_NAME})",
        rf"{_I}(?: \w+){{0,2}}? {_ASKS}(?: \w+){{0,5}}? (?i:for|of) {_PARTY}",
        rf"(?i:\b(?:we|i) (?:support|manage|administer|look after|take care of)) {_PARTY}|(?i:\b(?:we|i) support) {_NAME}",
        rf"(?i:\b{_BELONGINGS} (?:of|belonging to)) (?:{_PARTY}|{_NAME})|(?i:\b{_BELONGINGS} at) {_PARTY}",
        rf"{_PARTY}['’]s? (?:{_BELONGINGS}|(?i:company|shop|case|user))\b",
        r"(?i:\bnot (?:about|with|for|at) (?:me|us|myself|ourselves|my own|our own|my account|our account)\b)|(?i:, not (?:ours|us)\b)",
        r"(?i:\bnot (?:my|our)(?: own)? (?:account|log-?in|sign-?in|user|workspace|company) but\b)",
        r"(?i:\b(?:do not|don['’]t|haven['’]t|have not) (?:have|got)? ?(?:this|that|the) (?:problem|trouble|issue) myself\b)",
        rf"{_PARTY}[^.!?\n]{{0,40}}? (?i:asked|asks|begged|told|wants|requested) (?i:me|us) (?i:to) (?i:report|forward|pass|raise|open|get|relay|do)\b",
        rf"{_PARTY}[^.!?\n]{{0,40}}? (?i:asked|asks|begged|told|wants|requested) (?i:me|us) (?i:to) (?i:contact|write|tell|ask)[^.!?\n]{{0,30}} (?i:(?:about|for|regarding|because of) (?:their|his|her|them|him)\b)",
        rf"(?i:\b(?:this|it|that|(?:problem|issue|matter|trouble|ticket|case)) (?:is|concerns|affects|happens|happened|belongs|relates)(?: only)? ?(?:about|to|at|with|for)?) (?:{_ONE}|(?i:{_OTHER_ONE})|(?i:(?:a|one of our|our) {_TRADE}))\b",
        rf"(?i:\b(?:concerns|about)) {_NAME}, {_PARTY}",
        rf"(?i:\b(?:help|assist)) (?:{_PARTY}|{_NAME}),? (?i:a|an|one|our|with|they|who|because)\b",
        rf"(?i:\b(?:look after|take care of|act for|something for|look into|fix \w+ for)) (?:{_PARTY}|{_NAME}(?=,? (?i:a|an|one|our|they|who|because)\b|[’']s))",
        rf"(?i:\bsomething for) {_NAME}",
        r"(?i:\bi (?:do|write|ask|report|say) (?:it|this|that) for (?:him|her|them)\b)",
        # other languages
        r"(?i:\bim (?:namen|auftrag) (?:von|eines|einer|unser\w*)\b|\bau nom d|\bde la part d|\ben nombre de\b|\bde parte de\b)",
        r"(?i:\b(?:es geht|geht es) nicht um (?:mich|uns)\b|\bes betrifft nicht (?:mich|uns)\b|\bno se trata de (?:mi|mí|nosotros|nuestra)\b|\bil ne s['’]agit pas de (?:moi|nous)\b)",
        r"(?i:\bkonto (?:eines|einer|unseres|unserer|von)\b|\bcuenta de (?:un|una|otro|otra) (?:cliente|amig\w+|empresa|compañer\w+)\b|\bcompte d['’]un(?:e)? (?:autre|ami|client|collègue|partenaire)\b)",
    )
)
_IN_TROUBLE: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:{_PARTY}(?:['’]s? \w+)?)(?: [^\s.!?]+){{0,5}}? (?i:has|have|had|is having|have got|has got) {_TROUBLE}\b",
        rf"{_ONE}(?: [^\s.!?]+){{0,3}}? (?i:(?:cannot|can['’]?t|can not|could not|couldn['’]t) (?:log|sign|get in|access|enter|write|reach)|is locked|needs help|(?:lost|forgot) (?:his|her|their))\b",
        r"(?i:\b(?:mein|unser|eine?)\w* (?:kolleg\w+|freund\w*|bekannt\w+|partnerfirma|kund\w+|schwesterfirma)\b[^.!?\n]{0,40} (?:hat|haben) (?:\w+ ){0,2}(?:problem\w*|schwierigkeit\w*))",
        r"(?i:\b(?:mi|un|una|nuestr\w+) (?:compañer\w+|amig\w+|cliente|soci\w+)\b[^.!?\n]{0,40} (?:tiene|tienen) (?:\w+ ){0,2}problemas?)",
        r"(?i:\b(?:mon|ma|un|une|notre) (?:collègue|ami\w*|client\w*|partenaire)\b[^.!?\n]{0,40} (?:a|ont) (?:\w+ ){0,2}problèmes?)",
    )
)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_MOST: Final = 400


def for_another(text: str) -> str | None:
    """The sentence that says that somebody writes for somebody else; None when nothing does."""
    for sentence in _SENTENCE.split(text):
        said = sentence[:_MOST]
        if any(pattern.search(said) for pattern in _FOR_ANOTHER):
            return sentence
        if not _ALSO.search(said) and any(pattern.search(said) for pattern in _IN_TROUBLE):
            return sentence
    return None
