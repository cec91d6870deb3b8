"""Verifies what `countersign audit export` wrote, with nothing of Countersign: from docs/security/audit.md alone.

    python verify_audit_export.py EXPORT --public-key ID:HEX [--against SEALS]

Prints a line for each tenant, or the first thing that is wrong. Exit code 0: all of it holds; 1: something does not.
"""

import argparse
import base64
import hashlib
import json
import sys
import uuid

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ERASED = '{"ip_address":"","user_agent":"","application":"","language_code":""}'
ENTRY = 72


class Refused(Exception):
    """The export does not prove what it says."""


def require(holds, what):
    if not holds:
        raise Refused(what)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def number(value):
    """64 bits, two's complement, big endian."""
    return value.to_bytes(8, "big", signed=value < 0)


def field(value):
    """Length and bytes; a missing one has a length that no field has."""
    return b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value


def text(value):
    return None if value is None else value.encode()


def identifier(value):
    return None if value is None else uuid.UUID(value).bytes


def commitment(event):
    salt, client = bytes.fromhex(event["client_salt"]), event["client"]
    if event["client_commitment"] is not None:
        require(client == ERASED and not salt, f"event {event['event_id']}: claims beside a commitment")
        return bytes.fromhex(event["client_commitment"])
    head = b"countersign/v1/audit-client\0" + uuid.UUID(event["event_id"]).bytes
    return sha256(head, field(salt), field(client.encode()))


def event_hash(event):
    fields = [
        text(event["tenant_id"]),
        number(event["transaction_id"]),
        number(event["number"]),
        identifier(event["event_id"]),
        number(event["event_time"]),
        text(event["user_id"]),
        text(event["kind"]),
        identifier(event["authenticator_id"]),
        text(event["authenticator_kind"]),
        text(event["details"]),
        text(event["actor"]),
        text(event["actor_claims"]),
        text(event["caller"]),
        commitment(event),
        number(event["policy_revision"]),
        identifier(event["request_id"]),
        text(event["trace_id"]),
    ]
    return sha256(b"countersign/v1/audit-event\0", *map(field, fields))


def entry(event):
    place = number(event["transaction_id"]) + number(event["number"]) + number(event["event_time"])
    return place + identifier(event["event_id"]) + event_hash(event)


def root(leaves):
    """The Merkle tree of RFC 9162, section 2.1.1."""
    if len(leaves) == 1:
        return sha256(b"\0", leaves[0])
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1", root(leaves[:left]), root(leaves[left:]))


def statement(signed, heading, keys):
    """The lines of a statement by their names, once its signature holds."""
    lines = signed["statement"].split("\n")
    require(lines[0] == heading and lines[-1] == "", f"not a statement of {heading}")
    names = dict(line.split(": ", 1) for line in lines[1:-1])
    key, public = names["key"].split(" ")
    require(keys.get(int(key)) == public, f"key {key} is not one that is believed")
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signed["signature"]), signed["statement"].encode())
    except InvalidSignature:
        raise Refused("a signature does not hold") from None
    return names


class Tenant:
    """The export of one tenant, line after line."""

    def __init__(self, line, keys, earlier):
        self.keys, self.earlier = keys, earlier
        manifest = statement(line, "countersign.v1.audit-export", keys)
        self.id = manifest["tenant"]
        first, last, self.last_hash = manifest["seals"].split(" ")
        self.first, self.last = int(first), int(last)
        self.events_through = int(manifest["events-through"])
        self.head = (self.first - 1, "0" * 64 if self.first == 1 else None)
        self.through = None
        self.dropped_before = None
        self.segments = []
        self.open = None
        self.proved = 0

    def seal(self, line):
        names = statement(line, "countersign.v1.audit-seal", self.keys)
        place = int(names["number"])
        require(place == self.head[0] + 1, f"seal {self.head[0] + 1} is missing")
        require(names["tenant"] == self.id, f"seal {place} is of another tenant")
        require(self.head[1] in (None, names["previous"]), f"seal {place} does not follow on the one before")
        known = self.earlier.get((self.id, place))
        require(known in (None, line["statement"]), f"seal {place} differs from the earlier one")
        through = tuple(map(int, names["through"].split(" ")))
        if "dropped-before" in names:
            require(self.through in (None, through), f"seal {place} is a mark that seals events")
            self.dropped_before = max(self.dropped_before or 0, int(names["dropped-before"]))
        else:
            require(self.through is None or self.through < through, f"seal {place} goes back")
            if place <= self.events_through:
                count, digest = names["events"].split(" ")[:2]
                self.segments.append((place, int(count), digest, self.through, through))
        self.through = through
        self.head = (place, hashlib.sha256(line["statement"].encode()).hexdigest())

    def entries(self, line):
        self.close()
        self.whole_chain()
        require(self.segments, f"entries of seal {line['number']} are one too many")
        segment = self.segments.pop(0)
        require(segment[0] == line["number"], f"the events of seal {segment[0]} are missing")
        self.open = (segment, base64.b64decode(line["entries"]), [])

    def event(self, line):
        require(self.open, f"event {line['event_id']} belongs to no seal")
        require(line["tenant_id"] == self.id, f"event {line['event_id']} is of another tenant")
        self.open[2].append(line)

    def close(self):
        """Holds the events of a seal against its entries, and these against its root."""
        if not self.open:
            return
        (place, count, digest, after, through), packed, events = self.open
        self.open = None
        leaves = [packed[at : at + ENTRY] for at in range(0, len(packed), ENTRY)]
        require(len(leaves) == count and len(packed) == count * ENTRY, f"seal {place} has other entries")
        require(root(leaves).hex() == digest, f"seal {place} has other entries")
        places = [(int.from_bytes(leaf[:8], "big"), int.from_bytes(leaf[8:16], "big")) for leaf in leaves]
        require(places == sorted(set(places)) and places[-1] == through, f"seal {place} has other places")
        require(after is None or places[0] > after, f"seal {place} begins too early")
        for leaf in leaves:
            name = f"event {uuid.UUID(bytes=leaf[24:40])} of seal {place}"
            if events and entry(events[0]) == leaf:
                events.pop(0)
                self.proved += 1
            else:
                old = int.from_bytes(leaf[16:24], "big", signed=True) < (self.dropped_before or 0)
                there = any(identifier(event["event_id"]) == leaf[24:40] for event in events)
                require(old and not there, f"{name} was edited, moved or taken away")
        require(not events, f"seal {place} has more events than it sealed")

    def whole_chain(self):
        require(self.head == (self.last, self.last_hash), f"seals end with {self.head[0]} and not {self.last}")
        newest = max((place for tenant, place in self.earlier if tenant == self.id), default=0)
        require(newest <= self.last, f"seal {newest} was there earlier")

    def end(self):
        self.close()
        self.whole_chain()
        require(not self.segments, "the events of seals are missing at the end")
        print(f"tenant {self.id}: seals {self.first} to {self.last} hold, and {self.proved} events")


def verify(lines, keys, earlier):
    tenant, seen = None, set()
    for line in map(json.loads, lines):
        if line["line"] == "export":
            if tenant:
                tenant.end()
            tenant = Tenant(line, keys, earlier)
            require(tenant.id not in seen, f"tenant {tenant.id} is there twice")
            seen.add(tenant.id)
        else:
            require(tenant, "the export does not begin with its statement")
            getattr(tenant, {"seal": "seal", "entries": "entries", "event": "event"}[line["line"]])(line)
    require(tenant, "the export is empty")
    tenant.end()
    missing = {tenant for tenant, _ in earlier} - seen
    require(not missing, f"not there: {sorted(missing)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("export")
    parser.add_argument("--public-key", action="append", required=True, metavar="ID:HEX")
    parser.add_argument("--against", metavar="SEALS")
    arguments = parser.parse_args()
    keys = {int(key): public for key, public in (it.split(":") for it in arguments.public_key)}
    earlier = {}
    if arguments.against:
        with open(arguments.against, encoding="utf-8") as lines:
            for line in map(json.loads, lines):
                earlier[line["tenant"], line["number"]] = line["statement"]
    try:
        with open(arguments.export, encoding="utf-8") as lines:
            verify(lines, keys, earlier)
    except Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 1
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        print("refused: a line is none of an export", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
