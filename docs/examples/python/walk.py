"""A user's life with two-factor authentication, driven over the gRPC contract.

What lives here: the story (off, enrol, log in, replay, recovery codes, switch off) and what each step must
answer. How to call the service lives in `countersign_client.py`. Nothing here knows the service's inside: the
stubs come from the contract, the codes from pyotp, and the QR picture is read by a barcode library.

It is for a tenant with the rules of the preset `self-service-code`. Nothing waits for a code to change: of the
three codes that the service accepts at a time (the one before, the present one, the next) each is used once,
and recovery codes serve for the rest.
"""

import argparse
import io
import secrets
import sys
import time
from datetime import datetime, timezone

import pyotp
import zxingcpp
from PIL import Image

from countersign_client import Countersign, Refusal, bits, new_request_id, short


class Surprise(Exception):
    """The service answered something else than the contract promises."""


def say(text):
    print(text, flush=True)


def title(text):
    say(f"\n{text}")


def check(what, holds):
    """One line of the transcript, true or the end of it."""
    if not holds:
        raise Surprise(what)
    say(f"  {what}")


def refused(what, reason, call, **metadata):
    """The call must fail for this reason, and say so in ErrorInfo."""
    try:
        call()
    except Refusal as refusal:
        if refusal.reason != reason:
            raise Surprise(f"{what}: {refusal} instead of {reason}") from refusal
        told = {key: refusal.metadata.get(key) for key in metadata}
        if told != metadata:
            raise Surprise(f"{what}: the metadata is {refusal.metadata}") from refusal
        if metadata.get("field", "") not in str(refusal):
            raise Surprise(f"{what}: its text does not name the field: {refusal}") from refusal
        say(f"  {what}: {refusal.status} {refusal.reason}")
        return refusal
    raise Surprise(f"{what}: answered, where {reason} was due")


def verdict(what, decision, expected):
    """The login's verdict must be this one. Returns its body."""
    given = decision.WhichOneof("verdict")
    if given != expected:
        raise Surprise(f"{what}: {given}, where {expected} was due")
    body = getattr(decision, given)
    detail = ""
    if given == "allowed":
        detail = f" {bits('Assurance', body.assurance)}, amr {' '.join(body.amr)}"
    say(f"  {what}: {given}{detail}")
    return body


class App:
    """The authenticator app on the user's phone: whatever the picture says, and a clock."""

    def __init__(self, uri):
        self.uri = uri
        self.totp = pyotp.parse_uri(uri)

    def step(self):
        """Which step of its period the clock is in."""
        return int(time.time()) // self.totp.interval

    def code(self, steps=0):
        """The code shown now, or so many steps later or earlier."""
        return self.totp.generate_otp(self.step() + steps)

    def wrong(self):
        """A well-formed code that no moment within a quarter of an hour shows."""
        near = {self.code(steps) for steps in range(-30, 31)}
        return next(code for code in (f"{number:06}" for number in range(100)) if code not in near)

    def previous(self, call):
        """`call` with the code before the present one. If that one rotated out on the way, with the next."""
        while True:
            step = self.step()
            try:
                return call(self.code(-1))
            except Refusal:
                if self.step() == step:
                    raise


def begin(user):
    """Begins to enrol, and checks that everything handed out says the same. Returns the app and the enrollment."""
    begun = user.begin_totp(account_label="ann+2fa@example.com")
    check(f"URI {begun.otpauth_uri[:34]}…", begun.otpauth_uri.startswith("otpauth://totp/"))
    picture = Image.open(io.BytesIO(begun.qr_png))
    seen = zxingcpp.read_barcode(picture)
    check(f"the picture ({picture.width} pixels wide) shows that URI", seen and seen.text == begun.otpauth_uri)
    check("there is one as SVG too", begun.qr_svg.lstrip().startswith(("<svg", "<?xml")))
    app = App(begun.otpauth_uri)
    secret = app.totp.secret
    groups = [secret[at : at + 4] for at in range(0, len(secret), 4)]
    check(f"key for typing by hand: {short(begun.manual_key)}", begun.manual_key == " ".join(groups))
    check("it has 160 bits", len(secret) == 32)
    check(f"the app shows {app.totp.issuer}: {app.totp.name}", app.totp.name == "ann+2fa@example.com")
    parameters = (app.totp.digest().name, app.totp.digits, app.totp.interval)
    check("SHA-1, 6 digits, 30 seconds, as every app understands", parameters == ("sha1", 6, 30))
    return app, begun.enrollment_id


MALFORMED = ["", "12345", "1234567", "12345a", "+12345", "123456\n", "12345６", "１２３４５６", "123\t456"]


def before(user):
    title("Before: no second factor")
    status = user.status()
    check("status off, recommended", status.state == user.value("TWO_FACTOR_STATE_OFF") and status.recommended)
    allowed = verdict("login with the password", user.login(), "allowed")
    check("and an invitation to enrol", allowed.enrollment_recommended)
    stranger = user.service.user(**user.ids, passed_at=None)
    refused("without a first factor", "PROOF_REQUIRED", stranger.login)


def enrol(user):
    title("Beginning to enrol an app")
    app, enrollment = begin(user)
    status = user.status()
    check("pending, and still off", status.HasField("pending_enrollment") and not status.authenticators)
    verdict("a login is not asked yet", user.login(answer=app.code()), "allowed")

    title("Confirming it")
    confirming = once = ""

    def confirm(code):
        nonlocal confirming, once
        confirming, once = code, new_request_id()
        return user.confirm(enrollment, code, request_id=once)

    refused("a wrong code", "PROOF_INCORRECT", lambda: confirm(app.wrong()))
    for code in MALFORMED:
        refused(f"{code!r}", "FIELD_INVALID", lambda code=code: confirm(code), field="proof.code")
    hint = refused("a phone five minutes ahead", "PROOF_INCORRECT", lambda: confirm(app.code(10)))
    check(
        f"which is told: clock_offset_seconds {hint.metadata['clock_offset_seconds']}",
        hint.metadata["clock_offset_seconds"] in ("270", "300"),
    )
    refused("a code that rotated out two steps ago", "PROOF_INCORRECT", lambda: confirm(app.code(-3)))
    done = app.previous(confirm)
    check("the code before the present one: on", done.status.state == user.value("TWO_FACTOR_STATE_ON"))
    codes = list(done.recovery_codes.codes)
    check(f"{len(codes)} recovery codes such as {short(codes[0])}", len(set(codes)) == 10)
    check(
        f"the same as {done.recovery_codes.text_file_name}, one a line",
        done.recovery_codes.text_file.splitlines() == codes,
    )
    repeated = user.confirm(enrollment, confirming, request_id=once)
    check("asked again by the same id, as after a lost answer: the same codes", repeated == done)

    title("After that")
    status = user.status()
    check("the status agrees", status.state == user.value("TWO_FACTOR_STATE_ON") and status.HasField("since_time"))
    own = status.authenticators[0]
    check(f"it lists {own.display_name!r}, not used yet", own.unnamed and not own.HasField("last_use_time"))
    check("and no pending enrollment", not status.HasField("pending_enrollment"))
    refused("a second app", "AUTHENTICATOR_LIMIT_REACHED", user.begin_totp)
    refused(
        "or another in its place, without switching off first",
        "AUTHENTICATOR_LIMIT_REACHED",
        lambda: user.begin_totp(replaces_authenticator_id=own.authenticator_id),
    )
    check("the status is as it was", user.status() == status)
    return app, confirming, codes


def log_in(user, app, confirming):
    title("Logging in")
    google = {"method": user.value("FIRST_FACTOR_METHOD_FEDERATED"), "identity_provider": "accounts.google.com"}
    verdict("with Google", user.login(**google), "challenge_required")
    challenge = verdict("with the password", user.login(), "challenge_required")
    ways = [bits("AuthenticatorType", method.type) for method in challenge.methods]
    check(f"the ways open: {', '.join(ways)}", sorted(ways) == ["RECOVERY_CODE", "TOTP"])

    def answer(code):
        return user.answer(challenge.challenge, code)

    verdict("the code that confirmed the app", answer(confirming), "refused")
    verdict("a code that rotated out", answer(app.code(-3)), "refused")
    for code in MALFORMED:
        refused(f"{code!r}", "FIELD_INVALID", lambda code=code: answer(code), field="answer.code")
    code = app.code()
    allowed = verdict("the present code", answer(f"{code[:3]} {code[3:]}"), "allowed")
    check("verified now, by the app", allowed.authenticator_id and list(allowed.amr) == ["pwd", "otp", "mfa"])
    refused("the same challenge again", "CHALLENGE_INVALID", lambda: answer(code))
    verdict("the same code again", user.login(answer=code), "refused")
    used = user.status().authenticators[0]
    check("the list tells when the app was used last", used.HasField("last_use_time"))


def rename(user):
    title("Naming the app")
    own = user.status().authenticators[0].authenticator_id
    renamed = user.rename(own, "  work phone ")
    check(f"its name is {renamed.authenticator.display_name!r}", renamed.authenticator.display_name == "work phone")
    check("and stays it", user.status().authenticators[0].display_name == "work phone")
    refused("65 characters", "FIELD_INVALID", lambda: user.rename(own, "n" * 65), field="display_name")


def recover(user, app, codes):
    title("Losing the phone: recovery codes")
    first = codes[0]
    allowed = verdict("a recovery code in the same field", user.login(answer=first), "allowed")
    check(f"{allowed.recovery_codes_remaining} are left", allowed.recovery_codes_remaining == 9)
    verdict("the same one again", user.login(answer=first), "refused")
    verdict("or spelled differently", user.login(answer=first.replace("-", "").lower()), "refused")
    refused("a new set without a proof", "PROOF_REQUIRED", lambda: user.new_recovery_codes(None))
    code = app.code(+1)
    new = list(user.new_recovery_codes(code).recovery_codes.codes)
    check("a new set with the next code of the app", len(new) == 10 and not set(new) & set(codes))
    refused("that code for something else", "PROOF_INCORRECT", lambda: user.disable(code), field="proof.code")
    verdict("a code of the old set", user.login(answer=codes[1]), "refused")
    for recovery_code in new[:7]:
        allowed = user.login(answer=recovery_code).allowed
    check("three are left after seven more logins", allowed.recovery_codes_remaining == 3)
    check("no warning yet", not allowed.recovery_codes_low)
    allowed = verdict("one more", user.login(answer=new[7]), "allowed")
    check("two are left, with a warning", allowed.recovery_codes_remaining == 2 and allowed.recovery_codes_low)
    check("in the status too", user.status().recovery_codes_low)
    return new[8:]


def switch_off(user, app, codes):
    title("Switching off")
    status = user.status()
    refused("without a proof", "PROOF_REQUIRED", lambda: user.disable(None), required_proofs="SECOND_FACTOR")
    refused("with a wrong code", "PROOF_INCORRECT", lambda: user.disable(app.wrong()), field="proof.code")
    check("nothing has changed", user.status().authenticators == status.authenticators)
    preview = user.disable(None, validate_only=True)
    needed = [bits("ProofKind", kind) for kind in preview.required_proofs]
    check(f"a preview says what is needed: {', '.join(needed)}", needed == ["SECOND_FACTOR"])
    done = user.disable(codes[0])
    check("with a recovery code: off", done.status.state == user.value("TWO_FACTOR_STATE_OFF"))
    check(f"advice: {done.advice[0].text}", done.advice[0].type == user.value("ADVICE_TYPE_DELETE_APP_ENTRY"))
    refused("once more", "TWO_FACTOR_NOT_ENABLED", lambda: user.disable(codes[1]))
    verdict("a login is not asked", user.login(), "allowed")


def again(user, old_app, old_code):
    title("Enrolling again")
    app, enrollment = begin(user)
    check("a fresh key", app.totp.secret != old_app.totp.secret)
    done = user.confirm(enrollment, app.code(), display_name="new phone")
    check("on, under the name given along", done.authenticator.display_name == "new phone")
    codes = list(done.recovery_codes.codes)
    check("with new recovery codes", old_code not in codes)
    verdict("the entry left over in the app", user.login(answer=old_app.code(+1)), "refused")
    verdict("a recovery code left over", user.login(answer=old_code), "refused")
    done = user.disable(app.code(+1))
    check("off again, with the app's own code", done.status.state == user.value("TWO_FACTOR_STATE_OFF"))
    check("nothing is listed", not user.status().authenticators and not done.status.recovery_codes_remaining)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--target", default="127.0.0.1:50051", help="address of a `countersign serve --dev`")
    arguments.add_argument("--tenant", default="self-service-code")
    arguments.add_argument("--user", default=f"ann-{secrets.token_hex(4)}", help="a fresh one if not given")
    chosen = arguments.parse_args()
    with Countersign(chosen.target) as service:
        user = service.user(chosen.tenant, chosen.user, passed_at=datetime.now(timezone.utc))
        say(f"{chosen.user} of {chosen.tenant} at {chosen.target}")
        try:
            before(user)
            app, confirming, codes = enrol(user)
            log_in(user, app, confirming)
            rename(user)
            codes = recover(user, app, codes)
            switch_off(user, app, codes)
            again(user, app, codes[1])
        except Surprise as surprise:
            say(f"  NOT SO: {surprise}")
            return 1
    say("\nAll of it as the contract says.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
