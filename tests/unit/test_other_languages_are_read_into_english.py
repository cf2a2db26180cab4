"""The glossary: what is known of a text in German, Spanish or French is put into English, and English stays as it is."""

import re

import pytest

from asoe.ai.glossary import glossary, in_english, read_glossary, with_english
from asoe.domain.errors import Invalid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wo finde ich die Rechnung vom letzten Monat?", {"where", "bill", "last", "month"}),
        ("¿Cómo cambio la contraseña de mi cuenta?", {"how", "change", "password", "account"}),
        ("Je n'arrive pas à ouvrir le fichier.", {"not", "open", "file"}),
    ],
)
def test_the_words_that_matter_are_put_into_english(text: str, expected: set[str]) -> None:
    assert expected <= set(re.findall(r"\w+", in_english(text).casefold()))


def test_a_german_compound_is_read_by_its_parts() -> None:
    assert "account number" in in_english("Ich habe die Kontonummer vergessen.")


def test_codes_names_and_line_breaks_stay() -> None:
    read = in_english("Fehler TP-401\nbei der Verbindung mit Salesforce (run_84213)")
    assert "TP-401\n" in read
    assert "Salesforce (run_84213)" in read


@pytest.mark.parametrize(
    "text",
    [
        "Where do I find the invoice of last month?",
        "import error",
        "pending transactions",
        "Spending alerts and budget controls",
        "",
        "TP-401",
        "Nie mogę znaleźć faktury za marzec, proszę o pomoc.",
    ],
)
def test_what_is_not_german_spanish_or_french_stays_as_it_is(text: str) -> None:
    assert in_english(text) == text
    assert with_english(text) == text


def test_a_very_long_word_costs_nothing() -> None:
    assert in_english("ich " + "x" * 100_000).endswith("x")


def test_a_wrong_line_is_refused_with_its_number() -> None:
    with pytest.raises(Invalid, match="line 2") as refused:
        read_glossary("bill: rechnung*; factura*; facture*\nno parts here")
    assert refused.value.code == "bad_glossary"


def test_the_shipped_list_is_read() -> None:
    assert glossary().read("Das Passwort ist falsch") != "Das Passwort ist falsch"
