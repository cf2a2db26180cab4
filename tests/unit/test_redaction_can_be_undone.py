"""What identifies a person or opens a door leaves the text, and only the same call can bring it back."""

from hypothesis import given
from hypothesis import strategies as st

from asoe.ai.redaction import is_card, is_iban, redact

SECRET = "sk_test_" + "a1B2" * 6


def test_each_kind_is_replaced_and_restored() -> None:
    text = (
        "I am Ana Lopez (ana.lopez+shop@mail.example.org), phone +49 30 901820 or tel 030 1234567. "
        f"IBAN DE89 3704 0044 0532 0130 00, card 4242 4242 4242 4242, key {SECRET}, password: hunter2!"
    )
    found = redact(text, names=["Ana Lopez"])
    for private in ("Ana", "Lopez", "@", "901820", "1234567", "DE89", "4242", SECRET, "hunter2"):
        assert private not in found.text
    assert found.restore(found.text) == text


def test_the_same_value_keeps_its_placeholder() -> None:
    found = redact("write to a@b.example or a@b.example, not to c@d.example")
    assert found.text == "write to [email-1] or [email-1], not to [email-2]"


def test_a_typed_placeholder_never_becomes_another_value() -> None:
    found = redact("send it to [email-1], I am ana@mail.example")
    assert found.restore("[email-1]") != "ana@mail.example" or "[email-1]" not in found.text
    assert found.restore(found.text) == "send it to [email-1], I am ana@mail.example"


def test_numbers_that_fail_their_checksum_stay() -> None:
    text = "order 4242 4242 4242 4241, reference DE00 3704 0044 0532 0130 00, invoice 2024-000123"
    assert redact(text).text == text
    assert is_card("4242424242424242")
    assert not is_card("1111111111111111")
    assert is_iban("GB82 WEST 1234 5698 7654 32")
    assert not is_iban("GB82 WEST 1234 5698 7654 33")


def test_names_are_found_whole_and_in_parts_but_not_inside_words() -> None:
    found = redact("Ben Ohm and Mr Ohm met Benjamin about ohmmeters", names=["Ben Ohm"])
    assert found.text == "[name-1] and Mr [name-2] met Benjamin about ohmmeters"


@given(st.text(max_size=400))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    found = redact(text, names=["Ana"])
    assert found.restore(found.text) == text
