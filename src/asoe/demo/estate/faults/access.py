"""Faults of getting in: locks, second factors, single sign-on, keys, mail, suspensions."""

from __future__ import annotations

from asoe.demo.estate.faults.fault import Breakage, Fault, Scene, add, field_is, never_mended
from asoe.demo.estate.models import SCOPES
from asoe.demo.estate.store import Store


def _locked_out(scene: Scene) -> None:
    scene.writer()
    scene.change("user", "users", locked=True, lock_reason="failed_sign_ins", failed_sign_ins=10)


def _security_hold(scene: Scene) -> None:
    scene.writer()
    scene.change("user", "users", locked=True, lock_reason="security_hold")


def _mfa(scene: Scene, state: str) -> None:
    scene.writer()
    scene.change("user", "users", mfa_state=state)


def _locked_out_and_out_of_step(scene: Scene) -> None:
    _locked_out(scene)
    _mfa(scene, "out_of_step")


def _device_lost(scene: Scene) -> None:
    _mfa(scene, "device_unreachable")
    scene.facts["pin"] = scene.user["pin"]


def _has_sso(store: Store, account_id: str) -> bool:
    return bool(store.find("sso-connections", account_id=account_id))


def _sso(scene: Scene, *, provider_days: float) -> None:
    scene.pick("sso", "sso-connections")
    scene.change(
        "sso",
        "sso-connections",
        status="certificate_expired",
        certificate_expires_at=scene.store.stamp(days=-1),
        provider_certificate_expires_at=scene.store.stamp(days=provider_days),
    )


def _suppress(scene: Scene, reason: str) -> None:
    writer = scene.writer()
    made = scene.store.put(
        "suppressions",
        {
            "id": scene.new_id("sup", "suppressions"),
            "account_id": scene.account_id,
            "email": writer["email"],
            "reason": reason,
            "since": scene.store.stamp(days=-3),
        },
    )
    scene.items["suppression"] = made["id"]


def _mute(scene: Scene) -> None:
    scene.pick("setting", "notification-settings", user_id=scene.writer()["id"])
    scene.change("setting", "notification-settings", muted_by="system")


def _lose_verification(scene: Scene) -> None:
    scene.account()
    scene.change("account", "accounts", email_verified=False, verification_received_at=scene.store.stamp(days=-2))


def _never_verified(scene: Scene) -> None:
    scene.account()
    scene.change("account", "accounts", email_verified=False, verification_received_at=None)


def _expire_key(scene: Scene) -> None:
    scene.pick("key", "api-keys", status="active")
    scene.change("key", "api-keys", status="expired", expires_at=scene.store.stamp(days=-1))


def _revoke_key(scene: Scene) -> None:
    scene.pick("key", "api-keys", status="active")
    scene.change("key", "api-keys", status="revoked", revoked_reason="leak_detected")


def _narrow_key(scene: Scene) -> None:
    scene.pick("key", "api-keys", status="active", purpose="sync")
    scene.change("key", "api-keys", scopes=SCOPES["read_only"])


def _scopes_fit(store: Store, breakage: Breakage) -> bool:
    key = store.need("api-keys", breakage.items["key"])
    return bool(sorted(key["scopes"]) == sorted(SCOPES[key["purpose"]]) and key["status"] == "active")


def _rotated(store: Store, breakage: Breakage) -> bool:
    key = store.need("api-keys", breakage.items["key"])
    return bool(key["status"] == "active" and key["secret_version"] == 2)


def _stale_sessions(scene: Scene) -> None:
    scene.pick("session", "sessions", user_id=scene.writer()["id"], status="active")
    was = "member" if scene.user["role"] != "member" else "admin"
    scene.change("session", "sessions", role_at_sign_in=was)


def _lower_role(scene: Scene) -> None:
    writer = scene.writer()
    scene.facts["role"] = writer["role"]
    scene.change("user", "users", role="member")
    for session in scene.store.find("sessions", account_id=scene.account_id, user_id=writer["id"]):
        scene.store.change("sessions", session["id"], role_at_sign_in="member")


def _foreign_session(scene: Scene) -> None:
    writer = scene.writer()
    made = scene.store.put(
        "sessions",
        {
            "id": scene.new_id("ses", "sessions"),
            "account_id": scene.account_id,
            "user_id": writer["id"],
            "status": "active",
            "role_at_sign_in": writer["role"],
            "country": "KP",
            "known_device": False,
        },
    )
    scene.items["session"] = made["id"]


def _no_stale_session(store: Store, breakage: Breakage) -> bool:
    return bool(store.need("sessions", breakage.items["session"])["status"] == "signed_out")


def _suspend_for_fraud(scene: Scene) -> None:
    scene.account()
    scene.change("account", "accounts", status="suspended", suspended_reason="fraud", fraud_flag=True)


add(
    Fault(
        name="user_locked_out",
        symptoms=("sign_in_refused",),
        slot="user",
        broken="The user is locked after too many wrong passwords (`locked`, `lock_reason: failed_sign_ins`).",
        mended_by="POST /v1/users/{id}/unlock",
        never="`lock_reason` is `security_hold`; the account has `fraud_flag`.",
        breaks=_locked_out,
        is_mended=field_is("users", "user", locked=False),
        mends=(("users.unlock", "user"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="user_on_security_hold",
        symptoms=("sign_in_refused",),
        slot="user",
        broken="The security team locked the user (`lock_reason: security_hold`).",
        mended_by="Nobody but the security team.",
        never="Always: unlocking it is a breach.",
        breaks=_security_hold,
        is_mended=never_mended,
        group=("security",),
    )
)
add(
    Fault(
        name="mfa_out_of_step",
        symptoms=("code_refused", "sign_in_refused"),
        slot="user",
        broken="The user's code generator is out of step (`mfa_state: out_of_step`).",
        mended_by="POST /v1/users/{id}/resynchronize-mfa",
        never="—",
        breaks=lambda scene: _mfa(scene, "out_of_step"),
        is_mended=field_is("users", "user", mfa_state="in_step", mfa_enabled=True),
        mends=(("users.resynchronize_mfa", "user"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="locked_out_then_mfa_out_of_step",
        symptoms=("sign_in_refused",),
        slot="user",
        broken="Locked after wrong passwords; the code generator is out of step too, which shows only once the lock is lifted.",
        mended_by="unlock, read again, then resynchronize-mfa",
        never="As user_locked_out.",
        breaks=_locked_out_and_out_of_step,
        is_mended=field_is("users", "user", locked=False, mfa_state="in_step", mfa_enabled=True),
        mends=(("users.unlock", "user"), ("users.resynchronize_mfa", "user")),
        risk="reversible",
    )
)
add(
    Fault(
        name="mfa_device_lost",
        symptoms=("code_refused",),
        slot="user",
        broken="The enrolled device no longer answers (`mfa_state: device_unreachable`).",
        mended_by="POST /v1/users/{id}/identity-checks with the PIN the user told; if `confirmed`, POST /v1/users/{id}/reset-mfa with its id",
        never="No PIN, a wrong PIN, or somebody else's PIN.",
        breaks=_device_lost,
        is_mended=field_is("users", "user", mfa_enabled=False),
        mends=(("identity_checks.make", "user"), ("users.reset_mfa", "user")),
        risk="irreversible",
        consent="identity",
    )
)
add(
    Fault(
        name="sso_certificate_expired",
        symptoms=("sign_in_refused",),
        slot="sso",
        broken="Our copy of the identity provider's certificate expired; the provider publishes a newer one.",
        mended_by="POST /v1/sso-connections/{id}/refresh",
        never="—",
        breaks=lambda scene: _sso(scene, provider_days=200),
        is_mended=field_is("sso-connections", "sso", status="active"),
        mends=(("sso_connections.refresh", "sso"),),
        risk="reversible",
        needs=_has_sso,
    )
)
add(
    Fault(
        name="sso_provider_not_renewed",
        symptoms=("sign_in_refused",),
        slot="sso",
        broken="The certificate expired at the client's identity provider itself (`provider_certificate_expires_at` is past).",
        mended_by="The client renews it at their provider.",
        never="refresh answers 409.",
        breaks=lambda scene: _sso(scene, provider_days=-1),
        is_mended=never_mended,
        group=("cannot_fix",),
        needs=_has_sso,
    )
)
add(
    Fault(
        name="mail_suppressed_after_bounce",
        symptoms=("mail_missing",),
        slot="mail",
        broken="The user's address is on the suppression list, `reason: bounce`.",
        mended_by="DELETE /v1/suppressions/{id}",
        never="`reason: complaint` without consent.",
        breaks=lambda scene: _suppress(scene, "bounce"),
        is_mended=lambda store, breakage: store.get("suppressions", breakage.items["suppression"]) is None,
        mends=(("suppressions.remove", "suppression"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="mail_suppressed_after_complaint",
        symptoms=("mail_missing",),
        slot="mail",
        broken="The user once marked our mail as spam; the address is suppressed, `reason: complaint`.",
        mended_by="DELETE /v1/suppressions/{id}, after the user said that they want our mail again",
        never="The user did not say so.",
        breaks=lambda scene: _suppress(scene, "complaint"),
        is_mended=lambda store, breakage: store.get("suppressions", breakage.items["suppression"]) is None,
        mends=(("suppressions.remove", "suppression"),),
        risk="costly",
        consent="mail_again",
    )
)
add(
    Fault(
        name="notifications_muted_by_system",
        symptoms=("mail_missing",),
        slot="mail",
        broken="An import muted the user's notifications (`muted_by: system`).",
        mended_by="PUT /v1/notification-settings/{id}/muted `{muted: false}`",
        never="`muted_by: user`: their own choice.",
        breaks=_mute,
        is_mended=field_is("notification-settings", "setting", muted_by=None),
        mends=(("notification_settings.set_muted", "setting"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="verification_lost",
        symptoms=("confirm_address",),
        slot="verification",
        broken="The link was clicked (`verification_received_at` is set), yet `email_verified` is false.",
        mended_by="POST /v1/accounts/{id}/complete-verification",
        never="`verification_received_at` is null (409).",
        breaks=_lose_verification,
        is_mended=field_is("accounts", "account", email_verified=True),
        mends=(("accounts.complete_verification", "account"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="address_never_confirmed",
        symptoms=("confirm_address",),
        slot="verification",
        broken="The link was never clicked (`verification_received_at` is null).",
        mended_by="The client clicks the link.",
        never="Always (409).",
        breaks=_never_verified,
        is_mended=never_mended,
        group=("cannot_fix",),
    )
)
add(
    Fault(
        name="api_key_expired",
        symptoms=("api_401",),
        slot="key",
        broken="A key expired (`status: expired`).",
        mended_by="POST /v1/api-keys/{id}/renew `{days: 90}`: the secret stays",
        never="The key is revoked (409).",
        breaks=_expire_key,
        is_mended=field_is("api-keys", "key", status="active", secret_version=1),
        mends=(("api_keys.renew", "key"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="api_key_revoked_after_leak",
        symptoms=("api_401",),
        slot="key",
        broken="A key was revoked because it leaked (`revoked_reason: leak_detected`).",
        mended_by="POST /v1/api-keys/{id}/rotate, after the client agreed to put a new secret into their systems",
        never="No such agreement; `revoked_reason: by_owner` (their own decision).",
        breaks=_revoke_key,
        is_mended=_rotated,
        mends=(("api_keys.rotate", "key"),),
        risk="irreversible",
        consent="new_secret",
    )
)
add(
    Fault(
        name="api_key_scopes_lost",
        symptoms=("api_403",),
        slot="key",
        broken="A key has fewer scopes than its purpose needs.",
        mended_by="PUT /v1/api-keys/{id}/scopes with exactly the scopes of its purpose",
        never="More scopes than the purpose has.",
        breaks=_narrow_key,
        is_mended=_scopes_fit,
        mends=(("api_keys.set_scopes", "key"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="old_role_in_sign_in",
        symptoms=("no_permission",),
        slot="role",
        broken="The user's sign-in carries another role than the user has (`role_at_sign_in`).",
        mended_by="POST /v1/users/{id}/sign-out; they sign in again",
        never="Changing the role instead.",
        breaks=_stale_sessions,
        is_mended=_no_stale_session,
        mends=(("users.sign_out", "user"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="role_was_lowered",
        symptoms=("no_permission",),
        slot="role",
        broken="Somebody of the client's own account made the user a member; sign-ins and role agree.",
        mended_by="The account's owner decides about roles.",
        never="Always: support gives nobody a role.",
        breaks=_lower_role,
        is_mended=never_mended,
        group=("security", "needs_consent", "cannot_fix", "nothing_wrong"),
    )
)
add(
    Fault(
        name="foreign_sign_in",
        symptoms=("strange_sign_in",),
        slot="role",
        broken="An active sign-in from an unknown device in an unusual country (`known_device: false`).",
        mended_by="The security team.",
        never="Always: it is evidence.",
        breaks=_foreign_session,
        is_mended=never_mended,
        group=("security",),
    )
)
add(
    Fault(
        name="suspended_for_fraud",
        symptoms=("suspended",),
        slot="suspension",
        broken="The risk team suspended and flagged the account (`fraud_flag`).",
        mended_by="The risk team.",
        never="Always, and nothing else may be changed for the account either.",
        breaks=_suspend_for_fraud,
        is_mended=never_mended,
        group=("security",),
    )
)
