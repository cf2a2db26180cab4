"""The baseline triage has to beat: words counted, no learning."""

from asoe.ai.features import words_of

CATEGORY_WORDS = {
    "billing": "invoice bill billing charge charged refund payment paid pay card plan subscription price credits rechnung abo zahlung factura pago suscripcion facture paiement abonnement",
    "account": "login log sign password account locked 2fa invite role admin sso user passwort konto anmelden contrasena cuenta usuario mot passe compte utilisateur",
    "technical": "error how configure failed job workflow import export stuck missing fehler wie import error como comment erreur",
    "integration": "api webhook integration connect salesforce slack key token sync schnittstelle verbinden conectar integracion connecter integration",
    "performance": "slow down outage timeout latency speed loading langsam ausfall lento caido lent panne",
    "bug_report": "bug crash wrong broken expected glitch update falsch absturz fallo incorrecto bogue plante",
    "feature_request": "feature wish could add support would nice request wunsch gerne sugerencia gustaria souhait ajouter",
    "general": "thanks question person human gdpr privacy danke frage gracias persona merci question",
}
SEVERITY_WORDS = {
    "critical": "critical urgent emergency down everyone production leak hacked dringend notfall urgente emergencia urgence",
    "high": "asap today tomorrow blocked deadline heute morgen hoy manana aujourd demain",
    "low": "question wondering thanks nice wish when frage danke pregunta gracias merci",
}


def guess_category(text: str) -> str:
    """The category with most of its words in the text; `general` when none."""
    return _most(text, CATEGORY_WORDS, "general")


def guess_severity(text: str) -> str:
    """The severity with most of its words in the text; `medium` when none."""
    return _most(text, SEVERITY_WORDS, "medium")


def _most(text: str, lists: dict[str, str], otherwise: str) -> str:
    words = words_of(text)
    counts = {label: sum(word in known.split() for word in words) for label, known in lists.items()}
    best = max(counts, key=lambda label: counts[label])
    return best if counts[best] else otherwise
