"""GET /v1/models: who is here, and what each can do."""

from fastapi import FastAPI

from upwell.serving.desk import Desk

RECORDS = ()


def add(service: FastAPI, desk: Desk) -> None:
    """The routes."""

    @service.get("/v1/models")
    async def models() -> dict:
        return {"object": "list", "data": [desk.card(name) for name in desk.backends]}

    @service.get("/v1/models/{name:path}")
    async def model(name: str) -> dict:
        if name not in desk.backends:
            desk.find(name)
        return desk.card(name)
