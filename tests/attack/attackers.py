"""The attackers: what each of them does on a connection, and how many there are."""

import asyncio
import os
import resource
from collections import Counter, namedtuple

# The pause before an attacker connects again.
PAUSE = 0.05
# How long one waits for its connection before it tries anew.
CONNECTING = 1
# Over how long their first connections are spread, in seconds.
SPREAD = 1
OTHERS = [f"127.0.1.{n}" for n in range(1, 21)]

HEAD = (b"POST /hooks/bitbucket HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"User-Agent: Bitbucket-Webhooks/2.0\r\nX-Event-Key: repo:push\r\n"
        b"X-Hook-UUID: 5f1b6b0e-7c1d-4a63-9a52-1d0f3b9a7c44\r\n"
        b"X-Request-UUID: 0c1a7c2e-59c0-4f0e-8f3e-3f6f5d8f1a11\r\n")
WRONG_SIGNATURE = b"X-Hub-Signature: sha256=" + b"0badc0de" * 8 + b"\r\n"


async def until_over(reader, tally):
    """Reads until the connection is closed, or an answer says that the request is lost."""
    if await reader.read(65536):
        tally["answers"] += 1


async def silent(reader, writer, tally):
    """Sends nothing."""
    await until_over(reader, tally)


async def slow(reader, writer, tally):
    """Sends headers, one byte every second, and never ends them."""
    async def trickle():
        for byte in HEAD + b"X-Padding: " + b"a" * 100_000:
            writer.write(bytes([byte]))
            await asyncio.sleep(1)

    trickling = asyncio.create_task(trickle())
    try:
        await until_over(reader, tally)
    finally:
        trickling.cancel()


async def keep_alive(reader, writer, tally):
    """Asks for /healthz every 8 s."""
    loop = asyncio.get_running_loop()
    while True:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        try:
            async with asyncio.timeout_at(loop.time() + 8):
                while await reader.read(65536):
                    tally["answers"] += 1
                return
        except TimeoutError:
            pass


def stalled(length, sent):
    """Announces a body, sends that much of it, and then nothing."""
    async def behave(reader, writer, tally):
        writer.write(HEAD + WRONG_SIGNATURE + b"Content-Length: %d\r\n\r\n" % length)
        writer.write(b" " * sent)
        await until_over(reader, tally)
    return behave


async def garbage(reader, writer, tally):
    """Posts 200 bytes again and again, unsigned and wrongly signed in turns, ten requests at a time."""
    end = b"Content-Length: 200\r\n\r\n" + b"x" * 200
    unsigned, signed = HEAD + end, HEAD + WRONG_SIGNATURE + end
    while True:
        writer.write((unsigned + signed) * 5)
        for _ in range(10):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
            tally["answers"] += 1


# HTTP/2. Frames are those of RFC 9113, headers are coded as RFC 7541 (HPACK) says.
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
ACK = END_STREAM = 1
END_HEADERS = 4
STREAMS = 16
# How large the headers of a stream are made, as the receiver has to count them: 32 bytes more for each.
HEADERS_SIZE = 60_000
# The pause before a stream that has ended is replaced by another.
STREAM_PAUSE = 1


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def text(value):
    """A string of HPACK: its length, in 7 bits and what goes beyond, and its bytes."""
    length, rest = len(value), len(value) - 127
    if rest < 0:
        return bytes([length]) + value
    coded = b"\x7f"
    while rest >= 128:
        coded += bytes([rest % 128 + 128])
        rest //= 128
    return coded + bytes([rest]) + value


def h2(value):
    """Opens streams with many headers, and never ends their bodies.

    The header `x: value` is sent once in full, with incremental indexing (0x40), and from then on as one byte: the
    first entry of the dynamic table (0xbe).
    """
    entry = 1 + len(value) + 32
    # :method POST, :scheme http, :path, :authority; then headers that are not indexed.
    request = b"\x83\x86\x04" + text(b"/hooks/bitbucket") + b"\x01" + text(b"127.0.0.1")
    for line in (HEAD + WRONG_SIGNATURE).split(b"\r\n")[2:-1]:
        name, _, content = line.partition(b": ")
        request += b"\0" + text(name.lower()) + text(content)
    full = b"\x40" + text(b"x") + text(value)
    # 1,000 bytes are left for the headers above.
    repeated = b"\xbe" * ((HEADERS_SIZE - 1_000) // entry)

    async def behave(reader, writer, tally):
        loop, numbers, streams = asyncio.get_running_loop(), iter(range(1, 1 << 31, 2)), set()

        def open_stream():
            stream = next(numbers)
            streams.add(stream)
            headers = request + (full if stream == 1 else b"\xbe") + repeated
            # All of it fits into one frame (16 KB), so there is no need for CONTINUATION.
            writer.write(frame(HEADERS, END_HEADERS, stream, headers))

        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))
        for _ in range(STREAMS):
            open_stream()
        while True:
            head = await reader.readexactly(9)
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:])
            payload = await reader.readexactly(int.from_bytes(head[:3]))
            if kind == GOAWAY:
                return
            if kind in (SETTINGS, PING) and not flags & ACK:
                writer.write(frame(kind, ACK, 0, payload if kind == PING else b""))
            tally["answers"] += kind == HEADERS
            ends = kind == RST_STREAM or kind in (DATA, HEADERS) and flags & END_STREAM
            if ends and stream in streams:
                streams.remove(stream)
                loop.call_later(STREAM_PAUSE, lambda: writer.is_closing() or open_stream())
    return behave


Scenario = namedtuple("Scenario", "count behave")

SCENARIOS = {
    "silent": Scenario(3_000, silent),
    "slow": Scenario(3_000, slow),
    "keep-alive": Scenario(3_000, keep_alive),
    "stalled": Scenario(200, stalled(1_000_000, 500_000)),
    "stalled-small": Scenario(200, stalled(60_000, 59_999)),
    "stalled-small-1000": Scenario(1_000, stalled(60_000, 59_999)),
    # The most headers that 60 KB hold, so that what the receiver keeps for each of them counts.
    "h2-headers": Scenario(1_000, h2(b"")),
    # A few large ones.
    "h2-large-headers": Scenario(1_000, h2(b"v" * 3_900)),
    "garbage": Scenario(50, garbage),
}


async def attacker(port, address, delay, behave, tally):
    """One attacker: connects, does what it does until it is cut off, and connects again."""
    await asyncio.sleep(delay)
    while True:
        try:
            async with asyncio.timeout(CONNECTING):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        except OSError:  # TimeoutError is one.
            tally["failed"] += 1
        else:
            tally["opened"] += 1
            try:
                await behave(reader, writer, tally)
            except (OSError, asyncio.IncompleteReadError):
                pass  # Cut off.
            finally:
                writer.transport.abort()
        await asyncio.sleep(PAUSE)


async def attack_all(port, name, same, longest, over, processes, n):
    count, behave = SCENARIOS[name]
    tally = Counter(opened=0, answers=0)
    attacking = []
    for number in range(n, count, processes):
        address = "127.0.0.1" if same else OTHERS[number // processes % len(OTHERS)]
        attacking.append(asyncio.create_task(attacker(port, address, SPREAD * number / count, behave, tally)))
    loop = asyncio.get_running_loop()
    ends = loop.time() + longest
    while not over.is_set() and loop.time() < ends:
        await asyncio.sleep(0.2)
        if broken := next((task for task in attacking if task.done()), None):
            broken.result()  # A mistake of this program: tells of it.
    for task in attacking:
        task.cancel()
    await asyncio.gather(*attacking, return_exceptions=True)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {**tally, "cpu": used.ru_utime + used.ru_stime}


def attack(port, name, same, longest, over, processes, n):
    """Attacks until `over` is set, and no longer than `longest` seconds, as the n-th process: what came out."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.nice(5)
    return asyncio.run(attack_all(port, name, same, longest, over, processes, n))
