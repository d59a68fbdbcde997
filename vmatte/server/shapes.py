"""Forms as OpenAPI describes them."""

from typing import Any


def form_of(**fields: tuple[str, str]) -> dict[str, Any]:
    """Return what OpenAPI says of a multipart form. fields: their kind, and what they mean."""
    properties = {
        name: {
            "type": "string",
            "description": meaning,
            **({"format": "binary"} if kind == "binary" else {}),
        }
        for name, (kind, meaning) in fields.items()
    }
    schema = {"type": "object", "properties": properties}
    return {"requestBody": {"content": {"multipart/form-data": {"schema": schema}}}}
