"""What Schemathesis cannot know of Forgewire: deliveries are signed, and lines are sent as they are."""

import hashlib
import hmac
import os

import requests
import schemathesis

_send = requests.Session.send


def _sign(request):
    """Signs two of three deliveries, so that what comes after the signature is fuzzed, too."""
    secret = os.environ.get("WEBHOOK_SECRET")
    body = request.body or b""
    body = body.encode() if isinstance(body, str) else body
    if not secret or not isinstance(body, bytes) or "/webhooks/" not in request.url:
        return
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if digest[0] < "b":
        request.headers["X-Hub-Signature-256"] = "sha256=" + digest


def send(self, request, **arguments):
    # Here the bytes of the body are final.
    _sign(request)
    return _send(self, request, **arguments)


requests.Session.send = send


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else b"{}\n"


@schemathesis.hook
def filter_path_parameters(context, path_parameters):
    """A time of nothing, or with a slash, is another path."""
    time = str((path_parameters or {}).get("timestamp", "x"))
    return bool(time.strip(". ")) and "/" not in time


@schemathesis.hook
def map_query(context, query):
    """A stream of a subscription has no filters: beside them its id, which is unknown, would never be looked for."""
    if query and "subscription" in query and context.operation.path.endswith("/events/stream"):
        return {"subscription": query["subscription"]}
    return query
