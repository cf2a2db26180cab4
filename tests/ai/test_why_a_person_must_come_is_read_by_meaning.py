"""What lists of phrases miss is read by meaning: most wishes and dangers in new words, hardly ever one where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from asoe.ai.local import LocalAI, Models
from asoe.ai.reasons import MOST_PIECES, REASONS, ReasonReader, pieces_of
from asoe.desk.alarm import alarms_in, read_by_meaning
from asoe.domain.errors import Unavailable

HELD = {
    "client_asked": """My hands shake too much for typing, is there a line I could dial tonight?
I would feel better explaining this to one of you face to face, even on video.
enough with these automatic answers, who is in charge over there
Could one of your team sit down with me for ten minutes and go through it?
Who on your side can I ring about this before five?
Ich würde das lieber am Telefon durchgehen, schreiben liegt mir nicht.
Gibt es bei euch noch jemanden aus Fleisch und Blut?
Preferiría explicarlo de viva voz a alguno de ustedes.
¿A qué número puedo marcar para que me atiendan en persona?
J'aimerais mieux en discuter de vive voix avec l'un de vos techniciens.
Y a-t-il quelqu'un chez vous qui puisse me téléphoner demain matin ?""",
    "anger": """Three weeks of this circus and all I get is copy-paste. You should be embarrassed.
Was ihr da abliefert ist eine einzige Katastrophe, ich habe so die Nase voll von euch.
Llevo un mes aguantando sus mentiras y ya no las soporto.""",
    "threat": """If the money is not back tomorrow, 30,000 followers will see these screenshots.
Wenn das bis Freitag nicht läuft, steht die ganze Geschichte im Lokalblatt.
Si no lo arreglan hoy, cuento todo lo que han hecho en redes sociales.""",
    "legal": """Our counsel has been instructed and you will be served within the week.
Meine Anwältin setzt Ihnen eine Frist bis zum Fünfzehnten.
Nous saisissons la CNIL et le tribunal de commerce.""",
    "security": """Someone in Minsk is signed in as our bookkeeper right now and changing bank details.
Jemand hat unser Passwort geknackt und liest unsere Nachrichten mit.
He recibido un correo en su nombre que pide mi clave y enlaza a una página falsa.""",
    "safety": """The insulin pump stopped getting its doses from your portal and my son is getting worse.
Der Rauchmelder meldet nichts mehr, und hier wohnen alte Leute, es riecht verbrannt.
Ma mère est tombée et votre bouton d'alarme ne répond plus.""",
    "incident": """None of our forty branches gets through, every single till is dead.
Bei uns im ganzen Haus und bei allen Kunden geht seit neun gar nichts mehr.
Nadie en ninguna de nuestras tiendas puede entrar desde esta mañana.""",
}
NONE = """How do I add a person to the project so that they can see the calls?
Is there a way to let the phone agent of our call center read this field?
Where do I find the operator manual for the robot arm integration?
The legal name on the invoice should be Brook & Sons.
Can the health check endpoint be polled every ten seconds?
My manager asked me which plan we are on.
Where is the switch for the second factor?
The fire drill list does not print in color.
Our call with the customer is not shown in the calendar.
Please send the receipt for May to the new address.
We are a law firm and would like to know whether documents can be searched.
Wie füge ich einen Kollegen zum Kalender hinzu?
Der Chef möchte den Bericht als PDF, wo stelle ich das ein?
Der Export der Anrufliste hat eine Spalte zu viel.
¿Puedo cambiar el idioma del panel?
El informe de llamadas sale vacío desde ayer.
¿Dónde se cambia la contraseña de un usuario?
Comment changer la couleur du bouton d'appel dans le widget ?
Le conseiller en couleurs de l'application ne propose que du bleu.
Je voudrais ajouter trois personnes à mon abonnement.
Thanks, that solved it!
No, that did not change anything, the file is still empty.
I am on Windows 11 with Firefox.
Ok, ich probiere es morgen.
Mi número de pedido es el 4471."""


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.load()


def test_most_of_what_is_said_in_new_words_is_read(models: Models) -> None:
    found = {name: _share(models, name, lines.splitlines()) for name, lines in HELD.items()}
    assert set(found) == set(REASONS)
    assert found["client_asked"] >= 0.7, found
    assert np.mean([*found.values()]) >= 0.6, found


def test_hardly_anything_is_read_where_there_is_none(models: Models) -> None:
    told = dict(zip(NONE.splitlines(), models.read_reasons(NONE.splitlines()), strict=True))
    assert sum(bool(one) for one in told.values()) <= 1, {text: one for text, one in told.items() if one}


def test_no_reply_that_says_whether_it_helped_is_a_wish_for_a_person(models: Models) -> None:
    for text, meant in (
        ("Thanks, that solved it!", "helped"),
        ("No, that did not help.", "did_not_help"),
        ("ok", "other"),
    ):
        assert models.read_reply(text, "en") == meant


async def test_only_what_no_phrase_says_is_said_to_be_read_by_meaning(models: Models) -> None:
    ai = LocalAI(models)
    said = "I want to talk to a human. If the money is not back tomorrow, 30,000 followers will see these screenshots."
    assert "client_asked" in alarms_in(said)
    assert "client_asked" not in await read_by_meaning(ai, [said, "", "  "])
    assert await read_by_meaning(ai, []) == {}
    await ai.close()


def test_a_reason_in_the_middle_of_a_long_mail_is_found(models: Models) -> None:
    plain = "The export has a column too many since the last release and I cannot say where it comes from. " * 6
    buried = f"{plain} Could one of your team sit down with me for ten minutes and go through it? {plain}"
    assert models.read_reasons([plain]) == [{}]
    assert "client_asked" in models.read_reasons([buried])[0]
    assert len(pieces_of(buried * 40)) <= MOST_PIECES + 1


@pytest.mark.parametrize("text", ["", " ", "?", "💥" * 500, "word " * 20_000, "a. " * 5000])
def test_odd_texts_hold_no_reason(models: Models, text: str) -> None:
    assert models.read_reasons([text, text]) == [{}, {}]


def test_a_missing_reader_is_said_with_its_remedy(tmp_path) -> None:
    with pytest.raises(Unavailable, match=r"make setup"):
        ReasonReader.load(tmp_path)


def test_it_reads_the_same_after_it_was_stored(models: Models, tmp_path) -> None:
    assert models.reasons is not None
    models.reasons.save(tmp_path)
    lines = HELD["client_asked"].splitlines()[:3]
    again = ReasonReader.load(tmp_path).read(lines, models.encoder)
    assert again == models.read_reasons(lines)


def _share(models: Models, reason: str, lines: list[str]) -> float:
    """Of so many lines, those in which a phrase or the meaning says so."""
    meant = models.read_reasons(lines)
    return float(np.mean([reason in one or reason in alarms_in(line) for line, one in zip(lines, meant, strict=True)]))
