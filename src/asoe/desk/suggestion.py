"""The reply a dossier suggests: for a person to read, mend and send. It says what the reason calls for, and claims nothing that was done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from asoe.domain.ticket import Ticket

_KINDS: Final[dict[str, str]] = {
    "critical_severity": "urgent",
    "safety": "urgent",
    "incident": "urgent",
    "security": "takeover",
    "not_theirs": "identity",
    "fraud": "identity",
    "legal": "legal",
    "threat": "legal",
    "client_asked": "person",
    "unsupported_language": "language",
    "anger": "sorry",
    "repeat_contact": "sorry",
    "answer_did_not_help": "sorry",
    "service_level": "sorry",
    "low_confidence": "unclear",
    "no_answer": "unclear",
    "client_silent": "unclear",
    "not_found": "unknown",
    "already_met": "in_order",
    "needs_consent": "consent",
    "approval_refused": "refused",
    "over_cap": "refused",
}
"""What a reason calls for; whatever is not named calls for somebody who looks into it."""

_FIRST: Final = ("safety", "security", "not_theirs", "fraud", "legal", "threat", "critical_severity", "client_asked")
"""Whatever else holds, these are what one answers."""
_LAST: Final = frozenset({"needs_action", "low_confidence", "no_grounded_answer"})
"""Reasons that say only that nothing fits: any other is answered before."""
_THANKS: Final = "thanks_or_feedback"
_REQUESTS: Final = frozenset({"refund_request", "cancel_subscription", "delete_account"})
"""Where something is asked for, that nothing is broken is no answer."""
_QUOTES: Final = {"de": "„{}“", "es": "«{}»", "fr": "« {} »"}

_TEXTS: Final[dict[str, dict[str, str]]] = {
    "urgent": {
        "en": "I am a person and I am on this now: {about}. Please tell me who and what is affected, and since when. I write here as "
        "soon as I know more.",
        "de": "Hier schreibt ein Mensch, ich bin jetzt daran: {about}. Bitte sagen Sie mir, wer und was betroffen ist und seit wann. "
        "Sobald ich mehr weiß, schreibe ich hier.",
        "es": "Le escribe una persona y ya estoy con ello: {about}. Dígame, por favor, a quién y a qué afecta, y desde cuándo. En "
        "cuanto sepa más, le escribo aquí.",
        "fr": "Une personne vous écrit et s’en occupe dès maintenant : {about}. Dites-moi qui et quoi est touché, et depuis quand. Je "
        "vous écris ici dès que j’en sais plus.",
    },
    "identity": {
        "en": "Thank you for telling us: {about}. Before anything is changed or said about the account, I have to be sure who is asking. "
        "Please answer from the address that the account is registered with.",
        "de": "Danke für den Hinweis: {about}. Bevor am Konto etwas geändert oder dazu etwas gesagt wird, muss ich sicher sein, wer "
        "fragt. Bitte antworten Sie von der Adresse, die beim Konto hinterlegt ist.",
        "es": "Gracias por avisarnos: {about}. Antes de cambiar algo en la cuenta o hablar de ella, tengo que saber con certeza quién "
        "pregunta. Responda, por favor, desde la dirección registrada en la cuenta.",
        "fr": "Merci de nous prévenir : {about}. Avant de modifier le compte ou d’en parler, je dois être sûr de qui demande. Répondez, "
        "s’il vous plaît, depuis l’adresse enregistrée pour ce compte.",
    },
    "legal": {
        "en": "I have received your message: {about}. It is being read by whoever answers such questions here; until then I would rather "
        "say nothing than something wrong. Is there a date by which you need the answer?",
        "de": "Ich habe Ihre Nachricht erhalten: {about}. Bei uns liest sie, wer solche Fragen beantwortet; bis dahin sage ich lieber "
        "nichts als etwas Falsches. Gibt es einen Tag, bis zu dem Sie die Antwort brauchen?",
        "es": "He recibido su mensaje: {about}. Lo está leyendo quien responde aquí a estas cuestiones; hasta entonces prefiero no decir "
        "nada a decir algo equivocado. ¿Hay alguna fecha para la que necesite la respuesta?",
        "fr": "J’ai bien reçu votre message : {about}. Il est lu par la personne qui répond ici à ces questions ; d’ici là, je préfère ne "
        "rien dire plutôt que de me tromper. Vous faut-il une réponse avant une date précise ?",
    },
    "person": {
        "en": "I am a person and I have read everything you wrote: {about}. Is there anything you would add before I look into it?",
        "de": "Hier schreibt ein Mensch, und ich habe alles gelesen, was Sie geschrieben haben: {about}. Möchten Sie noch etwas ergänzen, "
        "bevor ich nachsehe?",
        "es": "Le escribe una persona y he leído todo lo que ha escrito: {about}. ¿Quiere añadir algo antes de que lo mire?",
        "fr": "Une personne vous écrit ; j’ai lu tout ce que vous avez écrit : {about}. Voulez-vous ajouter quelque chose avant que je "
        "regarde ?",
    },
    "language": {
        "en": "I have your message: {about}. I can answer in English, German, Spanish or French. Which do you prefer?",
        "de": "Ich habe Ihre Nachricht: {about}. Antworten kann ich auf Deutsch, Englisch, Spanisch oder Französisch. Was ist Ihnen am "
        "liebsten?",
        "es": "Tengo su mensaje: {about}. Puedo responder en español, inglés, alemán o francés. ¿Qué prefiere?",
        "fr": "J’ai votre message : {about}. Je peux répondre en français, anglais, allemand ou espagnol. Que préférez-vous ?",
    },
    "sorry": {
        "en": "I understand that this is tiresome, and I am sorry for it: {about}. I have read what was tried so far, you need not repeat "
        "it. I look at it another way now. What would help you most at this moment?",
        "de": "Ich verstehe, dass das ärgerlich ist, und es tut mir leid: {about}. Was bisher versucht wurde, habe ich gelesen, Sie müssen "
        "nichts wiederholen. Ich sehe es mir jetzt auf einem anderen Weg an. Was würde Ihnen im Moment am meisten helfen?",
        "es": "Entiendo que esto es molesto y lo siento: {about}. He leído lo que se ha intentado, no hace falta que lo repita. Lo miro "
        "ahora de otra manera. ¿Qué le ayudaría más en este momento?",
        "fr": "Je comprends que ce soit pénible et j’en suis désolé : {about}. J’ai lu ce qui a été tenté, inutile de le répéter. Je regarde "
        "maintenant autrement. Qu’est-ce qui vous aiderait le plus en ce moment ?",
    },
    "unclear": {
        "en": "I have read your message and want to be sure that I understand it: {about}. What did you want to do, what happened instead, "
        "and on which account or number?",
        "de": "Ich habe Ihre Nachricht gelesen und möchte sicher sein, sie zu verstehen: {about}. Was wollten Sie tun, was ist stattdessen "
        "geschehen, und bei welchem Konto oder welcher Nummer?",
        "es": "He leído su mensaje y quiero estar seguro de entenderlo: {about}. ¿Qué quería hacer, qué ocurrió en su lugar y en qué cuenta "
        "o número?",
        "fr": "J’ai lu votre message et je veux être sûr de bien comprendre : {about}. Que vouliez-vous faire, que s’est-il passé, et sur "
        "quel compte ou numéro ?",
    },
    "consent": {
        "en": "I know what could be done about this: {about}. It changes something of yours, so I need your word first: shall I go ahead?",
        "de": "Ich weiß, was sich hier tun lässt: {about}. Dabei ändert sich etwas bei Ihnen, deshalb brauche ich zuerst Ihr Wort: Soll ich "
        "das tun?",
        "es": "Sé lo que se puede hacer: {about}. Cambia algo suyo, así que primero necesito su consentimiento: ¿sigo adelante?",
        "fr": "Je sais ce qu’on peut faire : {about}. Cela modifie quelque chose chez vous, il me faut donc d’abord votre accord : puis-je y "
        "aller ?",
    },
    "refused": {
        "en": "Two of us have looked at this: {about}. It cannot be done in the way that was meant. I am looking for another one, and "
        "write here what is possible.",
        "de": "Wir haben uns das zu zweit angesehen: {about}. So, wie es gedacht war, geht es nicht. Ich suche einen anderen Weg und "
        "schreibe hier, was möglich ist.",
        "es": "Lo hemos mirado entre dos: {about}. No puede hacerse como estaba pensado. Busco otra manera y le escribo aquí lo que "
        "es posible.",
        "fr": "Nous avons regardé à deux : {about}. Ce n’est pas possible de la manière prévue. Je cherche une autre voie et vous "
        "écris ici ce qui est possible.",
    },
    "takeover": {
        "en": "I am a person and I am on this now: {about}. Please give no password and no code to anybody, not to me either. Which account "
        "is it, what did you notice, and when? Before I change anything, I make sure that it is you, by another way than this address.",
        "de": "Hier schreibt ein Mensch, ich bin jetzt daran: {about}. Bitte geben Sie niemandem ein Passwort oder einen Code, auch mir nicht. "
        "Um welches Konto geht es, was ist Ihnen aufgefallen, und wann? Bevor ich etwas ändere, prüfe ich auf einem anderen Weg als über diese "
        "Adresse, dass Sie es sind.",
        "es": "Le escribe una persona y ya estoy con ello: {about}. No dé ninguna contraseña ni código a nadie, tampoco a mí. ¿De qué cuenta se "
        "trata, qué ha notado y cuándo? Antes de cambiar nada, compruebo que es usted por otra vía que esta dirección.",
        "fr": "Une personne vous écrit et s’en occupe dès maintenant : {about}. Ne donnez ni mot de passe ni code à personne, pas même à moi. De "
        "quel compte s’agit-il, qu’avez-vous remarqué, et quand ? Avant de changer quoi que ce soit, je m’assure que c’est bien vous par une "
        "autre voie que cette adresse.",
    },
    "unknown": {
        "en": "I have read your message: {about}. I do not find an account under the address you write from. Under which address or number is "
        "it registered? Then I go on at once.",
        "de": "Ich habe Ihre Nachricht gelesen: {about}. Unter der Adresse, von der Sie schreiben, finde ich kein Konto. Unter welcher Adresse "
        "oder Nummer ist es geführt? Dann mache ich gleich weiter.",
        "es": "He leído su mensaje: {about}. No encuentro ninguna cuenta con la dirección desde la que escribe. ¿Con qué dirección o número está "
        "registrada? Entonces sigo enseguida.",
        "fr": "J’ai lu votre message : {about}. Je ne trouve aucun compte sous l’adresse depuis laquelle vous écrivez. Sous quelle adresse ou "
        "quel numéro est-il enregistré ? Je poursuis alors aussitôt.",
    },
    "in_order": {
        "en": "I have read your message: {about}. Our automatic checks found nothing wrong, so I am looking into it myself now and write here "
        "what I find. If you have a time, a number or a picture of what you see, it helps.",
        "de": "Ich habe Ihre Nachricht gelesen: {about}. Unsere automatischen Prüfungen haben keinen Fehler gefunden, deshalb sehe ich jetzt selbst "
        "nach und schreibe hier, was ich finde. Ein Zeitpunkt, eine Nummer oder ein Bild von dem, was Sie sehen, hilft mir.",
        "es": "He leído su mensaje: {about}. Nuestras comprobaciones automáticas no han encontrado ningún fallo, así que ahora lo miro yo y le "
        "escribo aquí lo que encuentre. Me ayuda una hora, un número o una imagen de lo que ve.",
        "fr": "J’ai lu votre message : {about}. Nos vérifications automatiques n’ont rien trouvé d’anormal ; je regarde donc moi-même et vous écris "
        "ici ce que je trouve. Une heure, un numéro ou une image de ce que vous voyez m’aiderait.",
    },
    "asked": {
        "en": "I have your request: {about}. I look at what is possible and write here what we do and by when. Is there anything I should "
        "know before?",
        "de": "Ihre Bitte ist bei mir: {about}. Ich sehe nach, was möglich ist, und schreibe hier, was wir tun und bis wann. Gibt es etwas, das ich "
        "vorher wissen sollte?",
        "es": "Tengo su petición: {about}. Miro qué es posible y le escribo aquí qué haremos y para cuándo. ¿Hay algo que deba saber antes?",
        "fr": "J’ai bien votre demande : {about}. Je regarde ce qui est possible et vous écris ici ce que nous ferons et pour quand. Y a-t-il "
        "quelque chose que je devrais savoir avant ?",
    },
    "thanks": {
        "en": "Thank you for telling us: {about}. It is read by the people it is about. Is there anything you would like us to do?",
        "de": "Danke für Ihre Worte: {about}. Es lesen die, um deren Arbeit es geht. Sollen wir etwas für Sie tun?",
        "es": "Gracias por contárnoslo: {about}. Lo leen las personas de las que habla. ¿Quiere que hagamos algo?",
        "fr": "Merci de nous l’avoir dit : {about}. Les personnes concernées le lisent. Souhaitez-vous que nous fassions quelque chose ?",
    },
    "looks": {
        "en": "I have read your message and what was tried so far: {about}. I am looking into it myself now and write here what I find. If "
        "something has changed since, please tell me.",
        "de": "Ich habe Ihre Nachricht gelesen und was bisher versucht wurde: {about}. Ich sehe jetzt selbst nach und schreibe hier, was ich "
        "finde. Falls sich seither etwas geändert hat, sagen Sie es mir bitte.",
        "es": "He leído su mensaje y lo que se ha intentado: {about}. Ahora lo miro yo y le escribo aquí lo que encuentre. Si algo ha "
        "cambiado desde entonces, dígamelo, por favor.",
        "fr": "J’ai lu votre message et ce qui a été tenté : {about}. Je regarde maintenant moi-même et vous écris ici ce que je trouve. Si "
        "quelque chose a changé depuis, dites-le-moi, s’il vous plaît.",
    },
}
_LONGEST: Final = 80
_NAMES_A_MATTER: Final = 2
"""Words from which on a subject says what it is about."""
_FIRST_SENTENCE: Final = re.compile(r"(?<=[.!?…])\s+(?=\S)")


def suggested_reply(ticket: Ticket, reasons: Sequence[str], language: str) -> str:
    """In the client's language where there are words for it, else in English; by the most telling reason."""
    texts = _TEXTS[_kind(ticket, reasons)]
    spoken = language if language in texts else "en"
    return texts[spoken].format(about=_about(ticket, spoken))


def _kind(ticket: Ticket, reasons: Sequence[str]) -> str:
    telling = (
        [each for each in _FIRST if each in reasons] or [each for each in reasons if each not in _LAST] or list(reasons)
    )
    found = next((_KINDS[each] for each in telling if each in _KINDS), "looks")
    if found == "in_order" and ticket.intent == _THANKS:
        return "thanks"
    return "asked" if found == "in_order" and ticket.intent in _REQUESTS else found


def _about(ticket: Ticket, language: str) -> str:
    """Which matter is meant, in the client's own words: the subject where it names one, else how it began."""
    subject, text = " ".join((ticket.subject or "").split()), " ".join((ticket.body or ticket.text).split())
    words = subject if len(subject.split()) >= _NAMES_A_MATTER or not text else text
    words = _FIRST_SENTENCE.split(words, maxsplit=1)[0] if words is not subject else words
    words = words.rstrip(".!?:;, ")
    short = words if len(words) <= _LONGEST else words[:_LONGEST].rsplit(" ", 1)[0] + "…"
    return f"{_QUOTES.get(language, '“{}”').replace('{}', short)} (#{ticket.number})" if short else f"#{ticket.number}"
