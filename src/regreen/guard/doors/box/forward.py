"""Listens on the box's loopback and copies bytes to a door's socket, for clients that speak TCP.

    python -I -S forward.py PORT SOCKET

It knows no protocol and holds no secret: an agent that ends it or goes around it gains nothing.
"""

import asyncio
import os
import sys

BLOCK = 1 << 16


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end, and tell the other side of the end."""
    try:
        while True:
            data = await reader.read(BLOCK)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


async def main(port: int, socket: str) -> None:
    """Serve until killed; says ``ready`` on the box's channel once connections are taken."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(socket)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
        finally:
            far_writer.close()
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    channel = os.environ.get("REGREEN_CHANNEL_FD")
    if channel:
        os.write(int(channel), b"ready\n")
        os.close(int(channel))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
