// What the chat itself says, in the languages it speaks.
const WORDS = {
  en: {
    title: "Support chat", open: "Open the support chat", close: "Close the chat", unread: "unread", back: "All conversations",
    hello: "Hello! How can we help?", lead: "Ask a question or say what went wrong. You can talk to a person at any time.",
    history: "Your conversations", fresh: "New conversation", empty: "No conversation yet.",
    label: "Your message", hint: "Write your message…", send: "Send", attach: "Attach a file", person: "Talk to a person",
    personOpens: "I would like to talk to a person.", you: "You", assistant: "Assistant", team: "{org} team", writes: "The {org} team is writing…",
    thinking: "Looking into it…", with_person: "This is with the team: a person will answer here.", yours: "", waiting: "Being worked on.", ended: "Solved. A reply opens it again.",
    sources: "Sources", answer: "Your answer:", helped: "Did this help?", yes: "Yes", no: "No", step: "Step {n} of {all} done", steps: "{n} of {all} steps done",
    sending: "Sending…", unsent: "Not sent yet. It is sent once you are connected again.", failed: "Not sent: {why}", again: "Try again", drop: "Discard",
    offline: "No connection. Trying again…", online: "Connected again.", busy: "That was a bit fast. It is sent in a moment.",
    tooLarge: "“{name}” is larger than {size} MB.", attached: "I attach a file.", file: "File {name}", download: "Download", number: "Conversation {n}",
    signIn: "Please sign in on this page to chat with us.", closed: "This chat is not available right now.", lost: "A file that was waiting to be sent has to be chosen again.", help: "Help articles", newTab: "opens in a new tab",
  },
  de: {
    title: "Support-Chat", open: "Support-Chat öffnen", close: "Chat schließen", unread: "ungelesen", back: "Alle Gespräche",
    hello: "Hallo! Wie können wir helfen?", lead: "Stellen Sie eine Frage oder sagen Sie, was nicht geklappt hat. Sie können jederzeit mit einem Menschen sprechen.",
    history: "Ihre Gespräche", fresh: "Neues Gespräch", empty: "Noch kein Gespräch.",
    label: "Ihre Nachricht", hint: "Nachricht schreiben…", send: "Senden", attach: "Datei anhängen", person: "Mit einem Menschen sprechen",
    personOpens: "Ich möchte mit einem Menschen sprechen.", you: "Sie", assistant: "Assistent", team: "Team {org}", writes: "Das Team {org} schreibt…",
    thinking: "Wird nachgesehen…", with_person: "Das liegt beim Team: Ein Mensch antwortet Ihnen hier.", yours: "", waiting: "Wird bearbeitet.", ended: "Gelöst. Eine Antwort öffnet es wieder.",
    sources: "Quellen", answer: "Ihre Antwort:", helped: "Hat das geholfen?", yes: "Ja", no: "Nein", step: "Schritt {n} von {all} erledigt", steps: "{n} von {all} Schritten erledigt",
    sending: "Wird gesendet…", unsent: "Noch nicht gesendet. Das geschieht, sobald Sie wieder verbunden sind.", failed: "Nicht gesendet: {why}", again: "Erneut versuchen", drop: "Verwerfen",
    offline: "Keine Verbindung. Es wird weiter versucht…", online: "Wieder verbunden.", busy: "Das war etwas schnell. Es wird gleich gesendet.",
    tooLarge: "„{name}“ ist größer als {size} MB.", attached: "Ich hänge eine Datei an.", file: "Datei {name}", download: "Herunterladen:", number: "Gespräch {n}",
    signIn: "Bitte melden Sie sich auf dieser Seite an, um mit uns zu chatten.", closed: "Dieser Chat ist gerade nicht verfügbar.", lost: "Eine Datei, die noch zu senden war, muss neu ausgewählt werden.", help: "Hilfeartikel", newTab: "öffnet in neuem Tab",
  },
  es: {
    title: "Chat de soporte", open: "Abrir el chat de soporte", close: "Cerrar el chat", unread: "sin leer", back: "Todas las conversaciones",
    hello: "¡Hola! ¿En qué podemos ayudarle?", lead: "Haga una pregunta o cuente qué ha fallado. Puede hablar con una persona cuando quiera.",
    history: "Sus conversaciones", fresh: "Nueva conversación", empty: "Todavía no hay conversaciones.",
    label: "Su mensaje", hint: "Escriba su mensaje…", send: "Enviar", attach: "Adjuntar un archivo", person: "Hablar con una persona",
    personOpens: "Quiero hablar con una persona.", you: "Usted", assistant: "Asistente", team: "Equipo de {org}", writes: "El equipo de {org} está escribiendo…",
    thinking: "Lo estamos mirando…", with_person: "Esto lo tiene el equipo: una persona le responderá aquí.", yours: "", waiting: "En curso.", ended: "Resuelto. Si responde, se vuelve a abrir.",
    sources: "Fuentes", answer: "Su respuesta:", helped: "¿Le ha servido?", yes: "Sí", no: "No", step: "Paso {n} de {all} hecho", steps: "{n} de {all} pasos hechos",
    sending: "Enviando…", unsent: "Aún no se ha enviado. Se enviará cuando vuelva la conexión.", failed: "No se ha enviado: {why}", again: "Reintentar", drop: "Descartar",
    offline: "Sin conexión. Volviendo a intentarlo…", online: "Conectado de nuevo.", busy: "Un poco rápido. Se enviará en un momento.",
    tooLarge: "«{name}» ocupa más de {size} MB.", attached: "Adjunto un archivo.", file: "Archivo {name}", download: "Descargar", number: "Conversación {n}",
    signIn: "Inicie sesión en esta página para chatear con nosotros.", closed: "Este chat no está disponible ahora.", lost: "Hay que volver a elegir un archivo que estaba por enviar.", help: "Artículos de ayuda", newTab: "se abre en otra pestaña",
  },
  fr: {
    title: "Chat d’assistance", open: "Ouvrir le chat d’assistance", close: "Fermer le chat", unread: "non lus", back: "Toutes les conversations",
    hello: "Bonjour ! Comment pouvons-nous aider ?", lead: "Posez une question ou dites ce qui ne va pas. Vous pouvez parler à une personne à tout moment.",
    history: "Vos conversations", fresh: "Nouvelle conversation", empty: "Aucune conversation.",
    label: "Votre message", hint: "Écrivez votre message…", send: "Envoyer", attach: "Joindre un fichier", person: "Parler à une personne",
    personOpens: "Je voudrais parler à une personne.", you: "Vous", assistant: "Assistant", team: "Équipe {org}", writes: "L’équipe {org} écrit…",
    thinking: "Nous regardons…", with_person: "L’équipe s’en occupe : une personne vous répondra ici.", yours: "", waiting: "En cours.", ended: "Résolu. Une réponse le rouvre.",
    sources: "Sources", answer: "Votre réponse :", helped: "Cela vous a-t-il aidé ?", yes: "Oui", no: "Non", step: "Étape {n} sur {all} faite", steps: "{n} étapes sur {all} faites",
    sending: "Envoi…", unsent: "Pas encore envoyé. L’envoi se fera au retour de la connexion.", failed: "Non envoyé : {why}", again: "Réessayer", drop: "Supprimer",
    offline: "Pas de connexion. Nouvel essai…", online: "Connexion rétablie.", busy: "Un peu vite. L’envoi suit dans un instant.",
    tooLarge: "« {name} » dépasse {size} Mo.", attached: "Je joins un fichier.", file: "Fichier {name}", download: "Télécharger", number: "Conversation {n}",
    signIn: "Connectez-vous sur cette page pour discuter avec nous.", closed: "Ce chat n’est pas disponible pour le moment.", lost: "Un fichier qui attendait d’être envoyé doit être choisi à nouveau.", help: "Articles d’aide", newTab: "s’ouvre dans un nouvel onglet",
  },
};

let words = WORDS.en;
let language = "en";

/** The first of these languages that the chat speaks. */
function speak(...wanted) {
  language = wanted.map((each) => (each ?? "").slice(0, 2).toLowerCase()).find((each) => each in WORDS) ?? "en";
  words = WORDS[language];
  document.documentElement.lang = language;
}

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
