"""Pieces of a self-contained HTML page: frame, style, tables, pictures, numbers."""

import base64
import html
import math
from collections.abc import Iterable, Sequence

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem 1.2rem 3rem; background: #fff; color: #222;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; padding-top: .8rem; border-top: 1px solid #e4e4e4; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p, dd, figcaption { max-width: 46rem; overflow-wrap: anywhere; }
.lead { font-size: 1.08rem; }
.note, figcaption, footer { color: #565656; font-size: .88rem; }
figure { margin: 1rem 0; }
figure img { width: 100%; height: auto; display: block; }
figure.small img { max-width: 36rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem .35rem 0; text-align: right; white-space: nowrap; vertical-align: top; }
th { font-weight: 600; border-bottom: 1px solid #999; }
td { border-bottom: 1px solid #eee; }
th.text, td.text { text-align: left; }
td small { display: block; color: #666; }
.good { color: #00684b; } .bad { color: #b23c00; font-weight: 600; }
.wrap { margin: 1.2rem 0; }
.wrap td { white-space: normal; overflow-wrap: anywhere; min-width: 5.6rem; }
details p { white-space: pre-line; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .5rem 0; }
dt { font-weight: 600; } dd { margin: 0; }
pre { background: #f6f6f4; border-radius: 4px; margin: .3rem 0; padding: .6rem .8rem; overflow-x: auto;
  font-size: .82rem; }
"""


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page. The title is plain text, the parts are HTML already."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<h1>{html.escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def number(value: float, digits: int = 3) -> str:
    """Significant digits without an exponent where a reader expects none; – for NaN."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        places = digits - 1 - (math.floor(math.log10(abs(value))) if value else 0)
        return f"{value:,.{max(places, 0)}f}".replace("-", "−")
    return f"{value:.{digits - 1}e}".replace("-", "−")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], text: int = 1) -> str:
    """Cells are HTML already; the first `text` columns are left-aligned."""
    kind = [' class="text"' if i < text else "" for i in range(len(header))]
    head = "".join(f"<th{k}>{html.escape(h)}</th>" for k, h in zip(kind, header, strict=True))
    body = "\n".join("<tr>" + "".join(f"<td{k}>{c}</td>" for k, c in zip(kind, r, strict=True)) + "</tr>" for r in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def figure(png: bytes, alt: str, caption: str, size: str = "") -> str:
    """A PNG embedded in the page. `alt` is plain text, `caption` HTML already, `size` a class of the style."""
    image = base64.b64encode(png).decode("ascii")
    return (
        f'<figure class="{size}"><img alt="{html.escape(alt)}" src="data:image/png;base64,{image}">\n'
        f"<figcaption>{caption}</figcaption></figure>"
    )
