"""Whether a whole sentence gives a permission that none of its fragments gives by itself: long, tangled or indirect ones do.

Stricter than the fragments' reader: what denies, doubts, asks, quotes or is said of somebody else anywhere in the sentence, conditions and
reasons apart, ends it. What the permission is about stays the topic's to tell.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal

from asoe.ai.slots.clauses import Fragment, plain_words
from asoe.ai.slots.permission import cue_of, denies, doubts, fails, is_offered, is_over
from asoe.ai.slots.topic import terms_of

_QUOTED: Final = re.compile(r"[\"“”„«»]")
# what stands apart from the main clause: a "no" in a reason, a condition or a comparison is about those
_ASIDE: Final = re.compile(
    r" (?:and |but |or |for )?(?:because|since|which|who|whom|whose|where|given that|seeing that|now that|although|though|even though|whatever|whoever|whether|as if"
    r"|if|in case|in the event|should (?:it|he|she|they|one|someone|somebody|there|any|the|that|this|my|our)|weil|obwohl|welche\w*|falls|wenn|sofern|parce que|puisque|bien que|si|s il|en caso|porque|ya que|aunque)\b"
)
_LATER: Final = re.compile(
    r"\b(?:i|we) (?:ll|will|shall) (?:go through|look through|sort|see to|clear|empty|tidy|delete|remove|restart|resume|rotate|handle|deal with|take care of)\b|\bover the (?:weekend|holidays)\b|\b(?:next (?:week|month|quarter|year|spring|summer|autumn|winter)|in (?:january|february|march|april|june|july|august|september|october|november|december)|some ?day|one day|at some (?:stage|point|time)|in the (?:future|new year)|at the earliest"
    r"|until (?!now|it (?:froze|stopped|died|crashed|hung|broke|got))|once (?:i|we|it|he|she|they|the|my|our)|as soon as|after (?:i|we) (?:have|ve)|first\b(?! row| time| of all)|would have (?!no\b)|would (?:not|never) have"
    r"|(?:i|we) (?:can|could|will|ll|shall|would|d|m going to|am going to|are going to|re going to|prefer to|want to|have to) [^|]*\b(?:ourselves|myself|by ourselves|on (?:our|my) own)|might be (?:able|willing|ok|okay|fine|possible|acceptable|an option)|(?:was|were) (?:pleased|glad|happy|relieved|content) (?:when|that|to)|(?:from|as of) (?:january|february|march|april|may|june|july|august|september|october|november|december|monday|tuesday|wednesday|thursday|friday|next|spring|summer|autumn|winter)\b|come (?:spring|summer|autumn|winter|monday)|(?:i|we) (?:would|d|did|will|ll) do (?:it|so|that|this) again|(?:we|i) (?:ll|will|shall) (?:see|decide|talk|think|tell|let)|see about|talk about|discuss|used to|in former times|(?:would|could|might) (?:agree|accept|consent|consider|be (?:acceptable|possible|nice|thinkable|an option|an idea|happy to (?:discuss|consider)))|could (?:imagine|live)|supposed to|ought to|meant to)\b"
)
_AFTERWARDS: Final = re.compile(
    r"(?:^|\|) (?:and |but |only |just )?after (?:the|our|my|this|that|it|christmas|easter|he|she|they|you|having)\b"
)
_WERE_IT_SO: Final = re.compile(
    r"^ (?:(?:and|but|well|oh) )?had (?:i|we|you|they|he|she|it|the|my|our|this|that)\b|\b(?:if|wish) (?:i|we|you|they|he|she|it|there|only) (?:had|were|was)\b"
    r"|\b(?:if|provided)(?: that)? (?!you (?!could|would|can))(?:\w+ ){1,6}?(?:were|was|knew|came|had|could|would|got|gave|promised?|went|guarante\w+)\b"
)
# what the same sentence goes on to keep out of it
_CONTRARY: Final = re.compile(
    r" (?:not|\w+n t|cannot|cant|wont|dont)\s*$|\b(?:just|only|simply|though|and|but|certainly) not (?:me|us|mine|ours|on|for|to|at|this|that|the|while|when|now|before|yet|here|again)\b|\b(?:keep|stay) (?:away|off|out)\b|\bhands off\b"
    r"|\bleave (?:me|us|it|this|that|them|the \w+) (?:out|off|alone|be|as)\b|\b(?:want|wants|wanted|need|needs|like|prefer) (?:it|them|that|this|the \w+) (?:to (?:stay|remain|be) )?(?:paused|stopped|halted|suspended|on hold|off|kept|left|untouched|unchanged)\b|\b(?:remains?|stays?) (?:on hold|as (?:it|they|he|she)|shut|off|put|where|like|paused|there)|\b(?:no|little|any) (?:wish|desire|intention|interest|inclination|reason|right|authority) (?:to|of|in|for)\b"
    r"|\b(?:is|are|was|were) (?:with|before|up to) (?:our|my|the) (?:lawyers?|legal|board|boss|management|director|works council)\b|^ (?:and |but )?only (?:our|my|the|a) \w+(?: \w+){0,2} (?:can|may|could|is|has|decides)\b|\b(?:is|are) not (?:for|up to) (?:me|us|him|her|them) to\b|\btomorrow\b|\b(?:at your (?:own )?(?:cost|expense|charge)|free of (?:charge|cost)|for free|gratis|at no (?:cost|charge|expense)|(?:without|no) (?:any |extra |further |additional )?(?:cost|costs|charge|charges)|on the house|(?:can ?not|can t|cant|couldn t|could not|unable to) (?:\w+ )?afford|too (?:expensive|dear|much))\b|\boff (?:our|my|the) (?:bill|invoice|account|card|contract|subscription)\b|\bthe other (?:ones?|run|job|key|file|export|workflow|bin|trash|account)\b|\byour own (?:bin|trash|account|cost|expense|pocket|bill|money|credits?)\b"
    r"|\b(?:(?:i|we|he|she|they) (?:am|are|is|m|re|s)|isn t|aren t|ain t) not (?:one|any|part) of (?:them|those|that)\b|\b(?:isn t|aren t|(?:am|is|are|m|s|re) not) the (?:one|ones|person|people|right person)\b"
)
_BUT_NOT: Final = re.compile(
    r"^ (?:(?:but|yet|though|however|and|only|just|please) )*(?:(?:please )?(?:do not|don t|dont|never|not|no one|nobody|nothing|(?:we|i|he|she|they|you) (?:do not|don t|will not|won t|would not|wouldn t|cannot|can t|must not|may not|shall not|should not|refuse|object))\b)"
)
_OPINION: Final = r"(?:say|says|said|states?|stated|thinks?|thought|believes?|believed|claims?|claimed|suggest\w*|recommend\w*|propos\w*|feels?|felt|holds?|would like|would prefer|wants?|wanted|asks?|asked|insists?|meant|means|hopes?|(?:is|was|are|were) (?:of the opinion|certain|convinced|sure|adamant|under the impression|told))"
_OTHERS_SAY: Final = re.compile(
    r"\bhad (?:once |already |previously |first )?(?:agreed|accepted|allowed|consented|permitted|approved|authori[sz]ed|ordered|wanted)\b|\bof yours\b|\bthe (?:other|next|last|previous|former) (?:\w+ ){1,3}?(?:allowed|allows|agreed|agrees|accepted|accepts|consented|permitted|wanted|wants)\b|"
    rf"\b(?:some|any)(?:one|body)(?: (?!i |we )\w+){{0,3}} {_OPINION}\b|\b(?:is|was) (?:untrue|not true|a lie|nonsense|not the case)\b|"
    r"\b(?:i|we) (?:am|was|were|are|have been|had been) (?:told|informed|advised|led to believe|assured|promised|offered|asked to (?:agree|accept|consent|allow))\b|\b(?:i|we) (?:replied|answered|said|told (?:you|them|him|her)) that\b|"
    rf"\b(?:our|my|the|a|an|your|one|some) (?:[\w-]+ ){{0,3}}?(?:officer|people|folks|department|lawyers?|engineers?|consultants?|partners?|owner|board|fellow|lady|gentleman|rep|representative|guys?|auditors?|accountants?|sales|marketing|accounting|tester|trainee|student|investors?|colleagues?|coworkers?|friends?|interns?|assistant|reseller|contractor|vendor|neighbou?r|relative)(?: (?:of|from|at|in) (?:yours?|ours?|the|my|your|\w+)(?: \w+){{0,2}}?)? {_OPINION}\b|"
    r"\b(?:our|my|your) (?:[\w-]+ ){1,2}?(?:says?|said|thinks?|thought|believes?|claims?|suggest\w*|recommend\w*|insists?)\b|"
    r"\b(?:your|the|some|a|an|my|our|his|her|their|another)? ?(?:bot|page|form|site|screen|banner|mail|letter|faq|hotline|documentation|docs|manual|help page|website|forum|article|salesman|reseller|contractor|vendor|intern|predecessor|subsidiary|supplier|consultant|competitor|provider)s?(?: \w+){0,3}? "
    r"(?:says?|said|states?|thinks?|thought|believes?|claims?|claimed|suggest\w*|recommend\w*|proposed|would|tells?|told|asks?|asked|wants?|wanted|bought|agrees?|agreed|ordered|offered|meant|means|used)\b"
)
_THEIRS: Final = re.compile(
    r"\b(?:some(?:one|body)|people|others|they|he|she|the (?:former|previous|last) \w+)(?: (?:else|here|there|from|at|in|on|of|our|your|the|my|\w+)){0,4}? (?:says?|said|thinks?|thought|believes?|claims?|claimed|suggest\w*|told|tells|wrote|ordered|bought|wants?|wanted|meant|asked|had asked|has already|already)\b"
    r"|\b(?:you|we|they) (?:already )?(?:emptied|resumed|restarted|rotated|replaced|deleted|charged|started|took|gave|removed) .*\b(?:last|ago|already|before|in (?:january|february|march|april|may|june|july|august|september|october|november|december)|yesterday|twice|ourselves)\b"
)
# turns of speech that hold a "no" and deny nothing
_HARMLESS: Final = re.compile(
    r"\b(?:not (?:a|one|any)(?: single)? (?:thing|bit|file|piece|scrap|item|line|row)(?: \w+){0,2} (?:among|in|of|inside) (?:it|them|there|these|those)[^|]*|nothing (?:in|inside|among)(?: (?:it|there|them|that))?(?: that| which)? (?:(?:we|i|anybody|anyone|any of us) )?(?:still )?(?:need|want|miss|use|matters)\w*(?: any ?more)?"
    r"|(?:nobody|no one|none of us|not one of us)(?: (?:here|in|on|at|of|our|this|the|else|team|office|company|side|us|\w+ing))* (?:(?:will|would|is going to|s going to|is gonna|ever) (?:ever |really )?(?:miss|mind|cry|shed|object|notice|care|complain|suffer|weep|ask for)[^|]*|(?:remembers?|minds|misses|cares|knows who)[^|]*|(?:can|could) do anything with[^|]*|(?:has )?(?:touched|opened|downloaded|read)[^|]*)"
    r"|nothing(?: (?:that )?(?:we|i) (?:would|d))? (?:shed|cry|weep)[^|]*|without (?:further|any further|more|a word|any|another) ?(?:ado|harm|delay|worry|word|question|fuss|objection|hesitation|regrets?|of complaint)[^|]*|without asking (?:me|us) again"
    r"|(?:of )?no (?:earthly |further |more |longer any |longer of any )?(?:use|value|interest|good|worth|importance|consequence|concern|difference)(?! (?:in|of)\b)(?: to (?:us|me|anybody|anyone|anything|them))?|no need to (?:ask|call|wait|find|track|worry|check|explain|write|know|look for|search)\b[^|]*"
    r"|no (?:quarrel|qualms|reservations|harm|bother|hurry|rush|wonder|doubt)\b|not (?:on purpose|deliberate\w*|intended|intentional\w*|meant|by intention)|never (?:meant|intended)[^|]*|no (?:longer|more) (?:with us|here|needed|necessary|required|exists?|used|valid|in use|of use|of any use)"
    r"|(?:do not|don t|doesn t|does not|dont) (?:need|use|require|want) (?:it|them|that|those|these|any of (?:it|them|that|those)|(?:the|its?|this|that) \w+)(?: \w+)? any ?(?:more|longer)|no longer (?:need|use|require|wants? to keep)(?: (?:it|them|that|those|these|any of (?:it|them)|(?:the|this|that) \w+))?|(?:do not|don t|doesn t|does not|dont) need any of (?:it|them|that|those)"
    r"|(?:do not|don t|doesn t|does not|dont|couldn t|could not) (?:care|miss|hurt|matter|bother|remember)(?: (?:us|me|less|it|them|about \w+|who|how|what|whether))*|(?:isn t|is not|it s not|not) (?:the|an|a) (?:issue|problem|question|point|matter|obstacle)(?: here)?"
    r"|nothing speaks against|(?:no|any) way back|no other way|not (?:only|just|least|to mention|surprisingly)|never mind|no matter (?:what|how|who|if|whether)[^|]*|can(?: ?not|t| t) wait|nothing to (?:fear|lose)[^|]*|would(?: not|n t) (?:hurt|harm)|(?:from|for|next to) nothing|whether or not|or not)\b"
)
_ORDERS: Final = re.compile(
    r"^ (?:(?:and|so|then|please|pls|kindly|just|simply|therefore|hence|thus|yes|sure|well|ok|okay|do|go|right|ahead|by all means|feel free to|be so good as to|better|now|but|to|you|bitte|por favor|merci de|dann|also|donc|entonces|einfach|in which case|for gods sake|at once|therefore) )*"
    r"(?:put|lift|take|remove|delete|erase|wipe|toss|bin|chuck|drop|discard|scrap|clear|purge|empty|flush|dump|destroy|dispose|restart|start|begin|run|launch|relaunch|rerun|redo|resume|unpause|un|reactivate|wake|switch|turn|get|let(?! me| us)|have|make|give|issue|create|generate"
    r"|regenerate|rotate|roll|replace|swap|exchange|change|renew|kill|burn|send|mail|write|charge|bill|invoice|deduct|add|book|sell|order|increase|raise|extend|consider|treat|regard|undo|withdraw|release|proceed|continue|throw|nuke|sacrifice|strike|gimme|out with|off with|away with|one"
    r"|starten|loschen|leeren|heben|schicken|erzeugen|buchen|setzen|erneuern|entfernen|relancez|remettez|ajoutez|effacez|videz|supprimez|changez|vuelvan|borren|vacien|eliminen|cambien|reinicien|anadan|agreguen|envien)\b"
)
# as much as an order: what is wished for may be something else
_WISHES: Final = re.compile(
    r"\b(?:(?:i|we) (?:d|would) (?:much |far |really |only )?(?:rather|sooner|prefer|love|like|welcome|appreciate|be (?:\w+ )?(?:pleased|glad|grateful|happy|delighted|obliged)|ask you|take|buy|purchase|order)"
    r"|sooner|(?:it s|it is|it d be|it would be|is|makes)? ?(?:better|easier|more sense|less trouble|best)(?= (?:for us )?(?:to|if|that|you|get|have|spend)\b)|shall require|(?:we|i) (?:order|take|nehmen))\b"
)
_WANTS: Final = re.compile(
    r"\b(?:(?:we|i) (?:(?:do|really|still) )?(?:need|want|require)|(?:wir|ich) (?:brauchen?|wollen|mochten?)|necesitamos|necesito|queremos|nous (?:voulons|souhaitons)|il nous faut)\b"
)
_PERMITS: Final = re.compile(
    r"\b(?:(?:is|are) (?:herewith |hereby )?(?:requested|asked|instructed|invited|entitled|empowered|free) to|(?:hereby|herewith|expressly|gladly|fully) (?:\w+ )?(?:confirm|declare|give|request|wish|ask|authori[sz]e|consent|agree)|confirm (?:the|an|our) order"
    r"|(?:in|has) our (?:consent|agreement|blessing|permission)|(?:can|may|could) (?:now |also |well |all |safely )*(?:be \w+|go|vanish)|(?:durfen?|konnen|kann|darf|pouvez|peut|pueden|puede) (?:\w+ )+)\b"
)
# telling, looking, keeping and undoing are not what a permission is asked for
_OTHER_ACT: Final = re.compile(
    r"(?:\b(?:please|pls|just|kindly|ahead|ahead and|free to|may|can|could|would you|will you|you to|better to|best to|sense to|prefer to|rather|simply|first|or|only)|^(?: (?:and|but|so|then|or|yes|well))?) (?:please |just |kindly |also |first |simply |at least )*"
    r"(?:tell|say|explain|check|look|inspect|see(?! to it)|verify|inform|clarify|describe|list|show|find out|let (?:me|us|him|her|them) (?:know|see|check|think|have a look)|answer|confirm|restore|recover|bring (?:\w+ ){1,3}?back|return|refund|reimburse|give (?:\w+ ){0,6}?back|have (?:it|them|that|this|things|everything) (?:paused|stopped|kept|left|untouched|unchanged|as)"
    r"|put back|leave|keep|pause|halt|suspend|stop|save|rescue|ask|wait|investigate|find|read|count|hold|retain|preserve|protect|back up|correct|rectify|reverse|revert|cancel|annul|let (?:\w+ ){1,2}(?:be|rest|alone|stay)|send (?:me|us) (?:a|an|the|what|all)\b(?! new| other| another| fresh| different| replacement| bill| invoice))\b"
)
_ASKED: Final = re.compile(
    r"\b(?:you (?:asked?|ask|want(?:ed)? to (?:know|hear)|would like to (?:know|hear)|wrote|raise|wish to know|inquired)|your (?:question|query|inquiry|colleague asked|last mail|request)|the (?:point|question) you raise|(?:young man|lady|gentleman|agent|colleague)(?: \w+){0,4} (?:wanted to know|asked))\b"
)
_YES: Final = re.compile(
    r" (?:(?:so )?here it is(?: in writing)? )?(?:yes|affirmative|granted|in favou?r|(?:the|our|my) (?:answer|reply)(?: \w+){0,4} (?:is|remains) (?:yes|affirmative|positive|in favou?r)|(?:that s|it s|that is|it is|a)(?: a)? yes(?: from (?:me|us|my side|our side))?(?: \w+){0,4}|we are in favou?r"
    r"|(?:he|she|you|it|they|we|i) (?:may|can|should|is|are|do|have it|has it|does)|(?:i|we) (?:do )?want (?:it|them|that)|permission is granted|we consent|i consent|you have (?:it|that|our permission|my permission))(?: please| indeed| of course| by all means)* "
)


_LONG_ENOUGH_TO_BE_ASIDE: Final = 5
_POINTS: Final = re.compile(
    r"\b(?:it|its|that|this|them|these|those|so|such|any|anything|nothing|everything|one|ones|either|neither|else|way|case|circumstances|here|there|yet|now|you|your|yours)\b"
)
_WILL: Final = re.compile(
    r"\b(?:want|wants|wish|wishes|agree\w*|accept\w*|allow\w*|consent\w*|permit\w*|permission|approv\w*|authori[sz]\w*|like|let|lets|touch\w*|do|pay|paid|need|needs|start\w*|stop\w*|change\w*|happen\w*|willing|ready|happy|fine|ok|okay|may|must|shall|should|please|refus\w*|declin\w*|object\w*|against|go|going|be|keep|leave|remove\w*|delete\w*|lose|lost)\b"
)
Giving = Literal["plainly", "by an order", "by a wish", ""]


def gives(
    fragments: Sequence[Fragment], following: Sequence[Fragment], language: str, *, matters: frozenset[str]
) -> Giving:
    """How one sentence gives a permission, of whatever; by an order ("lift it") only a likely one, since complaints hold orders, too.

    `following`: the next sentence's, which may be the answer to what this one repeats as asked, or hold back what it gives.
    `matters`: the telling words of all that may be permitted.
    """
    if not fragments or fragments[0].is_question or any(_QUOTED.search(fragment.text) for fragment in fragments):
        return ""
    main = main_of(fragments)
    told = " |".join(fragment.words for fragment in main)
    whole = "".join(fragment.words for fragment in fragments)
    if any(holds(fragment, language) for fragment in (*fragments, *following)):
        return ""
    if _ASKED.search(whole):
        return "plainly" if any(is_yes(fragment) for fragment in (*main, *following[:2])) else ""
    if is_withheld(fragments):
        return ""
    if _THEIRS.search(whole) or doubts(told) or any(_refuses(one, matters, language) for one in main):
        return ""
    if is_offered(_HARMLESS.sub(" ", told)):
        return ""
    found = ways(fragments, language)
    return next((way for way in ("plainly", "by an order", "by a wish") if way in found), "")


def is_kept_back(fragments: Sequence[Fragment], following: Sequence[Fragment], language: str) -> bool:
    """Whether anything but a "no" keeps a sentence from giving what it seems to: it asks, quotes, holds, doubts, or is of others."""
    told = " |".join(fragment.words for fragment in main_of(fragments))
    whole = "".join(fragment.words for fragment in fragments)
    return bool(
        fragments[0].is_question
        or any(_QUOTED.search(fragment.text) for fragment in fragments)
        or any(holds(fragment, language) for fragment in (*fragments, *following))
        or repeats_a_question(whole)
        or is_withheld(fragments)
        or is_theirs(whole)
        or doubts(told)
        or is_offered(_HARMLESS.sub(" ", told))
    )


def ways(fragments: Sequence[Fragment], language: str) -> set[Giving]:
    """How the parts of a sentence give, each for itself."""
    return {way for fragment in main_of(fragments) if (way := _way(fragment, language))}


def main_of(fragments: Sequence[Fragment]) -> list[Fragment]:
    """Without what is said aside; a complaint in passing refuses nothing."""
    return [fragment for fragment in fragments if not (_ASIDE.match(fragment.words) or fails(fragment.words))]


def without_harmless(words: str) -> str:
    """Without the turns of speech that hold a "no" and deny nothing."""
    return _HARMLESS.sub(" ", words)


def repeats_a_question(words: str) -> bool:
    return bool(_ASKED.search(words))


def is_theirs(words: str) -> bool:
    """Whether it is said, done or wanted by others."""
    return bool(_THEIRS.search(words))


def permits(words: str) -> bool:
    return bool(_PERMITS.search(words))


def orders(words: str) -> bool:
    return bool(_ORDERS.match(words))


def wishes(words: str) -> bool:
    return bool(_WISHES.search(words))


def _refuses(fragment: Fragment, matters: frozenset[str], language: str) -> bool:
    """A "no" in a part that names nothing of the matter, points at nothing and is no will of the client's is about something else."""
    words = _HARMLESS.sub(" ", fragment.words)
    if not denies(words, "und"):
        return False
    is_english = language == "en" and denies(words, "en") and not words.startswith(" no ")
    is_long = is_english and fragment.length >= _LONG_ENOUGH_TO_BE_ASIDE
    return not is_long or bool(_POINTS.search(words) or _WILL.search(words)) or bool(terms_of(words) & matters)


def is_withheld(fragments: Sequence[Fragment]) -> bool:
    """Whether a sentence says what might be, what was, or what somebody other than the client holds of it: no permission of now."""
    told = " |".join(fragment.words for fragment in fragments if not _ASIDE.match(fragment.words))
    whole = "".join(fragment.words for fragment in fragments)
    kept = " |".join(_HARMLESS.sub(" ", fragment.words) for fragment in fragments)
    return bool(
        _LATER.search(told)
        or _AFTERWARDS.search(told)
        or _OTHERS_SAY.search(whole)
        or _WERE_IT_SO.search(whole)
        or any(_CONTRARY.search(part) for part in kept.split("|"))
    )


def refuses_beside(fragments: Sequence[Fragment]) -> bool:
    """Whether a sentence gives and refuses in one breath: what of it, only somebody who knows all its matters can tell."""
    return any(_BUT_NOT.search(_HARMLESS.sub(" ", fragment.words)) for fragment in fragments)


def is_another_act(words: str) -> bool:
    """Whether what is allowed or ordered is to tell, to look, to keep or to undo."""
    return bool(_OTHER_ACT.search(words))


def is_yes(fragment: Fragment) -> bool:
    return any(_YES.fullmatch(plain_words(part)) for part in (fragment.text, fragment.text.rpartition(":")[2]))


def _way(fragment: Fragment, language: str) -> Giving:
    words = _HARMLESS.sub(" ", fragment.words)
    words = f" {' '.join(words.split())} "
    if is_over(words) or is_another_act(words):
        return ""
    cue = cue_of(words, language=language)
    if cue.is_answer and fragment.length == 1:
        return ""  # "ok so my bill is overdue"
    if (cue.polarity == "given" and not cue.is_weak) or _PERMITS.search(words):
        return "plainly"
    if (cue.polarity == "given" and not cue.is_wish) or _ORDERS.match(words) or _WISHES.search(words):
        return "by an order"
    return "by a wish" if cue.is_wish or _WANTS.search(words) else ""


def holds(fragment: Fragment, language: str) -> bool:
    """Whether it ties what is given to something else, or takes it back."""
    cue = cue_of(fragment.words, language=language)
    return cue.holds or cue.withdraws


def parts_of(fragments: Sequence[Fragment]) -> list[str]:
    """What to liken to the matter: each fragment, neighbors together, and the whole."""
    texts = [fragment.text for fragment in fragments]
    pairs = [f"{first}, {second}" for first, second in pairwise(texts)]
    return list(dict.fromkeys((*texts, *pairs, ", ".join(texts))))
