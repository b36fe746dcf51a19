"""The web application of ``mvcgc ui``: MLflow's own, without its assistant.

On the loopback interface, which every user of the machine can reach, MLflow would let each of them configure
the assistant and have it run commands as the user who started the server.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mlflow.server.fastapi_app import app as mlflow_app

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_ASSISTANT = "/mlflow/assistant"


class WithoutAssistant:
    """An ASGI application that answers 403 to whatever is the assistant's and leaves the rest to ``inner``.

    An object, since MLflow takes a function for a factory of applications.
    """

    def __init__(self, inner: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if _ASSISTANT not in scope.get("path", "").lower():
            await self._inner(scope, receive, send)
            return
        body = json.dumps({"detail": "mvcgc ui serves MLflow without its assistant."}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": body})


app = WithoutAssistant(mlflow_app)
