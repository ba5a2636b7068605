"""Recorded exchanges between client libraries and providers, and where they are found.

The whole set lies beside the project (`NEXUS_CORPUS`, else `../shared/corpus` seen from the project's root, in it `visible`);
where it is absent the small set in `tests/sdk/exchanges` serves, so that nothing is silently skipped.
"""

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
SMALL = HERE.parent / "exchanges"


@dataclass(frozen=True)
class Exchange:
    """One request of a client library and the provider's answer, as it was recorded."""

    id: str
    dialect: str
    path: str
    query: str
    request_headers: dict
    request: dict
    status: int
    response_headers: dict
    streaming: bool
    body: bytes
    host: str

    @property
    def model(self):
        """The model that was asked for: in the body, or in the path."""
        if self.dialect == "google":
            return self.path.rsplit("/", 1)[1].split(":")[0]
        if self.dialect == "bedrock":
            return self.path.split("/model/")[1].rsplit("/", 1)[0].replace("%3A", ":").replace("%2F", "/")
        # Deployments of Azure are named in the path alone.
        return self.request.get("model") or "deployment"

    @property
    def content_type(self):
        return self.response_headers.get("content-type", "application/json")

    @property
    def streamed(self):
        """Whether the answer is a stream, and not an error instead of one."""
        return self.streaming and self.status == 200


def read(path):
    """An exchange out of its file."""
    record = json.loads(path.read_text(encoding="utf-8"))
    body = record["response_body"]
    encoded = record["response_body_encoding"] == "base64"
    return Exchange(
        id=record["id"],
        dialect=record["dialect"],
        path=record["path"],
        query=record["query"] or "",
        request_headers=record["request_headers"],
        request=record["request_json"],
        status=record["status"],
        response_headers=record["response_headers"],
        streaming=record["streaming"],
        body=base64.b64decode(body) if encoded else body.encode(),
        host=record["host"],
    )


def folder():
    """Where the exchanges are."""
    corpus = Path(os.environ.get("NEXUS_CORPUS", PROJECT.parent / "shared" / "corpus")) / "visible"
    return corpus if corpus.is_dir() else SMALL


def load():
    """All exchanges there are, in the order of their files."""
    files = (path for path in sorted(folder().rglob("*.json")) if path.name != "index.json")
    found = [read(path) for path in files]
    assert found, f"no exchanges in {folder()}"
    return found
