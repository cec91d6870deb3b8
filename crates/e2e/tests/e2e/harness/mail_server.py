"""A mail server for tests: takes every message and prints it as one line of JSON. Its first line tells its port."""

import argparse
import asyncio
import email
import email.policy
import json
import ssl

from aiosmtpd.smtp import SMTP, AuthResult


class Printer:
    """Prints what arrives."""

    async def handle_DATA(self, _server, session, envelope):
        message = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        line = {
            "to": envelope.rcpt_tos,
            "id": str(message["Message-ID"]),
            "subject": str(message["Subject"]),
            "automatic": str(message["Auto-Submitted"]),
            "plain": message.get_body(("plain",)).get_content(),
            "html": message.get_body(("html",)).get_content(),
            "tls": session.ssl is not None,
            "authenticated": bool(session.authenticated),
        }
        print(json.dumps(line), flush=True)
        return "250 taken"


async def serve(options):
    rules = {}
    if options.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key)
        rules = {"tls_context": context, "require_starttls": True}
    if options.user:
        expected = (options.user.encode(), options.password.encode())

        def check(_server, _session, _envelope, _mechanism, data):
            return AuthResult(success=(data.login, data.password) == expected)

        rules |= {"authenticator": check, "auth_required": True}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Printer(), loop=loop, **rules), "127.0.0.1", options.port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=0)
for name in ("--certificate", "--key", "--user", "--password"):
    parser.add_argument(name)
asyncio.run(serve(parser.parse_args()))
