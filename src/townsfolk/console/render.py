"""Jinja templates and what they may call. Everything shown is escaped."""

import re
import time
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import Response
from starlette.templating import Jinja2Templates

import townsfolk
from townsfolk.console.sessions import Session

HERE = Path(__file__).parent
STATIC = HERE / "static"
TAG = re.compile(r"\[\[ACTION:(.*?)\]\]")
SHORT = 12
AGES = ((86_400, "d"), (3_600, "h"), (60, "min"))


def page(
    request: Request, template: str, session: Session | None = None, status: int = 200, **shown: object
) -> Response:
    """A template as an answer."""
    notice = session.take_notice() if session else ""
    context = {"session": session, "notice": notice, "root": request.scope["root_path"], **shown}
    return _templates.TemplateResponse(request, f"{template}.html.jinja", context, status_code=status)


def ago(at: float) -> Markup:
    """A Unix time, as how long ago that was."""
    age = max(0.0, time.time() - at)
    told = next((f"{age / size:.0f} {unit} ago" for size, unit in AGES if age >= size), "just now")
    return _time(at, told)


def when(at: float) -> Markup:
    """A Unix time as a date."""
    return _time(at, f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC")


def _time(at: float, told: str) -> Markup:
    iso = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    return Markup('<time datetime="{}">{}</time>').format(iso, told)


def words(text: str) -> Markup:
    """What a player or a model wrote; what can't be seen, or turns round what is, as numbers."""
    return Markup().join(_odd(it) if _is_odd(it) else escape(it) for it in text)


def reply(text: str) -> Markup:
    """What was decoded, its action tags set apart."""
    shown, at = Markup(), 0
    for found in TAG.finditer(text):
        shown += words(text[at : found.start()]) + action(found[1])
        at = found.end()
    return shown + words(text[at:])


def action(tag: str) -> Markup:
    """The inside of an action's tag."""
    return Markup('<code class="action">{}</code> ').format(words(tag))


def _is_odd(character: str) -> bool:
    return unicodedata.category(character).startswith("C") and character not in "\n\t"


def _odd(character: str) -> Markup:
    return Markup('<span class="odd">U+{:04X}</span>').format(ord(character))


def short(content_hash: str) -> str:
    return content_hash[:SHORT] or "base model"


def hue(name: str) -> int:
    """One of eight colours, always the same one for a name."""
    return crc32(name.encode()) % 8


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {it.__name__: it for it in (ago, when, words, reply, action, short, hue)}
    made.globals["version"] = townsfolk.__version__
    return made


_templates = Jinja2Templates(env=_environment())
