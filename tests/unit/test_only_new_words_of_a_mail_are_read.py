"""Quotes and signatures are left out in four languages; answers between the lines stay whole; nothing takes long."""

from __future__ import annotations

import time

import pytest

from asoe.domain.mail_text import new_words, plain_of

QUOTED = [
    ("Yes.\n\nOn Mon, Nov 23, 2026 at 9:01 AM Ben <ben@a.example> wrote:\n> Did it help?\n", "Yes."),
    ("Yes.\n\nOn Mon, Nov 23, 2026 at 9:01 AM Ben Long Name\n<ben@a.example> wrote:\n\n> Did it help?\n", "Yes."),
    ("Ja.\n\nAm Mo., 23. Nov. 2026 um 09:01 Uhr schrieb Ben <ben@a.example>:\n> Half es?\n", "Ja."),
    ("Sí.\n\nEl lun, 23 nov 2026 a las 9:01, Ben (<ben@a.example>) escribió:\n> ¿Sirvió?\n", "Sí."),
    ("Oui.\n\nLe lun. 23 nov. 2026 à 09:01, Ben <ben@a.example> a écrit :\n> Ça va ?\n", "Oui."),
    ("Yes.\n\n-----Original Message-----\nFrom: Ben\nSent: Monday\nTo: Ana\nSubject: x\n\nDid it?", "Yes."),
    ("Ja.\n\n-----Ursprüngliche Nachricht-----\nVon: Ben\n\nHalf es?", "Ja."),
    ("Ja.\n\nVon: Ben <ben@a.example>\nGesendet: Montag\nAn: Ana\nBetreff: x\n\nHalf es?", "Ja."),
    ("Sí.\n\nDe: Ben\nEnviado: lunes\nPara: Ana\nAsunto: x\n\n¿Sirvió?", "Sí."),
    ("Oui.\n\n________________________________\nDe : Ben\nEnvoyé : lundi\nÀ : Ana\nObjet : x\n\nÇa va ?", "Oui."),
    ("Yes.\n\n> Did it help?\n> Ben\n", "Yes."),
    ("Yes.\n-- \nAna\nClient Ltd, 5 Street", "Yes."),
    ("Ja.\n\nVon meinem iPhone gesendet", "Ja."),
    ("Yes.\n\nSent from my iPhone\n\nOn Mon, 23 Nov 2026 Ben wrote:\n> x", "Yes."),
]


@pytest.mark.parametrize(("text", "words"), QUOTED)
def test_what_is_quoted_is_left_out(text: str, words: str) -> None:
    assert new_words(text) == words
    assert new_words(text.replace("\n", "\r\n").replace("\r\n", "\n")) == words


@pytest.mark.parametrize(
    "text",
    [
        "On Monday I wrote to you, and nobody answered.\nAm I right?",
        "From: here it is broken.\nPlease help.",
        "Le chat est là.",
        "On Mon, 23 Nov 2026 Ben wrote:\n> Which order?\n4711\n> Which day?\nMonday",
        "> only a quote",
        "El pedido 4711 escribió mal la dirección",
    ],
)
def test_words_that_only_look_like_a_quote_stay(text: str) -> None:
    assert new_words(text) == text


def test_html_is_read_as_it_is_seen() -> None:
    html = (
        "<html><head><title>x</title><style>p{}</style></head><body><p>Hello&nbsp;<b>you</b></p><script>alert(1)</script>"
        "<ul><li>one<li>two</ul><blockquote>old<br>words</blockquote></body></html>"
    )
    assert plain_of(html) == "Hello you\n\none\ntwo\n\n> old\n> words"


@pytest.mark.parametrize(
    "text",
    [
        "On " * 50_000,
        "On x\n" * 20_000,
        "> \n" * 50_000,
        "Von: x\n" * 30_000,
        "-" * 100_000,
        "Am schrieb " * 10_000 + ":",
    ],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    new_words(text)
    plain_of("<div><blockquote>" * 5_000 + text)
    assert time.process_time() - began < 10
