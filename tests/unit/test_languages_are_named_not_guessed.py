"""A supported language is recognized even in few words; another one is named; nothing is guessed from nothing."""

import pytest

from asoe.ai.language import SUPPORTED, detect_language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Cannot sign in since the update, please help", "en"),
        ("let me reorder the columns in the mobile app", "en"),
        ("Ich kann mich nicht anmelden", "de"),
        ("Login geht nicht", "de"),
        ("No puedo entrar en mi cuenta", "es"),
        ("Je n'arrive pas à me connecter", "fr"),
        ("Où trouver ma facture ?", "fr"),
    ],
)
def test_supported_languages_are_recognized(text: str, code: str) -> None:
    found, confidence = detect_language(text)
    assert found == code
    assert confidence >= 0.5


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Meu pagamento foi recusado, podem ajudar?", "pt"),
        ("Non riesco ad accedere al mio account da ieri", "it"),
        ("Nie mogę się zalogować na swoje konto", "pl"),
        ("ログインできません", "ja"),
    ],
)
def test_an_unsupported_language_is_named(text: str, code: str) -> None:
    found, _ = detect_language(text)
    assert found == code
    assert found not in SUPPORTED


@pytest.mark.parametrize("text", ["", "500", "ok", "???", "4242", "\x00"])
def test_too_little_text_is_undetermined(text: str) -> None:
    assert detect_language(text)[0] == "und"
