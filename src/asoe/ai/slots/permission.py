"""Whether a fragment gives, refuses or withholds a permission; of what, it does not know.

Rules, not a model: negation is what sentence vectors are worst at, and a permission that was not given must not be read.
Patterns run over `clauses.plain_words`: lower case, without accents, apostrophes as spaces.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from asoe.ai.language import SUPPORTED
from asoe.ai.slots.amounts import NUMBER_WORDS

Polarity = Literal["given", "refused", "unsure", "none"]


@dataclass(frozen=True, slots=True)
class Cue:
    """`is_answer`: says nothing but yes or no. `is_open`: somebody asked or offered, and the answer is to come.

    `is_weak`: a wish or a polite request, which counts only
    for what stands right `after` it.
    `is_wish`: the client wants it, which is a consent only where the examples say that a wish is one.
    `holds`: ties what was or will be given to something else ("ask me first", "if it is free"). `withdraws`: takes back.
    """

    polarity: Polarity
    is_answer: bool = False
    is_open: bool = False
    is_weak: bool = False
    is_wish: bool = False
    holds: bool = False
    withdraws: bool = False
    after: str = ""


LONGEST: Final = 600
_NEAR: Final = 4
_NUMBER: Final = rf"(?:\d+(?:\.\d+)?|{'|'.join(NUMBER_WORDS)})"
# limits sound like refusals ("not more than two"); they are none
_LIMIT: Final = re.compile(
    rf"\b(?:(?:no|not|never|but not|nicht|nichts|pas|sin|ohne)(?: (?:a|any|go|going|anything|to))* (?:more|mehr|mas|plus|over|above|beyond|exceed\w*|uber|superar|pasar|depasser)"
    rf"(?: (?:than|als|de|que))?(?=(?: a| an)? {_NUMBER}| that| this| it\b)"
    rf"|nothing (?:beyond|above|over|more)(?: than)?(?: that| this| it)?|not a (?:gig|gb|cent|byte) more"
    rf"|at (?:the )?(?:very )?most|up to|bis zu|hochstens|maximal|hasta|jusqu a|au maximum|como maximo|maximum|max|tops|limit|limited to|no less)\b"
)
_EVEN_IF: Final = re.compile(r"\b(?:also|even|auch|selbst|aunque|incluso|meme) (?:if|when|wenn|si)\b")
_UP_TO_ONLY: Final = re.compile(
    r"\b(?:as long as|provided|providing|on condition)(?: that)?(?: it s| it is| its| that s)? (?=upto_)"
)
# in a condition, a negation is about the condition
_CONDITION: Final = re.compile(
    r"\b(?:if|in case(?: of| that)?|whenever|when|once|should (?=(?:it|he|she|they|my|his|her|their|the|this|that|i|you|we|there)\b)"
    r"|falls|wenn|sofern|si|s il|en caso de(?: que)?|cuando|au cas ou|en cas de|lorsque|quand)\b"
    r"(?: (?!(?:can|may|please|then|go|feel|ok|okay|fine|allowed|yes|no|durfen|konnen|bitte|pueden|puede|pouvez|asked)\b|(?:you|we|they|support|agents?) (?:can|may|could|are)\b|(?:i|he|she|they|we) (?:d|would|ll|will) )[\w.$€]+)*"
)
_HARMLESS_CONDITION: Final = (
    r"(?:it s |it is |that s |that is |this is |really |absolutely |strictly )*(?:necessary|needed|required|need be|you (?:must|need|have)|"
    r"(?:it|this|that) helps|my data|i run|i ran|i have|i ve|used up|that gets)"
)
_STRINGS_ATTACHED: Final = re.compile(
    r"\b(?:if|(?:as|so) long as|provided|providing|only if|only when|on condition|unless|sofern|nur wenn|siempre que|solo si|a condition|seulement si|tant que)\b"
    rf"(?! (?:that )?{_HARMLESS_CONDITION})(?=.*\b(?:free|cost|costs|price|charge|charged|charges|cheap\w*|reasonable|less|under|agree\w*|approv\w*|confirm\w*|"
    r"say|says|writing|written|lost|lose|kostenlos|kostet|preis|gratis|gratuit\w*|precio|prix|husband|wife|boss|manager)\b)"
    r"|\b(?:(?:as|so) long as|provided|providing|on condition|unless|siempre que|tant que|vorausgesetzt|pourvu)\b(?! (?:that )?(?:it (?:is|s) |its )?"
    + _HARMLESS_CONDITION
    + ")"
)
_GIVING: Final = re.compile(
    r"\b(?:(?:do|does|would|did|will|won)(?: not|n t| t| nt|nt)?(?: really)? (?:not )?mind(?=\b)|(?:doesn|wouldn|don|didn) t (?:really )?mind|not mind\w*|dont mind|wouldnt mind"
    r"|no (?:problem|problems|objections?|issues?|worries|concerns?|qualms)(?: at all)?(?= (?:if|with|to|about|for|in|from|on)\b| $)"
    r"|(?:not|isn t|aren t|wasn t|wouldn t be)(?: be)?(?: at all)? (?:opposed|against|averse|a problem|an issue)|nothing against|nothing (?:speaks|stands) against|(?:have |had |with )?no (?:quarrel|reservations?|misgivings|fears?) (?:with|about|regarding|at)|no objections?|(?:don|doesn|wouldn|won) t object|not object\w*"
    r"|(?:don t|do not|dont|needn t|no need to) (?:hesitate|be shy|wait|ask)|why not|no need to ask"
    r"|kein problem|nichts dagegen|keine einwande|no (?:hay|tengo|tiene|habria) (?:\w+ )?(?:problema|inconveniente|objecion)"
    r"|pas (?:de|d) (?:probleme|souci|inconvenient|objection)|aucun(?:e)? (?:probleme|objection|inconvenient))\b"
)
_REFUSING: Final = re.compile(
    r"\b(?:rather not|prefers? not|no thanks|no thank you|thanks but no|forget (?:it|that|about)|out of (?:the )?question|under no circumstances|no way|not happening"
    r"|auf keinen fall|keinesfalls|en ningun caso|ni hablar|en aucun cas|hors de question|absolutely not|certainly not|definitely not|of course not"
    r"|not (?:be )?(?:ok|okay|fine|allowed|permitted|approved|acceptable|accepted|authori[sz]ed|agreed|wanted|wished|welcome|interested|happy|willing|ready|comfortable|open|prepared|keen)"
    r"|big problem|hands off|off the table|not on the table|no chance|not an option|no appetite|no go|not what (?:he|she|they|i) \w+|spare (?:me|him|her|them|us)|not interested|no interest)\b"
)
_KEEPING: Final = re.compile(
    r"\b(?:keep|keeps|keeping|kept|stay|stays|staying|remain\w*|stick\w*|insist\w* on|(?:leave|left|leaving|have|like)(?: \w+){0,4} (?:left )?(?:alone|as|unchanged|untouched)|leaves? (?:my|the|his|her|their)|unchanged|untouched"
    r"|as (?:it|they) (?:is|are)|behalt\w*|bleib\w*|mantener|conservar|quedarme|quedarse|garder|conserver|rester)\b"
)
_WITHDRAWING: Final = re.compile(
    r"\b(?:withdr[ae]w\w*|revok\w*|retract\w*|rescind\w*|(?:took|takes?|taken|taking) (?:it |that |this |it all )?back|no longer (?:wants?|wish\w*|agrees?|consents?|accepts?|allows?|permits?|authori[sz]es?|approves?|willing|ok|okay|fine|interested|happy)|no longer(?= $)|zuruckgezogen|widerruf\w*|retir[oa]\w*|retire)\b"
)
_OPEN: Final = re.compile(
    r"\b(?:(?:was|were|been|got|is) (?:offered|asked|proposed|suggested)|(?:offered|asked|proposed|suggested) (?:him|her|them|me|the|to|about|if|whether|how)|when asked|asked about"
    r"|(?:wants?|want|like|likes) to (?:know|hear|see|understand)|asks? (?:if|whether|how|what|about)|wonder\w*|how much|how many|(?:some(?:one|body)|friend|colleague|you|they|agent|neighbou?r|forum) (?:\w+ )?(?:told|offered|suggested)"
    r"|angeboten|gefragt|wie ?viel|was kostet|cuanto|combien)\b"
)
_HESITATING: Final = re.compile(
    r"\b(?:not (?:quite |really |yet )?(?:sure|certain|decided)|unsure|uncertain|undecided|maybe|perhaps|possibly|might (?!have|be\b)|(?:may|could) (?:agree|accept|consider|be willing|consent|change (?:his|her|my) mind)"
    r"|consider(?:s|ing)?\b(?! this| it (?:ok|done|given|granted|approved))|think(?:s|ing)? (?:about|it over|over)|unknown|unclear|pending|without (?:first )?(?:written|telling|asking)|tbd|n a|open question|undetermined"
    r"|(?:not|never)(?: yet| been| ever)* (?:asked|discussed|obtained|answered|decided|confirmed|known|mentioned|specified|clear|clarified|recorded|given|provided|stated|received|covered|addressed|brought up|on file|available|applicable)"
    r"|(?:hasn t|has not|haven t|have not|didn t|did not|doesn t|does not|don t|do not|could not|couldn t)(?: yet| even)* (?:answer\w*|decide\w*|say|said|mention\w*|respond\w*|repl\w*|specif\w*|comment\w*|state\w*|confirm\w*|have (?:his|her|their|the)|know|ask\w*|discuss\w*|obtain\w*|reach\w*|get (?:his|her|their|the))"
    r"|(?:said|says|mentioned|stated) nothing|nothing (?:was )?(?:said|mentioned|stated)|no (?:answer|decision|word|information|reply|response|statement|mention|record)(?= |$)"
    r"|can ?not be (?:reached|asked|contacted)|depend\w*|later|at another time|some other time|next time|(?:will|ll) (?:pay|do|buy|add|change|handle|settle) (?!for (?:it|them|that|this)\b|(?:it |them |that )?(?:again|twice|double|once more|a second time|another time)\b)"
    r"|only (?:change|add|pay|buy|do|act|proceed) \w+ \w*\b(?= ?if)|only if|only when"
    r"|nicht sicher|vielleicht|eventuell|uberleg\w*|quizas?|tal vez|no se si|no estoy segur\w*|peut etre|pas sur|reflech\w*)\b"
)
_HOLDING: Final = re.compile(
    r"\b(?:"
    r"only after|not (?:before|until|unless)|before (?:i|he|she|they|we|any|knowing|doing|that)|until (?:i|he|she|they|we|after|then|told)"
    r"|(?:ask|call|ring|contact|tell|phone|check with|consult|inform|speak to|talk to)(?:s|ing)? (?:me|him|her|them|my \w+|his \w+|her \w+|us) (?:first|before|beforehand|up front)|first (?:find|check|ask|tell|call|talk|see)"
    r"|(?:needs?|requires?|awaiting|waiting for|wait for|subject to|pending) (?:the |an? |his |her |their |some )*(?:approval|permission|consent|confirmation|authori[sz]ation|to (?:ask|check|talk|discuss|think|confirm))|has to (?:sign|ask|check|agree|approve|confirm|decide)|(?:let|lets) (?:you|us|me) know|call\w* (?:\w+ )?back"
    r"|(?<!the )hold off|hold on|wait with|no wait|wait|not now|not yet|not today|not right now|not this time|for now|nicht sofort|erst nach|despues de|apres avoir)\b"
)
_DENIED: Final = r"(?:not|[a-z]+n t|cannot|never|no longer|nothing|nobody|none|not a single \w+)(?: (?:ever|yet|even|really|actually|always))?"
_DENIED_OF_IT: Final = (
    r"(?:does not|doesn t|has not|hasn t|have not|haven t|did not|didn t|is not|isn t|are not|aren t|never|no longer|nothing|nobody)"
    r"(?: (?:ever|yet|even|really|actually|always))?"
)
_VAIN: Final = r"(?:arriv\w*|reach\w*|show(?:s|n|ed|ing)? up|turn(?:s|ed)? up|appear\w*|land(?:s|ed)?|comes?|came|coming|gets? (?:here|through)|happens?|happened)"
# what fails to happen is complained of, not refused
_FAILING: Final = re.compile(
    rf"\b(?:{_DENIED} {_VAIN}|no (?:\w+ ){{1,3}}?(?:ever |yet )?{_VAIN}"
    r"|(?:i|we) (?:never|no longer|do not|don t|did not|didn t|have not|haven t)(?: \w+)? (?:get|got|gotten|receive|received|see|saw|seen|hear|heard)(?! why\b)"
    r"|(?:it|that|this|which|the \w+|they|just) (?:just |simply |still )?(?:won t|will not|wouldn t) (?:just |even )?(?:end|finish|stop|start|load|open|work|move|go away|go through|run|let (?:me|us)|take (?:me|us|it|them|any)|respond|react|update)"
    r"|(?:shows?|showed|sees?|finds?) (?:no|not a single|nothing)|no \w+ (?:for|since|in) (?:ages|hours|days|weeks|months|over|more than|two|three|\d+)|nothing (?:has |was |is )?(?:been )?chang\w+"
    r"|neither (?:\w+ ){1,3}nor \w+"
    r"|(?:ich|wir) (?:bekomm\w*|erhalt\w*|seh\w*|find\w*)(?: \w+){0,2} (?:kein\w*|nicht|nichts)|(?:ich|wir) (?:kann|konnen|komm\w*)(?: \w+){0,5} (?:nicht|niemand\w*|kein\w*|nie|nichts)(?! zustimm\w*| einverstanden)"
    r"|(?:geht|gehen|funktionier\w*|lauft|laufen|startet|starten|ladt|laden|kommt|kommen|lasst sich|lassen sich|bewegt sich|stimmt|wird)(?: \w+){0,4} nicht(?: \w+){0,2}|kein\w* \w+ (?:mehr )?(?:frei|verfugbar|gespeichert|an|da)|auch nicht (?:im|in|unter)"
    r"|no (?:recib\w+|lleg\w+|encuentr\w+|funcion\w+|carg\w+|aparec\w+|inici\w+|arranc\w+|avanz\w+)|no (?:puedo|podemos) (?:entrar|subir|iniciar|acceder|encontrar|descargar|enviar|ver)|tampoco en"
    r"|(?:ne|n) (?:recois|recoit|recevons|arriv\w+|fonctionn\w+|trouv\w+|march\w+|demarr\w+|bouge\w*|avance\w*) (?:plus|pas|aucun\w*|rien)|meme pas (?:dans|en)|rien ne (?:peut|marche|fonctionne|arrive)"
    rf"|{_DENIED_OF_IT} (?:starts?|started|starting|runs?|ran|running|mov(?:e|es|ed|ing)|finish\w*|load\w*|open(?:s|ed|ing)?|deliver(?:s|ed|ing)?|happens?|happened|updat\w*"
    r"|get(?:s|ting)? (?:through|ready|there|here)|works?(?! for (?:me|us|him|her|them))|worked|working)"
    r"|(?<!to )(?:get|gets|receive|receives|see|sees|find|finds) (?:no|nothing|none)|(?:got|brought|received|delivered)(?: (?:us|me))? (?:no|nothing)"
    r"|no (?:free|available|open) \w+|no \w+ (?:left|available|remaining)|not even in \w+|(?:cannot|can not|can t|could not|couldn t) be (?:verified|opened|reached|loaded|found|stored|saved|read|sent|delivered|downloaded|uploaded|shown|displayed)"
    r"|(?:i|we) (?:cannot|can not|can t|could not|couldn t) (?:even |ever |really )?(?:share|open|upload|download|log|sign|see|find|reach|send|save|invite|access|get in|connect|load|work)|(?:with|by) (?:a|an|the) (?:message|notice|note|error|warning) .*)\b"
)
# who can do without something, or holds that nothing of it matters, neither gives nor refuses anything by that
_OF_NO_USE: Final = re.compile(
    r"\b(?:(?:can|could|may) (?:easily |well |perfectly )?(?:do|live|manage|get by) without|(?:nothing|not anything)(?: \w+){0,3}? (?:of (?:any )?(?:value|use|worth|interest|importance)|valuable|important|(?:i|we) (?:still |would )?(?:need|miss|want))"
    r"|(?:no|not of any|without) (?:value|use|worth|importance)(?: to us)?)\b"
)
# what stands in the client's power "may go", "can end": said of the thing instead of to us
_MAY_GO: Final = re.compile(
    r" (?:the|that|this|these|those|it|they|our|my|its|everything|all|any)(?: (?!which|who|that)\w+){0,5} (?:may|can) (?:now |also |then |all |safely )*"
    r"(?:go|end|die|start|begin|stop|continue|resume|run|vanish|disappear|restart|proceed)\b"
)
_OWN_WISH: Final = re.compile(
    r"\b(?:i|we) (?:do |really |still )?(?:want|wish)(?! (?:you|to (?:know|see|ask|hear|understand|talk|speak))\b)"
)
# what a plan, a phone or somebody else allows is no permission of the client's
_OTHERS: Final = re.compile(
    r"\b(?:(?:plan|contract|tariff|subscription|package|phone|app|apps|settings?|system|website|which|that|it|bank|card|law|policy|vpn|wifi|router) (?:\w+ )?(?:allow|permit|grant|accept|approv)\w*"
    r"|i (?:have|had|got|need) (?:the |your |a )?permission|i (?:am|m|was) (?:not )?allowed|(?:allow(?:s|ed)?|permit(?:s|ted)?|lets?) (?:me|myself)"
    r"|(?:am|is|are|m|s|re) (?:i|it|this|that) (?:ok|okay|fine)|i (?:am|m) (?:ok|okay|fine|happy|ready|pleased|glad)(?= $| with being| to (?:wait|answer|help|provide|talk|be ))|ok so|okay so|(?:works?|worked|working) fine)\b"
)
_SOMEONE_ELSE: Final = re.compile(
    r"\b(?:husband|wife|son|daughter|boss|friend|colleague|mother|father|mum|mom|dad|brother|sister|neighbou?r|roommate|partner|someone|somebody|assistant|shop|store|salesman)"
    r"(?: \w+)? (?:said|says|told|tells|thinks?|thought|claims?|suggest\w*|mentioned|offered|promised|agreed|agrees|allow\w*)\b"
)
_THIRD_PERSON: Final = re.compile(
    r"^ (?:(?:and|but|because) )?(?:a|an|my|his|her|their|one|some|the|another) (?:\w+ )?(?:friend|colleague|neighbou?r|brother|sister|son|daughter|husband|wife|mother|father|boss|partner|roommate)\b"
)
_STALE: Final = re.compile(
    r"\b(?:last (?:week|month|year|time|quarter|summer|winter|bill)|yesterday|ago|previously|back then|letzte[nrs]? (?:woche|monat|jahr)|gestern|ayer|el (?:mes|ano) pasado|hier|le mois dernier)\b"
)
_NO: Final = {
    "en": r"not|[a-z]+n t|no|never|nobody|no one|none|neither|nor|without|refus\w*|declin\w*|den(?:y|ies|ied|ying)|reject\w*|against|oppos\w*|object\w*|forbid\w*|forbade|prohibit\w*"
    r"|disallow\w*|disagree\w*|disapprov\w*|unwilling|reluctant|can t|cannot|cant|dont|doesnt|wont|isnt|nope|nah"
    r"|stop|avoid\w*|refrain\w*|nothing|ruled out|rules? out|vetoe?\w*|turn\w* down|off limits|unauthori[sz]ed|except|excluded|excluding",
    "de": r"nichts?|kein\w*|nie|niemals|nein|lehn\w*|ablehn\w*|abgelehnt|verweiger\w*|untersag\w*|verbiet\w*|verboten|ohne|weder",
    "es": r"no|nunca|tampoco|ni|ningun\w*|rechaz\w*|nieg\w*|sin|prohib\w*|nada",
    "fr": r"ne|pas|aucun\w*|jamais|refus\w*|non|ni|sans|interdi\w*",
}
_YES: Final = {
    "en": r"yes|yep|yeah|sure|ok|okay|okayed|oked|alright|all right|fine|absolutely|definitely|certainly|of course|gladly|agree(?:s|d|able|ment)?|accept(?:s|ed|able)?|consent\w*|approv\w*|authori[sz]\w*"
    r"|permit(?:s|ted|ting)?|permission|allow(?:s|ed|ing)?|grant(?:s|ed)?|willing\w*|happy|glad|pleased|content|comfortable|cool with|good with|open to|open for|ready|prepared|go ahead|feel free|green light"
    r"|blessing|the nod|thumbs up|welcome to|at liberty|live with|on board|okays|signed off on|has cleared|gave us leave|be my guest|by all means|permissible|confirmed|confirms|endors\w*|in favou?r|sanction(?:s|ed)|up for|game for|keen|clear(?:s|ed) (?:us|you|to|for)|re cleared|(?:go|goes|going) (?:for|along|with)|(?:will|ll|would|d) (?:take|buy|pay|purchase|accept|be (?:ok|okay|fine|happy|willing|glad))|(?:will|ll|would) pay for (?:it|them|that|this)|no qualms about|(?:he|she|they|i) (?:would|will)(?= $)"
    r"|(?:you|we|us|agents?|support|company|operator|they|team|staff) (?:can|may|could)|(?:can|may) be (?!reached|seen|heard)\w+|given_",
    "de": r"ja|gern\w*|einverstanden|zustimm\w*|stimm\w*(?: \w+)* zu|zugestimmt|erlaub\w*|genehmig\w*|gestatte\w*|durft?(?:en|et|e|t)?|darf(?= man| der| die| support)|konnen sie|sie konnen|ihr konnt|konnt ihr|in ordnung|bitte|akzeptier\w*|bereit|freigegeben|freigabe",
    "es": r"acept\w*|autori[zc]\w*|permit\w*|permiso|de acuerdo|adelante|pued(?:e|en|es)|vale|conforme|dispuest\w*|esta bien|por favor",
    "fr": r"oui|d accord|accept\w*|autoris\w*|permet\w*|permis\w*|pouvez|peuvent|volontiers|allez y|pret\w*|consen\w*|svp|s il vous plait|veuillez",
}
_WISH: Final = re.compile(
    r"\b(?:please|pls|kindly|(?<!i )(?<!who )wants?|would like|d like|wish(?:es|ed)?|requests?|requested|(?:would|d) (?:appreciate|welcome|love|prefer)|(?:asks?|asked|instructs?|instructed|tells?|told|wants?|lets?|let|needs?) (?:us|you|that we)|asks? for|asked for|do it|just"
    r"|(?:can|could|would|will) you|opts? for|opted for|in for|chose|chooses|happily|should (?:just )?(?:be (?!free|available|there|here|enough|possible|able)|(?!be\b))|(?:allows?|authori[sz]es?)|quiero|quisiera|mochte|wunscht|je (?:veux|souhaite)|souhaite)\b"
)
_LEADING: Final = re.compile(
    r"^ (?:(?:and|but|so(?! long as)|then|well|actually|oh|it is my \w+|und|aber|y|pero|et|mais) )+(?=\S)"
)
_ANSWER_YES: Final = re.compile(
    r" (?:(?:customer|client|caller|user|agent|answer|reply|he|she|they|i) )?(?:(?:said|says|say|answered|replied) )?(?:y|yes|yep|yeah|sure|ok|okay|fine|approved|granted|given|accepted|agreed|allowed|permitted|absolutely|definitely|of course|go ahead|gladly|ja|gern|gerne|si|oui|d accord|vale"
    r"|fine (?:by|with) (?:me|him|her|us|them)|yes please|yes for|yes of course|sure thing|no problem|given_|that s (?:fine|ok|okay|alright)|it s (?:fine|ok|okay|alright)|(?:is |are )?(?:fine|ok|okay|alright|good))(?: (?:upto_|by me|with me|please|thanks))* "
)
_ANSWER_NO: Final = re.compile(
    r" (?:(?:customer|client|caller|user|agent|answer|reply|he|she|they|i) )?(?:(?:said|says|say|answered|replied) )?(?:n|no|nope|nah|never|refused|declined|denied|rejected|not (?:allowed|given|granted|approved|permitted|ok|okay)|refused_|none|nein|non|no gracias|non merci|nein danke|that s not (?:ok|okay|fine))(?: (?:please|thanks|thank you|way|upto_))* "
)
_OWN_QUESTION: Final = re.compile(
    r"\b(?:(?:can|could|should|may|must|shall|do|would) (?:i|we|my|the|this|that|it)|do you|did you|have you|are you|is (?:it|there|that|this)|what|why|when|how|who|which|darf ich|kann ich|puedo|est ce)\b"
)


# "would you charge us if …?", "can you do this rather than that?" want to know, or want something else
_TIED: Final = re.compile(
    r"\b(?:if (?!(?:need\w*|necessary|required|possible|that|this|it s|it is|you (?:can|could|like|please|would|will|must|have))\b)|unless|rather than|instead of|without|or (?:not|is|do|does|are|would|will|can))\b"
)


def cue_of(words: str, *, is_question: bool = False, language: str = "und") -> Cue:
    """What the fragment says about permission. `words` as `plain_words` gives them."""
    if len(words) > LONGEST:
        return Cue("unsure")  # nobody says yes in so many words; and patterns stay cheap
    words = _LEADING.sub(" ", words)
    if _ANSWER_NO.fullmatch(words) and not is_question:
        return Cue("refused", is_answer=True)
    if _ANSWER_YES.fullmatch(words) and not is_question:
        return Cue("given", is_answer=True)
    words = _EVEN_IF.sub(" ", words)
    text = _UP_TO_ONLY.sub(" ", _LIMIT.sub("upto_", words))
    if _STRINGS_ATTACHED.search(text):
        return Cue("unsure", holds=True)
    text = _REFUSING.sub("refused_", _GIVING.sub("given_", text))
    if _WITHDRAWING.search(text):
        return Cue("refused", withdraws=True)
    text = _OF_NO_USE.sub(" ", _OTHERS.sub(" ", text))
    unconditional = f" {' '.join(_CONDITION.sub(' ', text).split())} "
    if "refused_" not in text and fails(unconditional):
        text, unconditional = _FAILING.sub(" ", text), _FAILING.sub(" ", unconditional)
        if is_question or not _says(_YES, language, unconditional):
            return Cue("none", is_open=is_question)
    if is_question:
        return Cue("none", is_open=True) if _TIED.search(text) else _question(unconditional)
    if "refused_" in text:
        return Cue("refused", is_answer=bool(_ANSWER_NO.fullmatch(text)))
    if _SOMEONE_ELSE.search(text):
        return Cue("none", is_open=True)
    if _OPEN.search(text):
        after = text[_OPEN.search(text).end() :]  # type: ignore[union-attr]
        if _says(_NO, language, after) and re.search(r" (?:said|says|answered|replied|was|is) ", after):
            return Cue("refused")
        return Cue("none", is_open=True)
    if _HOLDING.search(text):
        return Cue("unsure", holds=True)
    if _HESITATING.search(text):
        return Cue("unsure")
    if _KEEPING.search(unconditional):
        return Cue("refused", is_weak=True)
    if _says(_NO, language, unconditional):
        return Cue(
            "refused", is_answer=bool(_ANSWER_NO.fullmatch(text)), is_weak=not _says(_YES, language, unconditional)
        )
    if _says(_YES, language, unconditional) or re.match(
        r" (?:may|can) (?!i\b|we\b|he\b|she\b|you\b|they\b|not\b)", unconditional
    ):
        return Cue("unsure") if _STALE.search(text) else Cue("given", is_answer=bool(_ANSWER_YES.fullmatch(text)))
    if _MAY_GO.search(unconditional) and not _STALE.search(text):
        return Cue("given")
    if wish := _last(_WISH, unconditional):
        said = unconditional[wish.end() :].split() or unconditional[: wish.start()].split()[-_NEAR:]
        after = f" {' '.join(said[:_NEAR])} "
        return Cue("none") if _STALE.search(text) else Cue("given", is_weak=True, after=after)
    if (own := _last(_OWN_WISH, unconditional)) and not _STALE.search(text):
        return Cue("given", is_weak=True, is_wish=True, after=f" {' '.join(unconditional[own.end() :].split())} ")
    return Cue("none")


def fails(words: str) -> bool:
    """Whether something is said not to happen that should: a complaint, neither a wish nor a refusal."""
    return bool(_FAILING.search(words))


def denies(words: str, language: str) -> bool:
    """Whether anything in it says no, takes back or wants to keep."""
    text = _GIVING.sub("given_", _LIMIT.sub("upto_", words))
    return bool(
        _REFUSING.search(text) or _WITHDRAWING.search(text) or _KEEPING.search(text) or _says(_NO, language, text)
    )


def doubts(words: str) -> bool:
    """Whether it hesitates, holds back, or tells what somebody else says."""
    return any(pattern.search(words) for pattern in (_HESITATING, _HOLDING, _SOMEONE_ELSE))


def is_over(words: str) -> bool:
    """Whether it tells of what was."""
    return bool(_STALE.search(words))


def is_offered(words: str) -> bool:
    """Whether somebody asked or offered, and the answer is to come."""
    return bool(_OPEN.search(words))


def is_someone_elses(words: str) -> bool:
    """Whether somebody who is not the client is the one who does it."""
    return bool(_THIRD_PERSON.match(words))


def _question(text: str) -> Cue:
    """A question gives nothing, except a request to do it ("could you please add …?")."""
    asks = re.search(
        r"\b(?:can|could|would|will) you (?:please |just |kindly |maybe )?(?!please|just|tell|explain|say|let|check|confirm|look)",
        text,
    )
    if asks and not _OWN_QUESTION.search(text.replace(asks.group().strip(), " ")):
        after = f" {' '.join(text[asks.end() :].split()[: _NEAR + 1])} "
        return Cue("given", is_weak=True, after=after)
    return Cue("none", is_open=True)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return next(iter(reversed(list(pattern.finditer(text)))), None)


def _says(patterns: dict[str, str], language: str, text: str) -> bool:
    return bool(_compiled(patterns, language).search(text))


def _compiled(patterns: dict[str, str], language: str) -> re.Pattern[str]:
    return _PATTERNS[id(patterns), language if language in SUPPORTED else "und"]


_PATTERNS: Final = {
    (id(patterns), language): re.compile(
        rf"\b(?:{'|'.join(patterns[tongue] for tongue in (SUPPORTED if language == 'und' else dict.fromkeys(('en', language))))})\b"
    )
    for patterns in (_NO, _YES)
    for language in (*SUPPORTED, "und")
}
