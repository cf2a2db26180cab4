"""What the engine itself says to clients, in the languages it answers in. It promises nothing that was not done."""

from __future__ import annotations

from typing import Final

_TEXTS: Final[dict[str, dict[str, str]]] = {
    "handed_over": {
        "en": "A person from our {team} team will take this from here. They have your message and everything tried so "
        "far, so you do not need to repeat it. Your ticket is #{number}.",
        "de": "Ab hier übernimmt ein Mensch aus unserem Team {team}. Ihre Nachricht und alles bisher Versuchte liegt "
        "dort vor, Sie müssen nichts wiederholen. Ihr Ticket ist #{number}.",
        "es": "A partir de aquí se ocupa una persona de nuestro equipo {team}. Tiene su mensaje y todo lo que se ha "
        "intentado, así que no hace falta que lo repita. Su ticket es el n.º {number}.",
        "fr": "Une personne de notre équipe {team} prend le relais. Elle a votre message et tout ce qui a été tenté : "
        "inutile de répéter. Votre ticket porte le numéro {number}.",
    },
    "did_it_help": {
        "en": "Did this help? Reply “yes”, tell me what is still missing, or ask for a person at any time.",
        "de": "Hat das geholfen? Antworten Sie mit „ja“, schreiben Sie, was noch fehlt, oder verlangen Sie jederzeit "
        "einen Menschen.",
        "es": "¿Le ha servido? Responda «sí», diga qué falta todavía o pida hablar con una persona cuando quiera.",
        "fr": "Cela vous a-t-il aidé ? Répondez « oui », dites ce qui manque encore, ou demandez une personne à tout "
        "moment.",
    },
    "next_attempt": {
        "en": "Sorry that did not help. This is the next best match:",
        "de": "Schade, dass das nicht geholfen hat. Das hier passt am nächstbesten:",
        "es": "Siento que no haya servido. Esta es la siguiente mejor coincidencia:",
        "fr": "Désolé que cela n’ait pas aidé. Voici la meilleure réponse suivante :",
    },
    "ask_back": {
        "en": "To help you I need a little more: what were you trying to do, what happened instead, and is there an "
        "error message or a number (order, invoice, run)? You can also ask for a person.",
        "de": "Um zu helfen, brauche ich etwas mehr: Was wollten Sie tun, was ist stattdessen passiert, und gibt es "
        "eine Fehlermeldung oder eine Nummer (Bestellung, Rechnung, Lauf)? Sie können auch einen Menschen verlangen.",
        "es": "Para ayudarle necesito un poco más: ¿qué intentaba hacer, qué ocurrió en su lugar y hay algún mensaje de "
        "error o número (pedido, factura, ejecución)? También puede pedir hablar con una persona.",
        "fr": "Pour vous aider, il me faut un peu plus : que vouliez-vous faire, que s’est-il passé, et y a-t-il un "
        "message d’erreur ou un numéro (commande, facture, exécution) ? Vous pouvez aussi demander une personne.",
    },
    "glad": {
        "en": "Good to hear. I have marked this as solved; a reply here opens it again.",
        "de": "Schön zu hören. Ich habe das als gelöst vermerkt; eine Antwort hier öffnet es wieder.",
        "es": "Me alegro. Lo he marcado como resuelto; si responde aquí, se vuelve a abrir.",
        "fr": "Tant mieux. Je l’ai noté comme résolu ; une réponse ici le rouvre.",
    },
    "fixed": {
        "en": "This is fixed: {title}. I looked again afterwards, and it is in order now. If anything is still wrong, "
        "reply here and a person looks at it.",
        "de": "Das ist behoben: {title}. Ich habe danach noch einmal nachgesehen, jetzt ist es in Ordnung. Falls noch "
        "etwas nicht stimmt, antworten Sie hier, dann sieht ein Mensch nach.",
        "es": "Está arreglado: {title}. Lo he vuelto a comprobar después y ahora está en orden. Si algo sigue mal, "
        "responda aquí y lo mirará una persona.",
        "fr": "C’est réparé : {title}. J’ai revérifié ensuite, tout est en ordre maintenant. Si quelque chose ne va "
        "toujours pas, répondez ici et une personne regardera.",
    },
    "recovered": {
        "en": "I looked again, and it is in order now; I changed nothing for that. If anything is still wrong, reply "
        "here and a person looks at it.",
        "de": "Ich habe noch einmal nachgesehen: Jetzt ist es in Ordnung, geändert habe ich dafür nichts. Falls noch "
        "etwas nicht stimmt, antworten Sie hier, dann sieht ein Mensch nach.",
        "es": "Lo he vuelto a comprobar y ahora está en orden; no he cambiado nada para ello. Si algo sigue mal, "
        "responda aquí y lo mirará una persona.",
        "fr": "J’ai revérifié : tout est en ordre maintenant, sans que j’aie rien changé. Si quelque chose ne va "
        "toujours pas, répondez ici et une personne regardera.",
    },
    "ask_again": {
        "en": "Sorry, I could not make out the answer to this: {question} You can also ask for a person.",
        "de": "Entschuldigung, die Antwort auf diese Frage habe ich nicht verstanden: {question} Sie können auch einen "
        "Menschen verlangen.",
        "es": "Perdone, no he entendido la respuesta a esta pregunta: {question} También puede pedir hablar con una "
        "persona.",
        "fr": "Désolé, je n’ai pas compris la réponse à cette question : {question} Vous pouvez aussi demander une "
        "personne.",
    },
    "answer_with_yes_or_no": {
        "en": "Please answer “yes” or “no”. Without your yes it is not done, and a person takes over.",
        "de": "Bitte antworten Sie mit „ja“ oder „nein“. Ohne Ihr Ja geschieht das nicht, und ein Mensch übernimmt.",
        "es": "Responda «sí» o «no», por favor. Sin su «sí» no se hace, y se ocupa una persona.",
        "fr": "Répondez « oui » ou « non », s’il vous plaît. Sans votre oui, ce n’est pas fait et une personne prend le relais.",
    },
    "answer_with_a_number": {
        "en": "Please answer with the number, or with “no”. Without it this is not done, and a person takes over.",
        "de": "Bitte antworten Sie mit der Zahl oder mit „nein“. Ohne sie geschieht das nicht, und ein Mensch übernimmt.",
        "es": "Responda con el número o con «no», por favor. Sin él no se hace, y se ocupa una persona.",
        "fr": "Répondez par le nombre ou par « non », s’il vous plaît. Sans lui, ce n’est pas fait et une personne prend le relais.",
    },
    "awaits_approval": {
        "en": "I have found what needs to be done, and asked a colleague to decide on it. You hear the outcome here.",
        "de": "Ich weiß, was zu tun ist, und habe eine Person um ihre Entscheidung gebeten. Das Ergebnis lesen Sie hier.",
        "es": "He visto lo que hay que hacer y he pedido a una persona que lo decida. Le contaré aquí el resultado.",
        "fr": "J’ai trouvé ce qu’il faut faire et demandé à une personne d’en décider. Vous aurez la réponse ici.",
    },
    "incident_known": {
        "en": "You are not the only one who sees this: the cause lies with us, and our team knows of it. As soon as it is "
        "mended I check your case myself and write to you here; until then you need not do anything.",
        "de": "Das betrifft nicht nur Sie: Die Ursache liegt bei uns, unser Team weiß davon. Sobald sie behoben ist, prüfe ich "
        "Ihren Fall selbst und schreibe Ihnen hier; bis dahin müssen Sie nichts tun.",
        "es": "No es usted el único al que le ocurre: la causa está en nuestro lado y nuestro equipo la conoce. En cuanto se "
        "solucione, comprobaré su caso y le escribiré aquí; hasta entonces no tiene que hacer nada.",
        "fr": "Vous n’êtes pas seul dans ce cas : la cause est de notre côté et notre équipe la connaît. Dès qu’elle est "
        "réparée, je vérifie votre cas et vous écris ici ; d’ici là, vous n’avez rien à faire.",
    },
    "incident_again": {
        "en": "This has the same cause as your ticket #{number}. You hear here, too, as soon as I have checked it.",
        "de": "Das hat dieselbe Ursache wie Ihr Ticket #{number}. Auch hier schreibe ich Ihnen, sobald ich es geprüft habe.",
        "es": "Esto tiene la misma causa que su ticket n.º {number}. También le escribiré aquí en cuanto lo compruebe.",
        "fr": "Ceci a la même cause que votre ticket numéro {number}. Je vous écris ici aussi dès que je l’ai vérifié.",
    },
    "incident_over": {
        "en": "The cause, which affected several clients, is mended. I have checked your case afterwards: it is in order now. If "
        "anything is still wrong, reply here and a person looks at it.",
        "de": "Die Ursache, die mehrere Kunden betraf, ist behoben. Ich habe Ihren Fall danach geprüft: Er ist jetzt in Ordnung. "
        "Falls noch etwas nicht stimmt, antworten Sie hier, dann sieht ein Mensch nach.",
        "es": "La causa, que afectaba a varios clientes, está solucionada. He comprobado su caso después: ahora está en orden. Si "
        "algo sigue mal, responda aquí y lo mirará una persona.",
        "fr": "La cause, qui touchait plusieurs clients, est réparée. J’ai vérifié votre cas ensuite : il est en ordre. Si quelque "
        "chose ne va toujours pas, répondez ici et une personne regardera.",
    },
    "client_helped": {
        "en": "Yes, that helped.",
        "de": "Ja, das hat geholfen.",
        "es": "Sí, me ha servido.",
        "fr": "Oui, cela m’a aidé.",
    },
    "client_did_not_help": {
        "en": "No, that did not help.",
        "de": "Nein, das hat nicht geholfen.",
        "es": "No, no me ha servido.",
        "fr": "Non, cela ne m’a pas aidé.",
    },
    "client_wants_person": {
        "en": "I would like to talk to a person.",
        "de": "Ich möchte mit einem Menschen sprechen.",
        "es": "Quiero hablar con una persona.",
        "fr": "Je voudrais parler à une personne.",
    },
    "wish_recorded": {
        "en": "Our help pages offer nothing for this yet, so I have written it down as wish no. {number}. Our product team reads "
        "these. Whether it will be built I cannot say; if it is there one day, you hear it here.",
        "de": "Dafür bieten unsere Hilfeseiten noch nichts, deshalb habe ich es als Wunsch Nr. {number} aufgeschrieben. Unser "
        "Produktteam liest diese Wünsche. Ob er umgesetzt wird, kann ich nicht sagen; wenn es ihn eines Tages gibt, lesen Sie "
        "es hier.",
        "es": "Nuestras páginas de ayuda aún no ofrecen nada para esto, así que lo he anotado como deseo n.º {number}. Nuestro "
        "equipo de producto los lee. No puedo decir si se hará; si algún día existe, lo sabrá aquí.",
        "fr": "Nos pages d’aide ne proposent encore rien pour cela : je l’ai donc noté comme souhait nº {number}. Notre équipe "
        "produit les lit. Je ne peux pas dire s’il sera réalisé ; s’il existe un jour, vous l’apprendrez ici.",
    },
    "wish_supported": {
        "en": "Our help pages offer nothing for this yet. It was wished for before: I have added you to wish no. {number} (others "
        "who want it: {others}). Our product team reads these. Whether it will be built I cannot say; if it is there one day, "
        "you hear it here.",
        "de": "Dafür bieten unsere Hilfeseiten noch nichts. Der Wunsch ist schon bekannt: Ich habe Sie bei Wunsch Nr. {number} "
        "eingetragen (andere, die ihn haben: {others}). Unser Produktteam liest diese Wünsche. Ob er umgesetzt wird, kann ich "
        "nicht sagen; wenn es ihn eines Tages gibt, lesen Sie es hier.",
        "es": "Nuestras páginas de ayuda aún no ofrecen nada para esto. Ya se había pedido: le he añadido al deseo n.º {number} "
        "(otros que lo quieren: {others}). Nuestro equipo de producto los lee. No puedo decir si se hará; si algún día existe, "
        "lo sabrá aquí.",
        "fr": "Nos pages d’aide ne proposent encore rien pour cela. Ce souhait est déjà connu : je vous ai ajouté au souhait "
        "nº {number} (autres qui le partagent : {others}). Notre équipe produit les lit. Je ne peux pas dire s’il sera "
        "réalisé ; s’il existe un jour, vous l’apprendrez ici.",
    },
    "wish_shipped": {
        "en": "You wished for this (wish no. {number}), and now it is there.",
        "de": "Das hatten Sie sich gewünscht (Wunsch Nr. {number}), und jetzt gibt es das.",
        "es": "Usted pidió esto (deseo n.º {number}) y ya existe.",
        "fr": "Vous l’aviez souhaité (souhait nº {number}), et cela existe maintenant.",
    },
    "noted": {
        "en": "Thank you for writing. There is nothing left for us to do here; a reply opens this again.",
        "de": "Danke für Ihre Nachricht. Hier ist für uns nichts weiter zu tun; eine Antwort öffnet das wieder.",
        "es": "Gracias por escribir. No queda nada pendiente por nuestra parte; si responde, se vuelve a abrir.",
        "fr": "Merci de votre message. Il ne nous reste rien à faire ici ; une réponse rouvre ce ticket.",
    },
}

_TEAMS: Final[dict[str, dict[str, str]]] = {
    "on_call": {"en": "on-call", "de": "Bereitschaft", "es": "guardia", "fr": "astreinte"},
    "frontline": {"en": "support", "de": "Support", "es": "soporte", "fr": "support"},
}


def say(text: str, language: str, **values: object) -> str:
    """One of the engine's sentences in `language`, in English when it does not speak it."""
    forms = _TEXTS[text]
    return forms.get(language, forms["en"]).format(**values)


def without_question(text: str) -> str:
    """An answer without "did this help?" below it, where the client has buttons for that."""
    for question in _TEXTS["did_it_help"].values():
        text = text.removesuffix(question)
    return text.rstrip()


def spoken(language: str, *, default: str) -> str:
    """The language to say the engine's own sentences in: the client's if it has them, else the default."""
    return language if language in _TEXTS["handed_over"] else default


def team_name(team: str, language: str) -> str:
    """A team as a client should read it."""
    forms = _TEAMS.get(team, {})
    return forms.get(language) or forms.get("en") or team.replace("_", " ")
