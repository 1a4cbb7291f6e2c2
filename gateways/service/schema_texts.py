"""JSON Schemas of models as those of config files, where a text may stand for any value."""

from __future__ import annotations

from typing import Any

REF = "#/$defs/{model}"
"""Where the definitions of models are in the schema of a file."""

_TEXT = {"type": "string", "description": "with ${NAME} or SECRET[NAME.KEY]"}


def with_texts(schema: Any) -> Any:
    """Any value may be a text that becomes it, and each secret has a `_file` beside it."""
    if isinstance(schema, list):
        return [with_texts(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("number", "integer", "boolean"):
        told = {key: schema[key] for key in ("title", "description", "default") if key in schema}
        return {**told, "anyOf": [{key: schema[key] for key in schema if key not in told}, _TEXT]}
    found = {key: with_texts(each) for key, each in schema.items()}
    if schema.get("title") == "Url" and schema.get("type") == "array":  # one of them may stand alone
        return {"anyOf": [found, _TEXT]}
    if isinstance(found.get("properties"), dict):
        for name, each in schema["properties"].items():
            if "password" in str(each) and f"{name}_file" not in found["properties"]:
                found["properties"][f"{name}_file"] = {
                    "type": "string",
                    "description": f"the file that {name} is in",
                }
        found["required"] = [
            name
            for name in schema.get("required", ())
            if "password" not in str(schema["properties"].get(name))
        ]
    return found
