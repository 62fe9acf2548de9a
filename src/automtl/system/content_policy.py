"""The content security policy of a page that needs no other file, and runs no script."""

from __future__ import annotations

import base64
import hashlib


def content_policy(style: str) -> str:
    """Return the policy of a page with this one style element; style attributes are forbidden, too.

    >>> from automtl.system.content_policy import content_policy
    >>> content_policy("p { margin: 0 }").split("; ")[0]
    "default-src 'none'"
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
