"""The connection to one server: sends calls, and tries again where that may help."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pytest_distill.engines.openai.calls import Call, CallRefusedError, Send
from pytest_distill.engines.openai.money import Purse
from pytest_distill.engines.openai.options import OpenAIOptions


@asynccontextmanager
async def connected(name: str, options: OpenAIOptions, purse: Purse) -> AsyncIterator[Send]:
    """Give what sends calls to the server, as long as the block lasts.

    Parameters
    ----------
    name : str
        The model's, for messages.
    options : OpenAIOptions
        Where the server is, and how it is asked.
    purse : Purse
        Counts what is spent.
    """
    import httpx2

    key = os.environ.get(options.api_key_env) if options.api_key_env else None
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx2.AsyncClient(headers=headers, timeout=options.timeouts.total) as client:

        async def send(call: Call) -> Mapping[str, Any]:
            said = {"model": options.model, **call.body, **options.extra_body}
            body = {key: value for key, value in said.items() if value is not None}
            url = f"{options.base_url.rstrip('/')}/{call.path}"
            reserved = await purse.reserve(call)
            try:
                response = await client.post(url, json=body)
            except BaseException:
                reserved.unknown()
                raise
            if response.status_code != 200:
                reserved.free()
                told = (
                    f"model '{name}': {url} answered {response.status_code} for example "
                    f"'{call.id}': {response.text:.300}"
                )
                raise CallRefusedError(told, response.status_code, response.text)
            found: Mapping[str, Any] = response.json()
            reserved.paid(found)
            return found

        yield send
