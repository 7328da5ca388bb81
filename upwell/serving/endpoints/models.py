"""GET /v1/models: who is here, and what each can do; documents that are asked stand among the models."""

import asyncio

from fastapi import FastAPI, Request

from upwell.serving.desk import Desk
from upwell.serving.library import Sees

RECORDS = ()


def add(service: FastAPI, desk: Desk) -> None:
    """The routes."""

    @service.get("/v1/models")
    async def models(request: Request) -> dict:
        shelved = await asyncio.to_thread(shown, desk, request.scope["sees"])
        faq = [desk.faq_card()] if desk.faq is not None else []
        return {"object": "list", "data": [*(desk.card(name) for name in desk.backends), *shelved.values(), *faq]}

    @service.get("/v1/models/{name:path}")
    async def model(request: Request, name: str) -> dict:
        if name in desk.libraries:
            shelved = await asyncio.to_thread(shown, desk, request.scope["sees"])
            if name in shelved:
                return shelved[name]
        if name == "faq" and desk.faq is not None and name not in desk.backends:
            return desk.faq_card()
        if name not in desk.backends:
            desk.find(name)
        return desk.card(name)


def shown(desk: Desk, sees: Sees) -> dict[str, dict]:
    """The cards of the libraries of which a key sees anything."""
    return {name: desk.library_card(library, sees) for name, library in desk.libraries.items() if library.is_seen(sees)}
