"""A drawing with a description in words, as part of a page, as an SVG or PNG file."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from automtl.report.style import COLOURS
from automtl.report.style_sheet import StyleSheet
from automtl.report.words import clean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG, LINK = "http://www.w3.org/2000/svg", "{http://www.w3.org/1999/xlink}href"
FONT = re.compile(r"(font(?:-family)?:[^;]*?)'DejaVu Sans'[^;]*")
REFERENCE = re.compile(r"#([\w-]+)")
PNG_DPI = 144


@dataclass(frozen=True)
class Picture:
    """A figure with its texts. `name`: for files and ids; `description`: content in words; `note`: how to read it."""

    name: str
    title: str
    description: str
    figure: Figure
    note: str = ""
    wide: bool = False

    def svg(self) -> str:
        """Return the text of an SVG file: light colours on a white ground."""
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + _text(self._tree(transparent=False))

    def inline(self, sheet: StyleSheet) -> str:
        """Return SVG for a page, with the colours and font of its style, and ids that are unique to the picture.

        Styles become classes of the page's `sheet`.
        """
        root = self._tree(transparent=True)
        for parent in list(root.iter()):
            for element in parent.findall(f"{{{SVG}}}style"):  # matplotlib's own, which the page's style has
                parent.remove(element)
        for element in root.iter():
            if (style := element.attrib.pop("style", None)) is not None:
                element.set("class", sheet.class_of(_with_variables(style)))
            if LINK in element.attrib:
                element.set("href", element.attrib.pop(LINK))
        return _text(root)

    def png(self) -> bytes:
        """Return a PNG file of twice the size of the SVG."""
        out = io.BytesIO()
        self.figure.savefig(out, format="png", dpi=PNG_DPI, metadata={"Software": None})
        return out.getvalue()

    def _tree(self, *, transparent: bool) -> ElementTree.Element:
        out = io.BytesIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        self.figure.savefig(out, format="svg", transparent=transparent, metadata=nothing)
        root = ElementTree.fromstring(out.getvalue())
        for tag in ("metadata", "title"):
            for element in root.findall(f"{{{SVG}}}{tag}"):
                root.remove(element)
        _own_ids(root, self.name)
        for index, (tag, words) in enumerate((("title", self.title), ("desc", self.description))):
            element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{self.name}-{tag}"})
            element.text = clean(words)
            root.insert(index, element)
        root.set("role", "img")
        root.set("aria-labelledby", f"{self.name}-title {self.name}-desc")
        return root


def _own_ids(root: ElementTree.Element, prefix: str) -> None:
    """Give a prefix to ids that are referred to, and remove the others."""
    used = {
        name
        for element in root.iter()
        for key, value in element.attrib.items()
        if key == LINK or "url(" in value
        for name in REFERENCE.findall(value)
    }
    for element in root.iter():
        if (own := element.attrib.pop("id", None)) in used:
            element.set("id", f"{prefix}-{own}")
        for key, value in element.attrib.items():
            if key == LINK or "url(" in value:
                element.set(key, REFERENCE.sub(rf"#{prefix}-\1", value))


def _with_variables(style: str) -> str:
    for name, (light, _) in COLOURS.items():
        style = style.replace(light, f"var(--{name})")
    return FONT.sub(r"\1var(--font)", style)


def _text(root: ElementTree.Element) -> str:
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    return ElementTree.tostring(root, encoding="unicode")
