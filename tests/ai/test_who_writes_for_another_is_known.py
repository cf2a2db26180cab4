"""Who writes for another person or company is known by their words; who merely mentions one writes for themselves."""

from __future__ import annotations

import pytest

from asoe.ai.slots.party import for_another, is_our_own


@pytest.mark.parametrize(
    "text",
    [
        "I am contacting you on behalf of Northwind Ltd, they cannot reach you.",
        "Hello, a customer of ours, Northwind 4, asked me to open this ticket.",
        "Could you please check the account of Northwind?",
        "I don't have this problem myself, my teammate does.",
        "The trouble is not with us but with Northwind.",
        "It concerns the workspace of a friend.",
        "My colleague cannot log in since Monday.",
        "Our sister company has trouble with the exports.",
        "I'm only the messenger, it is the baker's account.",
        "Acting as the external administrator for Falk & Sons I would like you to look.",
        "The lady I am writing for sits in another company.",
        "Please have a look at Mr. Okafor's user.",
        "Mein Kollege kommt nicht in sein Konto.",
        "Ich schreibe im Namen von Nordwind.",
        "J'écris au nom de notre partenaire.",
        "Escribo en nombre de otra empresa.",
    ],
)
def test_who_says_that_it_is_anothers_matter_is_taken_at_their_word(text: str) -> None:
    assert for_another(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "My colleague at the next desk sees exactly the same.",
        "Our customers cannot reach the help pages.",
        "We want to add a new colleague to the team.",
        "Ticket opened on behalf of the finance department, that is us.",
        "There is a login on my account that was not me.",
        "We asked for the customer list a day ago.",
        "A friend of mine recommended your product to us.",
        "The account of our company is suspended.",
        "Our account at Stripe is connected, and no records arrive.",
        "If one of us paused it, the pause may end.",
        "I am responsible for Order sync, and it hangs.",
        "My boss asked me to write to you because our reports are empty.",
        "Im Namen des ganzen Teams bitte ich um Hilfe.",
        "Unser Konto ist gesperrt.",
    ],
)
def test_who_only_mentions_somebody_writes_for_themselves(text: str) -> None:
    assert for_another(text) is None


def test_endless_text_is_read_quickly() -> None:
    assert for_another("my colleague " * 4000) is None


@pytest.mark.parametrize(
    ("sentence", "is_own"),
    [
        ("Shut out of my own workspace since noon", True),
        ("please call support", True),
        ("on behalf of the whole team", True),
        ("this is about the workspace of Northwind", False),
        ("my coworker has this trouble", False),
        ("it concerns somebody at a different firm", False),
        ("es geht um einen Kunden von uns", False),
    ],
)
def test_whose_words_name_nobody_else_writes_for_themselves(sentence: str, is_own: bool) -> None:
    assert is_our_own(sentence) is is_own
