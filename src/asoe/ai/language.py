"""Which language a text is in, as (ISO 639-1 code, confidence); `und` when it cannot be told.

Two witnesses: the small function words of the four supported languages, which decide short and technical texts, and
lingua in its low-accuracy mode (37 MB where the full one takes 500 MB) for everything else, so that an unsupported
language is named rather than taken for a supported one. What happens to an unsupported language is the desk's decision.
"""

from functools import cache
from typing import Any, Final

from asoe.ai.features import words_of

SUPPORTED: Final = ("en", "de", "es", "fr")
UNDETERMINED: Final = "und"
UNSURE_BELOW: Final = 0.5

_LEAST_WORDS = 2
_MAX_CHARS = 1500
_FUNCTION_WORDS: Final = {
    "en": """the a an is are was were be been am i my me we our you your he she it its they their them this that these
        those and or but not no can could would should will do does did have has had of in on at for from with to what
        when where why how who which if there please just any some all since after before again still let get got s t
        re ve ll m don doesn didn isn cannot won hi hello thanks thank dear may by into out now very much many more need
        want us than then here only up about""",
    "de": """der die das den dem des ein eine einen einem einer eines ist sind war waren wird werden wurde ich mein meine
        meinen mir mich wir unser unsere uns sie ihr ihre ihren ihnen er es und oder aber nicht kein keine kann konnen
        konnte mit von vom zu zum zur im am auf bei fur fuer aus nach seit uber ueber wenn wie was wo warum wann dass
        noch nur auch schon bitte haben habe hat gibt man sich diese dieser dieses euch eure ihr hallo danke guten""",
    "es": """el la los las un una unos unas es son era fue ser esta estan estoy estaba yo mi mis me nos nuestro nuestra
        su sus se le les y o pero no puedo puede pueden podemos con de del al en por para que como cuando donde quien
        si ya hay muy mas desde hasta sin sobre este esta esto estos estas ese eso lo he ha han hemos tengo tiene
        tenemos hola gracias favor buenos buenas porque cual""",
    "fr": """le la les l un une des du de d est sont etait etre suis je j mon ma mes me m nous notre nos vous votre vos
        il elle on ils elles se s son sa ses et ou mais ne n pas plus peut peux pouvez avec sans sur dans en par pour
        que qu qui quoi comment quand pourquoi ce c cet cette ces depuis apres avant si y a ai as avons avez ont au aux
        tout tous bonjour merci svp tres fait faire""",
}
_SETS: Final = {code: frozenset(words.split()) for code, words in _FUNCTION_WORDS.items()}
_CANDIDATES: Final = [
    "ENGLISH",
    "GERMAN",
    "SPANISH",
    "FRENCH",
    "ITALIAN",
    "PORTUGUESE",
    "DUTCH",
    "POLISH",
    "SWEDISH",
    "DANISH",
    "BOKMAL",
    "CZECH",
    "TURKISH",
    "ROMANIAN",
    "HUNGARIAN",
    "FINNISH",
    "CATALAN",
    "RUSSIAN",
    "UKRAINIAN",
    "ARABIC",
    "HEBREW",
    "CHINESE",
    "JAPANESE",
    "KOREAN",
    "GREEK",
    "HINDI",
    "VIETNAMESE",
    "INDONESIAN",
]


def detect_language(text: str) -> tuple[str, float]:
    """The code and how sure we are in 0..1; the code is `und` below `UNSURE_BELOW`."""
    text = text[:_MAX_CHARS]
    words = words_of(text)
    if not any(word.isalpha() for word in words):
        return UNDETERMINED, 0.0
    code, confidence = _by_function_words(words)
    if confidence < UNSURE_BELOW:
        values = _detector().compute_language_confidence_values(text)
        best = values[0]
        found = str(best.language.iso_code_639_1.name).lower()
        if found == code:
            confidence = min(0.99, best.value + confidence)
        elif len(words) >= _LEAST_WORDS or not text.isascii():
            # a function word or two against another verdict: both lose certainty
            code, confidence = found, best.value * (1 - confidence)
    return (code, round(confidence, 3)) if confidence >= UNSURE_BELOW else (UNDETERMINED, round(confidence, 3))


def is_supported(code: str) -> bool:
    return code in SUPPORTED


def _by_function_words(words: list[str]) -> tuple[str, float]:
    """The supported language whose function words lead, and a confidence from their lead and share."""
    hits = {code: sum(word in known for word in words) for code, known in _SETS.items()}
    ranked = sorted(hits, key=lambda code: -hits[code])
    lead, share = hits[ranked[0]] - hits[ranked[1]], hits[ranked[0]] / len(words)
    if lead < 1 or share < 0.12:
        return ranked[0], 0.0
    strength = min(1.0, lead / 4) * min(1.0, share / 0.3)
    return ranked[0], min(0.99, strength)


@cache
def _detector() -> Any:
    from lingua import Language, LanguageDetectorBuilder

    languages = [getattr(Language, name) for name in _CANDIDATES]
    return LanguageDetectorBuilder.from_languages(*languages).with_low_accuracy_mode().build()


@cache
def function_words(language: str | None = None) -> frozenset[str]:
    """The small words of one supported language, or of all: what carries grammar and no content."""
    return _SETS[language] if language else frozenset().union(*_SETS.values())
