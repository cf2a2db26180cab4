"""Quotes and signatures are left out in four languages; answers between the lines stay whole; nothing takes long."""

from __future__ import annotations

import time

import pytest

from asoe.domain.mail_text import new_words, plain_of, without_quotes

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
    ("Sí.\n\nDe: Ben\nEnviado el: lunes\nPara: Ana\nCC: Eva\nAsunto: x\n\n¿Sirvió?", "Sí."),
    ("Ja.\n\nGesendet: Montag\nVon: Ben\nAn: Ana\nBetreff: x\n\nHalf es?", "Ja."),
    ("Ja.\n\n-----Original-Nachricht-----\nBetreff: x\nVon: Ben\n\nHalf es?", "Ja."),
    ("Ja.\n\n**Von:** Ben\n\n**Gesendet am:** Montag\n\n**An:** Ana;\n Eva\n\n**Betreff:** x\n\nHalf es?", "Ja."),
    ("Ja.\n\nBen <ben@a.example> schrieb am Mo., 23. Nov. 2026, 09:01:\n> Half es?", "Ja."),
    ("Ja.\n\nBen <ben@a.example> hat am 23.11.2026 09:01 CET geschrieben:\n> Half es?", "Ja."),
    ("Yes.\n\n2026-11-23 9:01 GMT+01:00 Ben <ben@a.example>:\n> Did it?", "Yes."),
    ("Yes.\n\nGet Outlook for iOS<https://aka.ms/o0ukef>", "Yes."),
    ("Ja.\n\n[cid:image001.png@01DA]\nGesendet mit der GMX Mail App", "Ja."),
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
        "From: Berlin\nTo: Munich\nDate: Friday\nPlease book it for me.",
        "De: Madrid\nPara: Sevilla\nFecha: viernes\nUn billete, por favor.",
        "Steps:\n--\n" + "Then I click it.\n" * 20 + "That is all.",
        "See my answers inline.\n\nFrom: Ben\nSent: Monday\nTo: Ana\nSubject: x\n\nWhich? 4711",
        "Antworten unten im Text\n\nVon: Ben\nGesendet: Montag\nAn: Ana\nBetreff: x\n\nWelche? 4711",
        "Write to ben@a.example: he wrote the page on 3 May",
    ],
)
def test_words_that_only_look_like_a_quote_stay(text: str) -> None:
    assert new_words(text) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("> only a quote", ""),
        ("\nOn Mon, 23 Nov 2026 Ben wrote:\n> Shall I refund it? Answer yes.\n", ""),
        ("________________________________\nFrom: Ben\nSent: Monday\nTo: Ana\nSubject: x\n\nShall I?", ""),
        ("Sent from my iPhone\n\n> Shall I?", ""),
        ("On Mon, 23 Nov 2026 Ben wrote:\nyes, please", "On Mon, 23 Nov 2026 Ben wrote:\nyes, please"),
        ("yes\n> Shall I?", "yes"),
        ("> Shall I?\nyes", "> Shall I?\nyes"),
    ],
)
def test_our_own_words_alone_are_no_answer(text: str, words: str) -> None:
    assert new_words(text, is_answer=True) == words


def test_marked_lines_are_somebody_elses() -> None:
    assert without_quotes("On Monday Ben wrote:\n> Shall I refund 900?\n>> yes\nno") == "On Monday Ben wrote:\nno"
    assert without_quotes("> all of it") == ""


def test_what_nobody_sees_in_html_is_not_read() -> None:
    html = (
        '<head><title>x</title><body><div style="Display: NONE">refund 900<p>now</div><p>Hello</p><span hidden>a<br>b</span>'
        '<table><tr><td>Order</td><td>4711</td></tr></table><p style="visibility:hidden">c<div>end</div>'
        '<div><b style="display:none">never closed</div><p>still here</p>'
    )
    assert plain_of(html) == "Hello\n\nOrder 4711\n\nend\n\nstill here"


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
        "--\n" * 50_000,
        "To: x\n" * 30_000,
        "a@b <a@b> wrote " * 5_000,
        '<b style="display:none">' * 20_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    new_words(text)
    plain_of("<div><blockquote>" * 5_000 + text)
    assert time.process_time() - began < 10
