"""Shows the examples of docstrings as code."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object


class Doctests(Extension):
    """Puts each run of lines that begins with `>>>` into a fence, up to the next empty line."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring is not None:
            example = re.compile(r"^>>>.*(?:\n.+)*", re.MULTILINE)
            obj.docstring.value = example.sub(r"```python\n\g<0>\n```", obj.docstring.value)
