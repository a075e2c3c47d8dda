"""The service's description (OpenAPI): bodies that may come in two ways, problems, and examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sterna.server._answered import ProblemAnswer
from sterna.server._asked import (
    EmbedRequest,
    ExplainRequest,
    GoneRequest,
    JobRequest,
    LoginRequest,
    RankRequest,
    SearchRequest,
)

__all__ = ["PROBLEMS", "binary", "body", "describe"]

_REF = "#/components/schemas/{model}"
_PROBLEM = ProblemAnswer.model_config["json_schema_extra"]["examples"][0]  # type: ignore[index]
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What is wrong, as RFC 9457 says it.",
        "content": {
            "application/problem+json": {
                "schema": {"$ref": _REF.format(model="ProblemAnswer")},
                "example": _PROBLEM,
            }
        },
    }
}


def body(kind: type[BaseModel], *, images: str = "") -> dict[str, Any]:
    """The description of a body: JSON of a kind, or a form with `images` (what they are for) beside it."""
    schema = {"$ref": _REF.format(model=kind.__name__)}
    extra: Any = kind.model_config["json_schema_extra"]
    example = extra["examples"][0]
    content: dict[str, Any] = {"application/json": {"schema": schema, "example": example}}
    if images:
        content["multipart/form-data"] = {
            "schema": {
                "type": "object",
                "properties": {
                    "json": {"type": "string", "description": f"The JSON of {kind.__name__}."},
                    "image": {"type": "string", "format": "binary", "description": images},
                },
            }
        }
    return {"requestBody": {"required": True, "content": content}}


def binary(*kinds: str, example: str) -> dict[int | str, dict[str, Any]]:
    """The description of an answer that is a file."""
    schema = {"type": "string", "format": "binary"}
    content: Mapping[str, Any] = {kind: {"schema": schema, "example": example} for kind in kinds}
    return {200: {"description": example, "content": dict(content)}}


def describe(app: FastAPI) -> None:
    """Let an application describe itself with the bodies that its routes read themselves."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            kinds = (
                SearchRequest, EmbedRequest, RankRequest, ExplainRequest, GoneRequest, JobRequest,
                LoginRequest, ProblemAnswer,
            )  # fmt: skip
            _, more = models_json_schema([(kind, "validation") for kind in kinds], ref_template=_REF)
            schema.setdefault("components", {}).setdefault("schemas", {}).update(more["$defs"])
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
