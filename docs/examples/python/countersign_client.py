"""A client of Countersign in plain Python: what a calling service needs, and no more.

What lives here: stubs made from the contract at run time, one method per call, and errors told by the reason in
their ErrorInfo. What to do with the answers is the caller's business.
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

account, login, types = (modules[f"{name}_pb2"] for name in ("account_service", "login_service", "types"))
account_grpc, login_grpc = (modules[f"{name}_service_pb2_grpc"] for name in ("account", "login"))


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


class Refusal(Exception):
    """An error of the service: its status, the reason to decide by, and what belongs to it."""

    def __init__(self, error):
        self.status = error.code().name
        self.reason = ""
        self.metadata = {}
        rich = rpc_status.from_call(error)
        for detail in rich.details if rich else ():
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info) and info.domain == "countersign":
                self.reason = info.reason
                self.metadata = dict(info.metadata)
        super().__init__(f"{self.status} {self.reason or error.details()}")


class Countersign:
    """A connection. The development server speaks plain text on loopback; a real one wants certificates."""

    def __init__(self, target):
        self.channel = grpc.insecure_channel(target)
        self.login = login_grpc.LoginServiceStub(self.channel)
        self.account = account_grpc.AccountServiceStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def user(self, tenant_id, user_id):
        return User(self, tenant_id, user_id)


class User:
    """What a login page and a settings page ask for one user."""

    value = staticmethod(value)

    def __init__(self, service, tenant_id, user_id):
        self.service = service
        self.ids = {"tenant_id": tenant_id, "user_id": user_id}

    def call(self, method, request):
        try:
            return method(request, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            raise Refusal(error) from error

    def actor(self):
        return types.Actor(user_id=self.ids["user_id"])

    def own(self, method, request, **fields):
        """One of the user's own calls. A `request_id` makes it safe to repeat where the answer got lost."""
        message = request(**self.ids, actor=self.actor(), **fields)
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            message.request_id = str(uuid.uuid4())
        return self.call(method, message)

    def status(self):
        return self.own(self.service.account.GetStatus, account.GetStatusRequest).status

    def login(self, answer=None, **first_factor):
        """Asks for a verdict; the password has just passed, or what `first_factor` says, or nothing if None."""
        request = login.CheckLoginRequest(**self.ids, purpose=value("LOGIN_PURPOSE_LOGIN"))
        if first_factor != {"first_factor": None}:
            passed = {"method": value("FIRST_FACTOR_METHOD_PASSWORD"), **first_factor}
            now = Timestamp()
            now.GetCurrentTime()
            request.first_factor.CopyFrom(types.FirstFactor(verify_time=now, **passed))
        if answer is not None:
            request.answer.code = answer
        request.request_id = str(uuid.uuid4())
        return self.call(self.service.login.CheckLogin, request).decision

    def answer(self, challenge, code):
        request = login.AnswerChallengeRequest(challenge=challenge, answer=types.Proof(code=code))
        request.request_id = str(uuid.uuid4())
        return self.call(self.service.login.AnswerChallenge, request).decision

    def begin_totp(self, **fields):
        return self.own(self.service.account.BeginTotpEnrollment, account.BeginTotpEnrollmentRequest, **fields)

    def confirm(self, enrollment_id, code, **fields):
        proof = types.Proof(code=code)
        fields |= {"enrollment_id": enrollment_id, "proof": proof}
        return self.own(self.service.account.ConfirmEnrollment, account.ConfirmEnrollmentRequest, **fields)

    def rename(self, authenticator_id, display_name):
        fields = {"authenticator_id": authenticator_id, "display_name": display_name}
        return self.own(self.service.account.RenameAuthenticator, account.RenameAuthenticatorRequest, **fields)

    def new_recovery_codes(self, code):
        return self.own(
            self.service.account.GenerateRecoveryCodes, account.GenerateRecoveryCodesRequest, **proof(code)
        )

    def disable(self, code, **fields):
        fields |= proof(code)
        return self.own(self.service.account.DisableTwoFactor, account.DisableTwoFactorRequest, **fields)


def proof(code):
    """The fields of a proof by code, or none."""
    return {} if code is None else {"proof": types.Proof(code=code)}
