"""One context, several personas: each with its adapter, beside it the base model alone. Nothing is kept."""

import asyncio
from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import StringConstraints

from townsfolk.console.desk import Answer, AtDesk, Desk
from townsfolk.console.render import page
from townsfolk.console.security import Changer, Viewer
from townsfolk.errors import Busy, DeadlineExceeded
from townsfolk.types import PersonaName, Text

EXAMPLE = "Hello! Is it safe to walk to the well at night?"
MOST = 8
"""Personas at once: more would hold up players."""
router = APIRouter()
Said = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1)]


@router.get("/playground")
async def form(request: Request, desk: AtDesk, session: Viewer) -> Response:
    known = desk.personas()
    return page(
        request, "playground", session, known=known, chosen=list(known)[:MOST], context=EXAMPLE, answers=None
    )


@router.post("/playground")
async def ask(
    request: Request,
    desk: AtDesk,
    session: Changer,
    context: Annotated[Said, Form()],
    personas: Annotated[list[PersonaName], Form(min_length=1, max_length=MOST)],
) -> Response:
    known = desk.personas()
    rows = await asyncio.gather(*(_row(desk, name, context, known.get(name, False)) for name in personas))
    answers = dict(zip(personas, rows, strict=True))
    return page(
        request, "playground", session, known=known, chosen=personas, context=context, answers=answers
    )


async def _row(desk: Desk, persona: str, context: str, tuned: bool) -> list[Answer | str]:
    """The base model's answer, then the tuned one's where the persona has an adapter; a text says why not."""
    asked = [desk.answer(persona, context, tuned=way) for way in ((False, True) if tuned else (False,))]
    return list(await asyncio.gather(*map(_or_why_not, asked)))


async def _or_why_not(answer: Awaitable[Answer]) -> Answer | str:
    try:
        return await answer
    except (Busy, DeadlineExceeded) as error:
        return str(error)
