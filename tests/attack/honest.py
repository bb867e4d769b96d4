"""The honest sender: signed pushes, as Bitbucket sends them."""

import asyncio
import copy
import hashlib
import hmac
import json
import pathlib
import secrets
import uuid
from collections import Counter

SECRET = "the attacks' own secret"
ADDRESS = "127.0.0.1"
PER_SECOND = 4
# An answer later than this is no answer in time, in seconds.
IN_TIME = 2
# How long an answer is waited for; Bitbucket waits no longer.
PATIENCE = 10

SAMPLE = json.loads(
    (pathlib.Path(__file__).parents[2] / "src/source/bitbucket_cloud/samples/push.json").read_text())


def push():
    """A signed push that no other equals: the bytes of its request."""
    payload = copy.deepcopy(SAMPLE)
    change, commit = payload["push"]["changes"][0], secrets.token_hex(20)
    change["new"]["target"]["hash"] = change["commits"][0]["hash"] = commit
    payload["attack_test"] = str(uuid.uuid4())
    body = json.dumps(payload).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST /hooks/bitbucket HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"User-Agent: Bitbucket-Webhooks/2.0\r\nX-Attempt-Number: 1\r\nX-Event-Key: repo:push\r\n"
        f"X-Hook-UUID: 5f1b6b0e-7c1d-4a63-9a52-1d0f3b9a7c44\r\nX-Request-UUID: {uuid.uuid4()}\r\n"
        f"X-Hub-Signature: sha256={signature}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n")
    return head.encode() + body


async def post(port, request):
    """Sends a request on a new connection: the status of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(ADDRESS, 0))
    try:
        writer.write(request)
        line = await reader.readline()
        if not line:
            raise ConnectionResetError("closed without an answer")
        return int(line.split()[1])
    finally:
        writer.close()


async def send_all(port, seconds):
    loop = asyncio.get_running_loop()
    times, why, late, never = [], Counter(), 0, 0

    async def one():
        nonlocal never
        request, began = push(), loop.time()
        try:
            async with asyncio.timeout(PATIENCE):
                status = await post(port, request)
        except TimeoutError:
            never += 1
            why["never"] += 1
            return
        except OSError as error:
            never += 1
            why[type(error).__name__] += 1
            return
        took = loop.time() - began
        times.append(took)
        if not 200 <= status < 300:
            why[f"got {status}"] += 1
        elif took > IN_TIME:
            why["late"] += 1

    began, pushes = loop.time(), []
    for n in range(seconds * PER_SECOND):
        due = began + n / PER_SECOND
        await asyncio.sleep(max(0, due - loop.time()))
        late = max(late, loop.time() - due)
        pushes.append(asyncio.create_task(one()))
    await asyncio.gather(*pushes)
    return {"sent": len(pushes), "in_time": len(pushes) - why.total(), "slowest": max(times, default=0),
            "never": never, "why": dict(why), "late": late}


def send(port, seconds):
    """Sends for that long, waits for the last answer, and returns what came out."""
    return asyncio.run(send_all(port, seconds))
