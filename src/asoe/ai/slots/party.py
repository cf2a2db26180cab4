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
_ALSO: Final = re.compile(
    r"\b(?:same|too|also|as well|either|like (?:me|us)|no such|auch|gleiche[nrs]?|selben?|ebenfalls|même|aussi|également|mism[oa]|también)\b",
    re.IGNORECASE,
)

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
        # whoever stands between: a messenger, an outside administrator, somebody who keeps another's things
        r"(?i:\b(?:i(?:['’]m| am)|we(?:['’]re| are)) (?:only|just|merely|but) (?:the|a) messengers?\b|\bpass(?:ing)? (?:on|along) (?:a|the|this|their|his|her) (?:request|message|problem|report|complaint) (?:from|of|for)\b)",
        r"(?i:\b(?:for whom|whose (?:[\w-]+ ){1,3}?|(?:compan(?:y|ies)|firms?|clients?|customers?|shops?) (?:that |which |whom? )?)(?:we|i) (?:keep|do(?! not)|run|maintain|manage|administer|look after|take care of|advise|serve|support|host|represent|work for)\b)(?! (?:it|them|this|that)? ?(?:with|on|through|in) (?:you|your))",
        rf"(?i:\b(?:as|being) (?:the|an|a|their|his|her) (?:[\w-]+ )?(?:external|outside|freelance|contracted|hired|it)\b)(?: [\w-]+){{0,3}} (?i:(?:for|of|at) )?(?:{_PARTY}|{_NAME}|(?i:i\b|we\b))",
        r"(?i:\b(?:i|we) (?:do|handle|run|provide|manage|maintain) (?:the |their |his |her )?(?:support|it|books|computers|systems?|website|administration)\b(?: \w+)?(?: for)?) (?!(?i:our|my|the|this|that|your)\b)(?:[A-Z]|(?i:them\b|him\b|her\b))",
        r"(?i:\bi (?:do|handle|run|manage|maintain|look after) their (?:support|it|books|computers|systems?|website)\b)",
        r"(?i:\b(?:the|a) (?:lady|man|woman|gentleman|person|guy|girl|boy|one|user|company|firm) (?:(?:that|who|whom) )?(?:i am|i['’]m|i|we are|we['’]re) (?:writing|asking|calling|write|ask|speak(?:ing)?) (?:this )?for\b)",
        r"(?i:\bthe (?:person|one|user|man|woman|guy|lady|company)(?: (?:concerned|affected|in question|(?:who|whose|that)(?: [\w'’]+){1,6}))? (?:is|works|sits) (?:my|our|a|an|the|at|in) (?:[\w-]+ ){0,3}?(?:neighbou?r|friend|colleague|accountant|another|different|other|teammate|coworker|acquaintance|cousin))",
        r"(?i:\b(?:it|this|that) (?:isn['’]t|is not|['’]s not) (?:for )?(?:us|me|our own|mine|ours)\b(?! only| alone)|\bnot (?:my|our) own (?:account|log-?in|sign-?in|user|workspace|company)\b)",
        r"(?i:\b(?:it|this)(?:['’]s| is) (?:our|my) (?:[\w-]+ )?(?:client|customer|partner|supplier|colleague|teammate|coworker|neighbou?r|sister company|parent company|subsidiary)\b)(?! (?i:data|list|records?|export|portal))",
        rf"(?i:\b(?:it['’]s|it is|is) (?:their|his|her) {_BELONGINGS}\b|\b(?:please|kindly|could you|can you|would you|help|look|see|check|sort)\b(?: [\w'’-]+){{0,4}}? (?:at|into|to|on|after|with|about|for|their|his|her)? ?(?:their|his|her) (?:{_BELONGINGS}|tenant|user|case)\b)",
        rf"(?i:\b(?:because|since|as|that) (?:their|his|her) (?:{_BELONGINGS}|user|tenant) (?:is|was|has|does|can|got))|(?i:\b(?:their|his|her) (?:{_BELONGINGS}|user) (?:is|was|has been|got) (?:locked|blocked|stuck|suspended|broken|refused))",
        r"(?i:\b(?:he|she|they|who) (?:[\w'’-]+ ){0,8}?(?:asked|begged|wanted|told|requested) me (?:to|if i could) (?:see to|take care|do it|do this|write|get (?:hold|in touch)|tell|drop|contact|report|ask|handle))",
        rf"{_PARTY}[^.!?\n]{{0,60}}? (?i:(?:asked|asks|wanted|wants|begged) (?:me )?(?:to|if i could) (?:get hold|get in touch|tell you that (?:his|her|their)|drop|see to|have))",
        rf"(?i:\b{_WHOSE} (?:[\w-]+ )?{_KIN})\b[^.!?\n]{{0,50}}? (?i:uses? (?:your|you)\b)[^.!?\n]{{0,80}}? (?i:(?:his|her|their|not ours|not mine|account))",
        r"(?:Mr|Mrs|Ms|Dr)\.? [A-Z][\w-]+['’]s? (?i:user|account|log-?in|sign-?in|access|workspace)",
        r"(?i:\bact(?:ing)? as (?:the|an|a) [^.!?\n]{0,40}? for) (?!(?i:our|my|the|this)\b)[A-Z]",
        # other languages
        r"(?i:\bim (?:namen|auftrag) (?!(?:unseres|des|meines|unserer|der) (?:ganzen |gesamten )?(?:team|abteilung|buchhaltung|firma|büro|unternehmen)\w*)(?:von|eines|einer|unser\w*)\b|\bau nom d(?!e (?:toute )?(?:notre|l['’]) ?(?:équipe|entreprise|société|service))|\bde la part d|\ben nombre de(?! (?:todo )?(?:nuestro|mi) equipo)\b|\bde parte de(?! (?:todo )?(?:nuestro|mi) equipo)\b)",
        r"(?i:\bich (?:schreibe|frage|bitte|melde mich) (?:\w+ )?(?:für|wegen) (?:eine?[nrms]?|unsere?[nrms]?|meine?[nrms]?) (?:befreundete\w* |andere\w* )?(?:firma|kolleg\w+|freund\w*|bekannt\w+|kund\w+|partner\w*|tochterfirma|schwesterfirma)\b)",
        r"(?i:\b(?:kolleg\w+|freund\w*|bekannt\w+|kund\w+|nachbar\w*)\b[^.!?\n]{0,30}? (?:kommt|kann sich) nicht\b[^.!?\n]{0,60}?(?:sein|ihr|anmelden|einloggen))",
        r"(?i:\b(?:j['’]écris|je vous (?:écris|contacte)) pour (?:un|une|le compte d)[^.!?\n]{0,30}?(?:client|ami|collègue|société|entreprise|autre|partenaire)|\b(?:regarder|vérifier|voir) (?:leur|son) (?:compte|espace)\b)",
        r"(?i:\b(?:compañer\w+|amig\w+|client\w+|soci\w+)\b[^.!?\n]{0,60}? (?:no puede entrar|me (?:pidió|ha pedido))\b)",
        r"(?i:\bkonto (?:unserer|meiner) (?:tochter|schwester|partner)\w*)",
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
_SENTENCE: Final = re.compile(r"(?<=[.!?])(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)\s+|\n+")
_MOST: Final = 400


_OURS: Final = re.compile(
    rf"(?i:\b(?:on behalf of|in the name of|for|speak for|im namen|au nom de|en nombre de)) {_US}(?=\W|$)|(?i:\bim namen (?:des|unseres|der) \w+|\bau nom de (?:toute )?notre|\ben nombre de (?:todo )?(?:nuestro|mi))"
)


_OWN: Final = re.compile(
    r"\b(?:my|our) own\b|\b(?:mein|unser)\w* eigen\w*|\bmi propi[oa]\b|\bnuestr[oa] propi[oa]\b|\b(?:mon|notre|ma) propre\b",
    re.IGNORECASE,
)
_ANOTHER: Final = re.compile(
    rf"\b(?:{_KIN}s?|{_TRADE}s?|compan(?:y|ies)|firms?|business(?:es)?|organi[sz]ations?|some(?:one|body)|another|other|others|else|third|behalf|name of|person|people|they|them|their|theirs|he|him|his|she|her|hers|who(?:se|m)?|guys?|lad(?:y|ies)|wom[ae]n|m[ae]n|agency|consultants?|not (?:my|our|me|us|mine|ours|about me|about us)"
    r"|firma|kund\w*|kolleg\w*|freund\w*|bekannt\w*|nachbar\w*|ander\w*|jemand\w*|namen|auftrag|ihr\w*|sein\w*|ihm|empresa|client\w*|compa[ñn]er\w*|amig\w*|otr[oa]s?|alguien|nombre|parte|soci[oa]s?|entreprise|soci[ée]t[ée]|coll[èe]gue\w*|ami\w*|autre\w*|quelqu|nom|compte d|leur\w*)\b",
    re.IGNORECASE,
)
_NAMED: Final = re.compile(rf"(?<=[a-z,] ){_NAME}")


def is_our_own(sentence: str) -> bool:
    """Whether it is said for one's own people, of others beside oneself, or of nobody else at all."""
    if _ALSO.search(sentence) or _OURS.search(sentence):
        return True
    return bool(_OWN.search(sentence)) if _ANOTHER.search(sentence) else not _NAMED.search(sentence)


def for_another(text: str) -> str | None:
    """The sentence that says that somebody writes for somebody else; None when nothing does."""
    for sentence in _SENTENCE.split(text):
        said = sentence[:_MOST]
        if any(pattern.search(said) for pattern in _FOR_ANOTHER):
            return sentence
        if not _ALSO.search(said) and any(pattern.search(said) for pattern in _IN_TROUBLE):
            return sentence
    return None
