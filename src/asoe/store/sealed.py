"""Secrets at rest: AES-256-GCM under derived keys, bound to what they belong to. Which keys, and when, is the caller's to say."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from asoe.domain.errors import Unavailable

_FORM: Final = b"\x01"
_NONCE: Final = 12


def seal(keys: Sequence[bytes], text: bytes, about: bytes) -> bytes:
    """Encrypt with the newest key (32 bytes); opens only together with the same `about`."""
    nonce = secrets.token_bytes(_NONCE)
    return _FORM + nonce + AESGCM(keys[0]).encrypt(nonce, text, about)


def unseal(keys: Sequence[bytes], sealed: bytes, about: bytes) -> bytes:
    """Decrypt with whichever key fits; raises `Unavailable(secrets_sealed)` when none does."""
    if sealed[:1] == _FORM and len(sealed) > 1 + _NONCE:
        nonce, text = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        for key in keys:
            try:
                return AESGCM(key).decrypt(nonce, text, about)
            except InvalidTag:
                continue
    raise Unavailable(
        "Stored secrets do not open with this machine's secret key: they were sealed with another one, or damaged. Copy "
        "secret.key from the machine that sealed them, or give the secrets anew.",
        code="secrets_sealed",
        permanent=True,
    )
