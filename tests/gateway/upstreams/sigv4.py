"""Whether a request is signed as AWS wants it (Signature Version 4), computed from the request as it came.

Source: Amazon's documentation "Create a signed AWS API request". The path is signed encoded twice, as for every service
but S3. What the signature must cover: the host and, where there is one, the security token.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import quote

from tests.gateway.upstreams.http import Request

__all__ = ["ACCESS_KEY", "SECRET_KEY", "wrong"]

ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
_FORM = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/bedrock/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)


def wrong(request: Request, given: str) -> str | None:
    """What AWS would say; None where the signature is right."""
    found = _FORM.fullmatch(given)
    if found is None:
        return "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters."
    access, day, region, names, signature = found.groups()
    if access != ACCESS_KEY:
        return "The security token included in the request is invalid."
    signed = names.split(";")
    at = request.header("x-amz-date") or ""
    if "host" not in signed or not at.startswith(day):
        return "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
    digest = hashlib.sha256(request.body).hexdigest()
    lines = [request.method, quote(request.raw_path, safe="/-_.~"), _query(request.query)]
    lines += [f"{name}:{' '.join((request.header(name) or '').split())}" for name in signed]
    lines += ["", names, request.header("x-amz-content-sha256") or digest]
    scope = f"{day}/{region}/bedrock/aws4_request"
    hashed = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (day, region, "bedrock", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    right = hmac.digest(key, f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashed}".encode(), "sha256").hex()
    if not hmac.compare_digest(right, signature) or request.header("x-amz-content-sha256") not in (None, digest):
        return "The request signature we calculated does not match the signature you provided."
    return None


def _query(query: str) -> str:
    return "&".join(sorted(part if "=" in part else f"{part}=" for part in query.split("&") if part))
