"""Draws the rooms of the package and the family of its errors into docs/images, from the source alone.

    python tools/draw.py

Boxes are rooms, floor above floor; an arrow says that a room imports another. Imports that a chain of arrows implies
are not drawn.
"""

from __future__ import annotations

from html import escape

from house import ROOT, House, error_family, read_house

IMAGES = ROOT / "docs" / "images"
BOX, GAP, FLOOR, MARGIN = 118, 110, 70, 24
HEIGHT = 40
STYLE = """<style>
text { font: 13px sans-serif; fill: #1a1a2e; } .small { font-size: 11px; fill: #555568; }
rect { fill: #eef2fb; stroke: #3a5a98; } path { fill: none; stroke: #3a5a98; }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">
<polygon points="0,0 8,4 0,8" fill="#3a5a98"/></marker></defs>"""


def draw_house(house: House) -> str:
    """The rooms as an SVG picture."""
    places = _places(house)
    width = max(x for x, _ in places.values()) + BOX + 3 * MARGIN
    height = max(y for _, y in places.values()) + HEIGHT + MARGIN
    drawn = [_arrow(places, *arrow) for arrow in sorted(house.stairs())]
    drawn += [_box(*places[room], room, f"{lines:,} lines") for room, lines in sorted(house.lines.items())]
    return _picture(width, height, "Rooms of automtl, floor above floor, and who imports whom", drawn)


def _places(house: House) -> dict[str, tuple[int, int]]:
    """Left upper corner of each room: the floors from top to bottom, each one centred."""
    floors = house.floors()
    top = max(floors.values())
    rows = [sorted(room for room in floors if floors[room] == floor) for floor in range(top + 1)]
    width = max(len(row) for row in rows) * (BOX + GAP)
    return {
        room: (_left(width, len(row), place, floor), MARGIN + (top - floor) * FLOOR)
        for floor, row in enumerate(rows)
        for place, room in enumerate(row)
    }


def _left(width: int, rooms: int, place: int, floor: int) -> int:
    """A room that is alone on its floor stands a little to a side, so that arrows past it can be told apart."""
    side = (-40, 40)[floor % 2] if rooms == 1 else 0
    return 30 + (width - rooms * (BOX + GAP) + GAP) // 2 + place * (BOX + GAP) + side


def _arrow(places: dict[str, tuple[int, int]], room: str, below: str) -> str:
    (x0, y0), (x1, y1) = places[room], places[below]
    x0, y0, x1 = x0 + BOX // 2, y0 + HEIGHT, x1 + BOX // 2
    bend = (y1 - y0) // 2
    aside = (-1 if x0 < 2 * BOX else 1) * BOX if x0 == x1 and y1 - y0 > FLOOR else 0  # past the boxes between them
    shape = f"M{x0},{y0} C{x0 + aside},{y0 + bend} {x1 + aside},{y1 - bend} {x1},{y1}"
    return f'<path marker-end="url(#tip)" d="{shape}"><title>{room} imports {below}</title></path>'


def _box(x: int, y: int, name: str, note: str, width: int = BOX) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{HEIGHT}" rx="4"/>'
        f'<text x="{x + 10}" y="{y + 17}">{escape(name)}</text>'
        f'<text class="small" x="{x + 10}" y="{y + 32}">{escape(note)}</text>'
    )


def draw_errors() -> str:
    """The family of errors as an SVG picture: a child stands to the right of its parent."""
    family = error_family()
    depth: dict[str, int] = {}
    drawn, places = [], {}
    width = 12 + max(int(6.3 * len(note)) for _, note in family.values())
    for row, name in enumerate(_by_family(family)):
        parent, note = family[name]
        depth[name] = depth[parent] + 1 if parent else 0
        places[name] = (MARGIN + 40 * depth[name], MARGIN + row * (HEIGHT + 12))
        if parent:
            x, y = places[parent][0] + 16, places[parent][1] + HEIGHT
            drawn.append(f'<path d="M{x},{y} V{places[name][1] + HEIGHT // 2} H{places[name][0]}"/>')
        drawn.append(_box(*places[name], name, note, width))
    right = max(x for x, _ in places.values()) + width + MARGIN
    return _picture(right, MARGIN + len(places) * (HEIGHT + 12), "The family of errors", drawn)


def _by_family(family: dict[str, tuple[str | None, str]], parent: str | None = None) -> list[str]:
    """Names so that each child follows its parent."""
    found: list[str] = []
    for name in [name for name, (above, _) in family.items() if above == parent]:
        found += [name, *_by_family(family, name)]
    return found


def _picture(width: int, height: int, title: str, drawn: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" width="{width}">'
    ground = f'<rect width="{width}" height="{height}" style="fill: white; stroke: none"/>'
    return "\n".join([head, f"<title>{title}</title>", STYLE, ground, *drawn, "</svg>\n"])


def drawings() -> dict[str, str]:
    """File name to picture."""
    return {"architecture.svg": draw_house(read_house()), "errors.svg": draw_errors()}


if __name__ == "__main__":
    for name, picture in drawings().items():
        (IMAGES / name).write_text(picture, encoding="utf-8")
