"""Cuts what a client wrote into sentences and fragments small enough that each says one thing.

Decides only where to cut; what a fragment means is the readers'. Texts come in redacted: a fragment may be embedded.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

MOST_FRAGMENTS: Final = 120
_ABBREVIATIONS: Final = re.compile(
    r"\b((?:max|min|approx|ca)(?=\.\s*(?-i:[\da-z]))|no(?=\.\s*[\d[+])|nr|tel|mr|mrs|ms|dr|st|bzw|inkl|num|ref|acc|e\.g|i\.e|z\.b|p\.ej|sr|sra|mme|env)\.(?=\s)",
    re.IGNORECASE,
)
_CONTACT_IN_BRACKETS: Final = re.compile(r"\s*\((?:\[[a-z]+-\d+\]|[+\d][\d ().-]{5,20})\)")
_DOT: Final = "․"
# who leaves out the full stop still begins with a capital
BEGINNINGS: Final = (
    "You|We|Please|What|Whatever|Whoever|Why|Who|Where|How|If|It|The|My|Our|Your|They|This|That|There|These|Those|When|Every|Everything|Also|Besides|Moreover"
    "|On top of|And|But|Yes|No|Should|Somebody|Someone|Nobody|Nothing|Feel|Go|Start|Restart|Run|Delete|Remove|Replace|Rotate|Put|Take|Add|Sell|Book|Just|Then|As|For|To|In case"
    "|Since|After|Before|All|Both|Each|Here|Thanks|Thank|New|Second|Another|Kindly|Could|Can|Would|May|Do|Let"
)
_SENTENCE: Final = re.compile(
    rf"(?<=[.!?…])[\"”')\]]*\s+|(?<=[a-z])\s+(?=(?-i:{BEGINNINGS})\b)|\s*\n+\s*|\s*[;|•·]\s*|\s/\s|\s[–—-]{{1,2}}\s|(?<=\w)/(?=[A-Za-z]{{3,}}\s*:)"
)
_JOINTS: Final = (
    r"but|however|although|though|whereas|while|yet|except|and|or|nor|then|so"
    r"|aber|sondern|jedoch|allerdings|und|oder"
    r"|pero|sino|aunque|y|o|e"
    r"|mais|cependant|et|ou|ni"
)
_KEPT_TOGETHER: Final = re.compile(
    r"\b(go ahead and|feel free and|try and|one or two|1 or 2|more and more|again and again|now and then|he or she|ein oder zwei"
    r"|eins oder zwei|uno o dos|un ou deux|unless and until|if and when|as and when)\b",
    re.IGNORECASE,
)
# "…, yes, even if it costs more" concedes something to what stands before it
_CONCEDES: Final = r"(?!\s*(?:yes\s*,\s*)?(?:also|even|auch|selbst)\s+(?:if|when|wenn)\b)"
_FRAGMENT: Final = re.compile(
    rf"(?<=\bfine):\s|(?<=\bok):\s|(?<=\bokay):\s|(?<=\byes):\s|\s*(?:[()\[\]]|,(?!\d){_CONCEDES})+\s*|\s+(?=(?:{_JOINTS})\s)",
    re.IGNORECASE,
)
_CONDITION_FIRST: Final = re.compile(r"^((?:if|in case|should|when|falls|wenn|sofern)\b[^:]{5,100}):\s", re.IGNORECASE)
# says that something comes, and how many things; nothing else
_ANNOUNCING: Final = re.compile(
    r"^(?:and )?(?:one|another) (?:more |other |last )?(?:thing|problem|issue|question|point)\s*:\s*", re.IGNORECASE
)
# "I'd rather you did this than that": that is what is not wanted
_COMPARED: Final = re.compile(
    r"\b((?:rather|sooner|better|best|prefer\w*|easier|simpler|wiser|sense|trouble)\b(?! than)[^.!?;,\n]{0,120}?)\s(?:than|als)\s[^.!?;,\n]{1,200}",
    re.IGNORECASE,
)
_COUNTRIES_FILE: Final = Path(__file__).with_name("countries.txt")
COUNTRY: Final = "spain"
_PERSON: Final = re.compile(
    r"\b(?:(?:Mr|Mrs|Ms|Dr)\.?\s)?(?:[A-ZÀ-Þ][a-zà-ÿ'’-]+\s){1,2}[A-ZÀ-Þ][a-zà-ÿ'’-]+\b"
    r"|\b(?:[Tt]he )?(?:customer|client|caller|user|subscriber|account holder)\b"
)
_WORD: Final = re.compile(r"[^\W_]+(?:\.\d+)?|[&$€£%]")


@dataclass(frozen=True, slots=True)
class Fragment:
    """`words`: lower case, without accents and punctuation, joined and enclosed by single spaces.

    `sentence` counts through the passage; `is_question` holds for all fragments of a sentence that ends in a question mark.
    """

    text: str
    words: str
    sentence: int
    is_question: bool
    begins: bool

    @property
    def length(self) -> int:
        return len(self.words.split())


def plain_words(text: str) -> str:
    """Lower-cased words without accents, enclosed by spaces; an apostrophe parts words ("don t")."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in folded if not unicodedata.combining(char)) if not folded.isascii() else folded
    return f" {' '.join(_WORD.findall(bare))} "


def fragments_of(text: str) -> list[Fragment]:
    """At most `MOST_FRAGMENTS` of them, in order."""
    text = _COMPARED.sub(r"\1", _CONTACT_IN_BRACKETS.sub(" ", text))
    kept = _ABBREVIATIONS.sub(lambda match: match.group(1) + _DOT, text)
    found: list[Fragment] = []
    for number, sentence in enumerate(_sentences(kept)):
        is_question = sentence.rstrip(" \"”')").endswith("?")
        begins = True
        for piece in _pieces(sentence):
            words = plain_words(piece)
            if words.strip():
                found.append(Fragment(piece.replace(_DOT, "."), words, number, is_question, begins))
                begins = False
        if len(found) >= MOST_FRAGMENTS:
            break
    return found[:MOST_FRAGMENTS]


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE.split(text) if part and part.strip()]


def _pieces(sentence: str) -> list[str]:
    whole = _KEPT_TOGETHER.sub(lambda match: match.group().replace(" ", "\ue000"), sentence)
    whole = _ANNOUNCING.sub("", whole)
    whole = _CONDITION_FIRST.sub(r"\1, ", whole)
    return [part.replace("\ue000", " ").strip(" .") for part in _FRAGMENT.split(whole) if part and part.strip(" .")]


def likened(text: str) -> str:
    """Every country becomes the same one, and people "he": which one it is must not change the meaning."""
    return _PERSON.sub("he", _countries().sub(COUNTRY, text))


@cache
def _countries() -> re.Pattern[str]:
    lines = _COUNTRIES_FILE.read_text(encoding="utf-8").splitlines()
    names = {name.strip() for line in lines if not line.startswith("#") for name in line.split(",")}
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})\b")
