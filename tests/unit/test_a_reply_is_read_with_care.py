"""A reply is never taken for "that helped" when it says otherwise, and a wish for a person is always heard."""

import pytest

from asoe.ai.client_intent import read_reply
from asoe.ai.language import detect_language

WANTS_PERSON = """I want to talk to a person|can I speak with a human please|agent please|human|please call me back
could someone call me?|let me speak to your manager|stop, no bots, give me a real person|I need a human
Thanks, but I'd like to talk to someone|get me an operator|I'd rather have a person look at this
Ich möchte mit einem Menschen sprechen|Kann ich bitte mit einem Mitarbeiter reden?|Rufen Sie mich bitte an
bitte um Rückruf|Verbinden Sie mich mit einem Kollegen|Ich will einen echten Menschen
Quiero hablar con una persona|necesito un agente|Llámenme por favor|pásame con alguien
Je veux parler à un humain|Je voudrais parler à quelqu'un|Rappelez-moi svp"""
HELPED = """Thanks, that worked!|That helped, thank you|perfect, solved|works now, cheers|great, all good|Problem solved.
that did the trick|You can close this, thanks|Thank you so much|Danke, das hat geholfen|Super, klappt jetzt
Es funktioniert wieder, vielen Dank|gracias, ya funciona|Perfecto, resuelto|Genial, me ha servido
Merci, ça marche|C'est bon, merci beaucoup|ok merci c'est réglé"""
DID_NOT_HELP = """That didn't help|not solved|still not working|no, same error|It doesn't work|that did not help at all
nope|thanks but it still doesn't work|This is useless|I tried that and nothing changed|didnt work|Not helpful|no luck
Thanks, that helped not at all|It worked for a minute and now the same problem again|no
Das hat nicht geholfen|geht immer noch nicht|Leider funktioniert es nicht|gleicher Fehler|hilft mir nicht weiter
no funciona|sigue sin funcionar|todavía no puedo entrar|eso no me ayudó|no me sirve
ça ne marche pas|toujours pas|cela n'a pas aidé|même erreur|ne fonctionne toujours pas"""
OTHER = """My order number is 4411|Where do I find the settings?|It happens on Chrome|Ich nutze Firefox|uso windows 11
je suis sur mac|ok|I'll try tomorrow|How long does it take?|will that help?|the invoice is from march
It would help if you told me the price|I don't need a person, thanks"""
NEGATIONS = """thanks, but it's not fixed|great, now nothing works|it almost worked|Thanks! Did that fix it for others?
danke, aber es geht nicht|danke, leider nicht|gracias pero no|gracias, pero sigue igual|merci mais non|merci, mais rien ne change
perfect, now I can't log in at all|I wish that had solved it but no|thank you, however the report is still empty
it hasn't helped|that isn't it, thanks|only half of it works, thanks|super, jetzt geht gar nichts mehr"""


def phrases(text: str) -> list[str]:
    return [phrase for line in text.splitlines() for phrase in line.split("|")]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (expected, phrase)
        for expected, group in (
            ("wants_person", WANTS_PERSON),
            ("helped", HELPED),
            ("did_not_help", DID_NOT_HELP),
            ("other", OTHER),
        )
        for phrase in phrases(group)
    ],
)
def test_a_reply_is_read_the_same_with_and_without_its_language(expected: str, text: str) -> None:
    assert {read_reply(text, "und"), read_reply(text, detect_language(text)[0])} == {expected}


@pytest.mark.parametrize("text", phrases(NEGATIONS))
def test_thanks_with_a_but_are_never_taken_for_help(text: str) -> None:
    for language in ("und", "en", "de", "es", "fr", detect_language(text)[0]):
        assert read_reply(text, language) != "helped"


def test_a_long_story_is_never_a_confirmation() -> None:
    assert read_reply("thanks " * 60, "en") == "other"
