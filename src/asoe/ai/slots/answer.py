"""Reads the answer to the very question whether something may be done: a yes, a no or a number in a few words, in any language spoken here.

What it cannot tell is nothing, and is asked again. Whole letters are consent.py's; a question back, a condition or a doubt is no yes.
"""

import re
from decimal import Decimal
from typing import Final

from asoe.ai.slots.amounts import number_of, quantities
from asoe.ai.slots.clauses import plain_words
from asoe.domain.mail_text import new_words
from asoe.domain.runbook import Consent, Slot

MOST_WORDS: Final = 40
SHORT: Final = 8
AT_ONCE: Final = 3
"""A no among the first words, or in few words, is about the question; a later one may be about anything."""
_THUMBS: Final = {"👍": "yes", "👌": "yes", "✅": "yes", "👎": "no", "❌": "no"}
# patterns over plain words: a yes that is said with a no in it
_NO_BUT_YES: Final = re.compile(
    r" (?:(?:no|not a|not any|without (?:any )?|kein|keine|keinerlei|sin|no hay|no tengo|ningun|pas de|aucune?|sans) (?:problem|problems|problema|probleme|objections?|objeciones|einwande|einwand|worries|souci|soucis"
    r"|inconveniente|concerns?|bedenken)(?: at all)?|nothing against (?:it|that|this)|why not|(?:i|we) (?:do not|don t|wouldn t|would not) mind|nichts dagegen|spricht nichts dagegen|warum nicht|por que no|pourquoi pas"
    r"|not at all a problem|no hay inconveniente|ne vois pas d inconvenient|rien contre|no doubt|without (?:a )?doubt)(?= )"
)
_YES: Final = re.compile(
    r" (?:y|yes|yep|yeah|yup|sure|ok|okay|okey|alright|all right|fine|good|agree[ds]?|accept(?:ed)?|absolutely|definitely|certainly|of course|by all means|gladly|go ahead|go for it|go on|proceed|carry on|do it|do so"
    r"|please do|do please|make it so|confirm(?:ed)?|approved?|granted|permission|green light|consent|you (?:may|can)|feel free|be my guest|welcome to"
    r"|ja|jawohl|jep|gern|gerne|einverstanden|klar|in ordnung|geht klar|passt|naturlich|selbstverstandlich|machen sie(?: das| es)?|legen sie los|durfen sie|sie durfen|los"
    r"|si|claro|vale|de acuerdo|adelante|por supuesto|esta bien|hagan ?lo|hagalo|sigan|siga|desde luego|conforme"
    r"|oui|d accord|bien sur|allez y|volontiers|c est bon|entendu|vous pouvez|faites|pas de souci|certainement)(?= )"
)
_NO: Final = re.compile(
    r" (?:n|no|nope|nah|not|never|none|don t|do not|dont|won t|will not|can t|cannot|can not|mustn t|nobody|nothing|without|refuse\w*|decline\w*|reject\w*|stop|hands off|against|rather not|out of the question|keep it|leave (?:it|that|them|everything)"
    r"|nein|ne|nicht|nichts|kein\w*|niemals|auf keinen fall|lassen sie|stopp|ablehnen|lehne\w*|tampoco|nunca|jamas|ni|ninguna?|mejor no|de ninguna manera|dejen?lo|deje"
    r"|non|pas|jamais|surtout pas|aucune?|refuse|laissez)(?= )"
)
_DOUBT: Final = re.compile(
    r" (?:but|however|if|unless|only|first|before|until|maybe|perhaps|possibly|probably|later|depends?|think about|consider|check with|ask|asking|boss|manager first|not sure|unsure|hesitat\w*|decide|i guess|suppose\w*|would have to|need to know|what|why|how|which|who|when|instead"
    r"|aber|falls|wenn|sofern|nur|erst|vorher|bevor|vielleicht|spater|eventuell|fragen|uberlegen|unsicher|kommt darauf an|was|warum|wie|stattdessen"
    r"|pero|solo si|primero|antes|quizas?|tal vez|luego|depende|preguntar|pensar\w*|mais|seulement|d abord|avant|peut etre|plus tard|ca depend|demander|reflechir|plutot|prefere\w*)(?= )"
)
_AS_ASKED: Final = re.compile(
    r" (?:thanks?(?: you)? for asking(?: first)?|what else|if that is what it takes|whatever)(?= )"
)
_GREETING: Final = re.compile(
    r"^\s*(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|hallo|guten (?:tag|morgen|abend)|hola|buen[oa]s (?:d[ií]as|tardes)|bonjour|bonsoir)\b[^\n.!?,]{0,30}[,.!\n]\s*",
    re.IGNORECASE,
)
_CLOSING: Final = re.compile(
    r"\n\s*(?:best|kind|warm|many|with|regards|thanks|thank you|cheers|greetings|yours|mit|viele|beste|freundliche|liebe|saludos|un saludo|cordial|bien à vous|merci)\b[^\n]{0,60}(?:\n[^\n]{0,60}){0,3}\s*$",
    re.IGNORECASE,
)
_NUMBERS_NOT: Final = frozenset(
    "a an one another single un una uno une ein eine einen einem eins both couple half de".split()
)


def read_answer(slot: Slot, text: str) -> Consent | None:
    """What a reply to the slot's question comes to; None where that is not plain."""
    said = _CLOSING.sub("", _GREETING.sub("", new_words(text)))
    words = plain_words("".join(f" {_THUMBS.get(char, char)} " if char in _THUMBS else char for char in said))
    if not words.strip() or "?" in said or len(words.split()) > MOST_WORDS:
        return None
    words = _AS_ASKED.sub(" ", _NO_BUT_YES.sub(" yes", words))
    if no := _NO.search(words):
        is_about_it = len(words.split()) <= SHORT or len(words[: no.start()].split()) < AT_ONCE
        return Consent("refused", unit=slot.unit) if is_about_it and not _YES.search(words) else None
    if _DOUBT.search(words):
        return None
    amount = _amount(slot, said)
    if amount == 0:
        return Consent("refused", unit=slot.unit)
    if _YES.search(words) or amount is not None:
        return Consent("given", amount, slot.unit)
    return None


def _amount(slot: Slot, said: str) -> Decimal | None:
    """The one number of the answer, where the slot counts something."""
    if not slot.unit:
        return None
    found = {quantity.value for quantity in quantities(said, slot.unit)}
    if not found:
        numbers = (number_of(word) for word in plain_words(said).split() if word not in _NUMBERS_NOT)
        found = {number for number in numbers if number is not None}
    return found.pop() if len(found) == 1 else None
