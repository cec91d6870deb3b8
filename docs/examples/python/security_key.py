"""A security key as second factor, driven over the gRPC contract.

What lives here: the story (an app first, then a key, which signs in) and what each step must answer. The key, and
the browser before it, is soft-webauthn, which shares nothing with the service but the standard. How to call the
service lives in `countersign_client.py`, how to check its answers in `walk.py`.

It is for a tenant with the rules of the preset `self-service-password`, and names that tenant's relying party.
"""

import argparse
import base64
import json
import secrets
import sys
from datetime import datetime, timezone

from soft_webauthn import SoftWebauthnDevice

from countersign_client import Countersign, bits
from walk import App, Surprise, check, refused, say, title, verdict

PARTY = "example.com"
ORIGIN = "https://login.example.com"


def to_bytes(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def to_text(data):
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


class Key:
    """A security key and the page that talks to it: takes options as JSON, and gives a credential as JSON."""

    def __init__(self):
        self.device = SoftWebauthnDevice()

    def create(self, options, origin=ORIGIN):
        options = json.loads(options)
        options["challenge"] = to_bytes(options["challenge"])
        options["user"]["id"] = to_bytes(options["user"]["id"])
        return self.told(self.device.create({"publicKey": options}, origin))

    def get(self, options, origin=ORIGIN):
        options = json.loads(options)
        options["challenge"] = to_bytes(options["challenge"])
        return self.told(self.device.get({"publicKey": options}, origin))

    @staticmethod
    def told(credential):
        raw = to_text(credential["rawId"])
        response = {name: to_text(value) for name, value in credential["response"].items()}
        return json.dumps({"id": raw, "rawId": raw, "type": credential["type"], "response": response})


def asked(user):
    """A login that is asked for the second factor: the challenge, and what keys are to sign for it."""
    challenge = verdict("login with the password", user.login(), "challenge_required")
    key = next(way for way in challenge.methods if bits("AuthenticatorType", way.type) == "SECURITY_KEY")
    return challenge.challenge, key.webauthn_request_options_json


def enrol(user):
    title("An app first")
    refused("a key", "OTHER_AUTHENTICATOR_REQUIRED", user.begin_security_key)
    begun = user.begin_totp()
    user.confirm(begun.enrollment_id, App(begun.otpauth_uri).code())
    check("on, with an app", user.status().state == user.value("TWO_FACTOR_STATE_ON"))

    title("Then a key")
    begun = user.begin_security_key(account_label="ann@example.com")
    options = json.loads(begun.webauthn_creation_options_json)
    check(f"the browser shows {options['user']['name']}", options["user"]["name"] == "ann@example.com")
    check("the challenge has 128 bits at least", len(to_bytes(options["challenge"])) >= 16)
    key = Key()
    elsewhere = Key().create(begun.webauthn_creation_options_json, "https://login.example.org")
    refused(
        "a credential made for another page",
        "PROOF_INCORRECT",
        lambda: user.confirm_security_key(begun.enrollment_id, elsewhere),
    )
    made = key.create(begun.webauthn_creation_options_json)
    own = user.confirm_security_key(begun.enrollment_id, made).authenticator
    check("the key is enrolled", own.type == user.value("AUTHENTICATOR_TYPE_SECURITY_KEY"))
    check("and said to be one piece of hardware", not own.synced)
    return key, own.authenticator_id


def sign_in(user, key, own):
    title("Signing in with it")
    challenge, options = asked(user)
    answer = key.get(options)
    allowed = verdict("what the key signed", user.answer_with_key(challenge, answer), "allowed")
    check("by that key", allowed.authenticator_id == own)
    check("resisting phishing", allowed.phishing_resistant and list(allowed.amr) == ["pwd", "hwk", "mfa"])
    refused("the same once more", "CHALLENGE_INVALID", lambda: user.answer_with_key(challenge, answer))
    challenge, options = asked(user)
    verdict("the same for the next login", user.answer_with_key(challenge, answer), "refused")
    challenge, options = asked(user)
    phished = key.get(options, "https://login.example.org")
    verdict("what it signed for another page", user.answer_with_key(challenge, phished), "refused")
    challenge, options = asked(user)
    verdict("what it signs now", user.answer_with_key(challenge, key.get(options)), "allowed")


def copied(user, key):
    title("A copy of it")
    key.device.sign_count = 0
    challenge, options = asked(user)
    verdict("a counter that fell", user.answer_with_key(challenge, key.get(options)), "refused")
    states = [bits("AuthenticatorState", own.state) for own in user.status().authenticators]
    check(f"the key is closed: {', '.join(states)}", states == ["ACTIVE", "DISABLED"])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--target", default="127.0.0.1:50051", help="address of a `countersign serve --dev`")
    arguments.add_argument("--tenant", default="self-service-password")
    arguments.add_argument("--user", default=f"ann-{secrets.token_hex(4)}", help="a fresh one if not given")
    chosen = arguments.parse_args()
    with Countersign(chosen.target) as service:
        service.name_relying_party(chosen.tenant, PARTY, [ORIGIN])
        user = service.user(chosen.tenant, chosen.user, passed_at=datetime.now(timezone.utc))
        say(f"{chosen.user} of {chosen.tenant} at {chosen.target}")
        try:
            key, own = enrol(user)
            sign_in(user, key, own)
            copied(user, key)
        except Surprise as surprise:
            say(f"  NOT SO: {surprise}")
            return 1
    say("\nAll of it as the contract says.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
