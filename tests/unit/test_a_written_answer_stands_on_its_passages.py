"""What a language model writes counts only where its sources say it; what they do not say refuses it, by name."""

from __future__ import annotations

import pytest

from asoe.ai.language_model import Data, compose
from asoe.ai.language_model.grounding import brings_in, promises, unfounded
from asoe.ai.language_model.shapes import Sentence, WrittenAnswer
from asoe.desk.consulting import Rejected, answers
from asoe.domain.answer import Answer
from asoe.domain.knowledge import Passage
from asoe.domain.resolution import Citation

EXPORT = (
    "You can export your data as CSV. Open Settings, choose Data and press Export. The file arrives by e-mail within 30 minutes. "
    "Exports are kept for 7 days at https://files.acme.test/exports. You cannot export while an import is running."
)
REFUND = "A refund is possible within 14 days. We refund double charges within 5 working days."


@pytest.mark.parametrize(
    "text",
    [
        "You can export your data as CSV.",
        "Open Settings, choose Data and press Export.",
        "The file arrives by e-mail within 30 minutes, and exports are kept for 7 days.",
        "Find your exports at https://files.acme.test/exports.",
        "While an import is running you cannot export.",
        "We refund double charges within 5 working days.",  # a promise in the article's own words is the article's
    ],
)
def test_what_a_source_says_may_be_said(text: str) -> None:
    assert unfounded(text, [EXPORT, REFUND]) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("The file arrives by e-mail within 60 minutes.", "figure"),
        ("Find your exports at https://evil.test/exports.", "link"),
        ("Write to export@evil.test for your data export.", "link"),
        ("Open Settings, choose Data and press <b>Export</b>.", "markup"),
        ("Open [Settings](https://files.acme.test/exports), choose Data.", "markup"),
        ("Open **Settings**, choose Data and press Export.", "markup"),
        ("You can export your data as XLSX.", "code"),
        ("You can export your data, says PWNED-01.", "figure"),
        ("You can export your data while an import is running.", "negation"),
        ("Your administrator enjoys gardening during holidays.", "own_words"),
        ("We have exported your data.", "promise"),
        ("I will press Export and choose Data.", "promise"),
        ("You will receive a full refund.", "promise"),
        ("Your refund has been issued.", "promise"),
        ("Open Settings\u202e, choose Data.", "control"),
        ("Open Settings for [email-1].", "hidden"),
    ],
)
def test_what_no_source_says_is_refused_by_name(text: str, why: str) -> None:
    assert unfounded(text, [EXPORT, REFUND]) == why


@pytest.mark.parametrize(
    "text",
    [
        "I’ve reset your password.",
        "We're going to call you.",
        "Our team will contact you.",
        "Ich habe das Passwort zurückgesetzt.",
        "Der Betrag wird Ihnen erstattet.",
        "Hemos reembolsado el importe.",
        "Nous vous remboursons.",
        "Votre abonnement a été annulé.",
        "Rest assured.",
    ],
)
def test_promises_are_known_in_every_language_spoken(text: str) -> None:
    assert promises(text)


@pytest.mark.parametrize(
    "text", ["Open Settings and press Export.", "A refund is possible within 14 days.", "Öffnen Sie die Einstellungen.", "Abra los ajustes."]
)  # fmt: skip
def test_instructions_are_no_promises(text: str) -> None:
    assert not promises(text)


def test_figures_of_a_draft_must_stand_in_the_ticket() -> None:
    assert brings_in("Invoice 2231 was charged twice.", ["my invoice 2231"]) is None
    assert brings_in("Invoice 2232 was charged twice.", ["my invoice 2231"]) == "figure"


# --- a whole answer ---


def _passage(slug: str, text: str) -> Passage:
    return Passage(f"id-{slug}", slug, slug.title(), "", text, 0, "en", 0.9, 0.9, 0.9)


PASSAGES = {"P1": _passage("export", EXPORT), "P2": _passage("refund", REFUND)}
LOCAL = Answer(
    "From our help page", (Citation("id-export", "export", "Export", "", "You can"),), 0.8, fit=0.7, lead=0.2
)


def _check(*sentences: Sentence, hidden: str = "") -> Answer:
    restore = compose("", [Data("question", hidden)], nonce="0").hidden.restore
    return answers._checked(WrittenAnswer(sentences=list(sentences)), restore, PASSAGES, leading="export", local=LOCAL)


def _said(text: str, *passages: str, is_step: bool = False) -> Sentence:
    return Sentence(text=text, passages=list(passages or ("P1",)), is_step=is_step)


def test_an_answer_is_laid_out_with_marks_and_steps() -> None:
    found = _check(
        _said("You can export your data as CSV."),
        _said("1. Open Settings, choose Data. [1]", is_step=True),
        _said("Press Export.", is_step=True),
        _said("A refund is possible within 14 days.", "P2"),
    )
    assert found.text == (
        "You can export your data as CSV. [1]\n\n1. Open Settings, choose Data.\n2. Press Export. [1]\n\n"
        "A refund is possible within 14 days. [2]"
    )
    assert found.steps == ("Open Settings, choose Data.", "Press Export.")
    assert [cited.slug for cited in found.citations] == ["export", "refund"]
    assert (found.confidence, found.fit, found.lead) == (0.8, 0.7, 0.2), "how sure it is stays the local judgement"


@pytest.mark.parametrize(
    ("sentences", "why"),
    [
        ([], "no_answer"),
        ([Sentence(text="You can export your data.", passages=[])], "uncited"),
        ([_said("You can export your data.", "P9")], "unknown_passage"),
        ([_said("A refund is possible within 14 days.", "P2")], "other_article"),
        ([_said("A refund is possible within 14 days.", "P1")], "unfounded_figure"),
        ([_said("You can export your data."), _said("We have refunded you.", "P1", "P2")], "unfounded_promise"),
        ([_said("You can export your data as CSV.")] * 60, "too_long"),
    ],
)
def test_one_bad_sentence_refuses_the_answer(sentences: list[Sentence], why: str) -> None:
    reply = WrittenAnswer.model_construct(sentences=sentences)
    with pytest.raises(Rejected, match=f"^{why}$"):
        answers._checked(reply, str, PASSAGES, leading="export", local=LOCAL)


def test_a_value_hidden_from_the_model_is_not_told_back_unless_a_passage_holds_it() -> None:
    with pytest.raises(Rejected, match="unfounded_link"):
        _check(_said("You can export your data as [email-1]."), hidden="I am ana@acme.test")


# --- what is sent ---


def test_text_of_others_is_fenced_and_redacted_as_one() -> None:
    prompt = compose(
        "Do this.",
        [
            Data("question", "I am Ana, ana@acme.test, card 4111 1111 1111 1111"),
            Data("passage", "Mail ana@acme.test", "P1"),
        ],
        names=["Ana Sol"],
        nonce="77",
    )
    assert prompt.text == (
        '<data-77 kind="question">\nI am [name-1], [email-1], card [card-1]\n</data-77>\n\n'
        '<data-77 kind="passage" id="P1">\nMail [email-1]\n</data-77>'
    )
    assert "<data-77" in prompt.instructions
    assert prompt.hidden.restore("[email-1]") == "ana@acme.test"
    fences = {compose("", [Data("question", "x")]).text.split()[0] for _ in range(5)}
    assert len(fences) == 5, "nobody can close a fence he cannot know"
