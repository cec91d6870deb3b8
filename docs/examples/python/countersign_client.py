"""A client of Countersign in plain Python: what a calling service needs, and no more.

What lives here: stubs made from the contract at run time, one method per call, and errors told by the reason in
their ErrorInfo. What to do with the answers is the caller's business, and so is asking again: every method that changes
something takes a `request_id`, and a call that is repeated with the same one and the same fields is one change.
"""

import importlib
import importlib.resources
import pathlib
import sys
import tempfile
import uuid

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[3] / "proto"
TIMEOUT_SECONDS = 10


def generate(into):
    """Python modules of the contract: `python -m grpc_tools.protoc -I… --python_out=… --grpc_python_out=… *.proto`."""
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    files = sorted(str(path) for path in (PROTO / "countersign" / "v1").glob("*.proto"))
    options = [f"-I{PROTO}", f"-I{well_known}", f"--python_out={into}", f"--grpc_python_out={into}"]
    if protoc.main(["protoc", *options, *files]) != 0:
        raise RuntimeError("the contract does not compile")


with tempfile.TemporaryDirectory() as folder:
    generate(folder)
    sys.path.insert(0, folder)
    modules = {
        path.stem: importlib.import_module(f"countersign.v1.{path.stem}")
        for path in pathlib.Path(folder, "countersign", "v1").glob("*.py")
    }
    sys.path.remove(folder)

account, login, policy = (modules[f"{name}_service_pb2"] for name in ("account", "login", "policy"))
types, policy_types = (modules[f"{name}_pb2"] for name in ("types", "policy"))
account_grpc, login_grpc, policy_grpc = (modules[f"{name}_service_pb2_grpc"] for name in ("account", "login", "policy"))


def value(name):
    """The number of an enum's value, by its name in the contract."""
    return next(getattr(module, name) for module in modules.values() if hasattr(module, name))


def bits(enum, number):
    """The name of an enum's value without its prefix, such as `VERIFIED`."""
    kind = next(getattr(module, enum) for module in modules.values() if hasattr(module, enum))
    prefix = "".join(f"_{letter}" if letter.isupper() else letter for letter in enum).upper().lstrip("_")
    return kind.Name(number).removeprefix(f"{prefix}_")


def short(secret):
    """Enough of a secret to recognise it in a transcript, and too little to use it."""
    return f"{secret[:4]}…"


# How many fields a text names at most.
FIELDS_TOLD = 8


class Refusal(Exception):
    """An error of the service: its status, the reason to decide by, and what belongs to it.

    `retry_after` says when to ask again at the earliest (a `timedelta`, or None), and `incident_id` is the id under which
    the service's log tells more. Its text names the fields that are wrong. Nothing of it is a value that was sent.
    """

    def __init__(self, error):
        self.status = error.code().name
        self.reason = ""
        self.metadata = {}
        self.violations = []
        self.retry_after = None
        self.incident_id = ""
        rich = rpc_status.from_call(error)
        for detail in rich.details if rich else ():
            info, wrong = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            retry, incident = error_details_pb2.RetryInfo(), error_details_pb2.RequestInfo()
            if detail.Unpack(info) and info.domain == "countersign":
                self.reason = info.reason
                self.metadata = dict(info.metadata)
            elif detail.Unpack(wrong):
                self.violations = [(one.field, one.description) for one in wrong.field_violations]
            elif detail.Unpack(retry) and retry.HasField("retry_delay"):
                self.retry_after = retry.retry_delay.ToTimedelta()
            elif detail.Unpack(incident):
                self.incident_id = incident.request_id
        fields = "".join(f"; {field}: {problem}" for field, problem in self.violations[:FIELDS_TOLD])
        asked = f"; incident {self.incident_id}" if self.incident_id else ""
        super().__init__(f"{self.status} {self.reason or error.details()}{asked}{fields}")


def certificates(authority, certificate, key):
    """What a real server wants: who issued its certificate, and the caller's own certificate with its key (PEM files)."""
    read = [pathlib.Path(path).read_bytes() for path in (authority, key, certificate)]
    return grpc.ssl_channel_credentials(*read)


class Countersign:
    """A connection. The development server speaks plain text on loopback; a real one wants `certificates`."""

    def __init__(self, target, credentials=None):
        self.channel = grpc.secure_channel(target, credentials) if credentials else grpc.insecure_channel(target)
        self.login = login_grpc.LoginServiceStub(self.channel)
        self.account = account_grpc.AccountServiceStub(self.channel)
        self.policy = policy_grpc.PolicyServiceStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def user(self, tenant_id, user_id, passed_at):
        return User(self, tenant_id, user_id, passed_at)

    def name_relying_party(self, tenant_id, relying_party_id, origins, request_id=None):
        """Says which pages may ask for the tenant's security keys; an operator's business, once."""
        security_key = policy_types.SecurityKeyPolicy(
            requires_other_type=True, relying_party_id=relying_party_id, origins=origins
        )
        request = policy.UpdatePolicyRequest(
            tenant_id=tenant_id,
            policy=policy_types.Policy(security_key=security_key),
            actor=types.Actor(operator="olga"),
            request_id=request_id,
        )
        return call(self.policy.UpdatePolicy, request)


def new_request_id():
    """An id for one change: for whoever may have to ask again, by the same id."""
    return str(uuid.uuid4())


def call(method, request):
    """One try. A change that has no `request_id` is given one, which is gone with the call."""
    if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
        request.request_id = new_request_id()
    try:
        return method(request, timeout=TIMEOUT_SECONDS)
    except grpc.RpcError as error:
        raise Refusal(error) from error


def first_factor(passed_at, **fields):
    """The password passed at that time, or what `fields` say."""
    if passed_at.tzinfo is None:
        raise ValueError("a time without a zone is anybody's guess")
    verify_time = Timestamp()
    verify_time.FromDatetime(passed_at)
    return types.FirstFactor(**{"verify_time": verify_time, "method": value("FIRST_FACTOR_METHOD_PASSWORD")} | fields)


class User:
    """What a login page and a settings page ask for one user.

    `passed_at` is when the first factor of this session passed (a `datetime` with a zone), or None where none did. Keep it
    with the session: the time of a call in its place would make an old password look fresh, also after it was changed.
    """

    value = staticmethod(value)

    def __init__(self, service, tenant_id, user_id, passed_at):
        self.service = service
        self.ids = {"tenant_id": tenant_id, "user_id": user_id}
        self.passed_at = passed_at

    def first_factor(self, **fields):
        """The word that the first factor passed, where it did."""
        return None if self.passed_at is None else first_factor(self.passed_at, **fields)

    def actor(self):
        """The user, with the word that their first factor passed."""
        return types.Actor(user_id=self.ids["user_id"], first_factor=self.first_factor())

    def own(self, method, request, **fields):
        """One of the user's own calls. A `request_id` makes it safe to repeat where the answer got lost."""
        return call(method, request(**self.ids, actor=self.actor(), **fields))

    def status(self):
        return self.own(self.service.account.GetStatus, account.GetStatusRequest).status

    def login(self, answer=None, request_id=None, **passed):
        """Asks for a verdict; the password passed, or what `passed` says."""
        request = login.CheckLoginRequest(
            **self.ids,
            purpose=value("LOGIN_PURPOSE_LOGIN"),
            first_factor=self.first_factor(**passed),
            request_id=request_id,
        )
        if answer is not None:
            request.answer.code = answer
        return call(self.service.login.CheckLogin, request).decision

    def answer(self, challenge, code, request_id=None):
        return self.answer_by(challenge, types.Proof(code=code), request_id)

    def answer_with_key(self, challenge, credential, request_id=None):
        """With the JSON of what `navigator.credentials.get()` gave for the method's options."""
        return self.answer_by(challenge, types.Proof(webauthn_credential_json=credential), request_id)

    def answer_by(self, challenge, answer, request_id=None):
        request = login.AnswerChallengeRequest(challenge=challenge, answer=answer, request_id=request_id)
        return call(self.service.login.AnswerChallenge, request).decision

    def begin_totp(self, **fields):
        return self.own(self.service.account.BeginTotpEnrollment, account.BeginTotpEnrollmentRequest, **fields)

    def begin_security_key(self, **fields):
        request = account.BeginSecurityKeyEnrollmentRequest
        return self.own(self.service.account.BeginSecurityKeyEnrollment, request, **fields)

    def confirm(self, enrollment_id, code, **fields):
        return self.confirm_by(enrollment_id, types.Proof(code=code), **fields)

    def confirm_security_key(self, enrollment_id, credential, **fields):
        """With the JSON of what `navigator.credentials.create()` gave for the options of the enrollment."""
        return self.confirm_by(enrollment_id, types.Proof(webauthn_credential_json=credential), **fields)

    def confirm_by(self, enrollment_id, proof, **fields):
        fields |= {"enrollment_id": enrollment_id, "proof": proof}
        return self.own(self.service.account.ConfirmEnrollment, account.ConfirmEnrollmentRequest, **fields)

    def rename(self, authenticator_id, display_name, **fields):
        fields |= {"authenticator_id": authenticator_id, "display_name": display_name}
        return self.own(self.service.account.RenameAuthenticator, account.RenameAuthenticatorRequest, **fields)

    def new_recovery_codes(self, code, **fields):
        fields |= proof(code)
        return self.own(self.service.account.GenerateRecoveryCodes, account.GenerateRecoveryCodesRequest, **fields)

    def disable(self, code, **fields):
        fields |= proof(code)
        return self.own(self.service.account.DisableTwoFactor, account.DisableTwoFactorRequest, **fields)


def proof(code):
    """The fields of a proof by code, or none."""
    return {} if code is None else {"proof": types.Proof(code=code)}
