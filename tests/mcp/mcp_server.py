"""A server made with mcp of PyPI. usage: mcp_server.py PORT"""
import sys
from typing import Annotated

from mcp.server.mcpserver import Elicit, MCPServer, Resolve
from pydantic import BaseModel

server = MCPServer("peer")


class Answer(BaseModel):
    count: int = 2


def ask(day: str):
    return Elicit(f"How many on {day}?", Answer)


@server.tool()
def add(a: int, b: int) -> int:
    return a + b


@server.tool()
def book(day: str, answer: Annotated[Answer, Resolve(ask)]) -> str:
    return f"booked {answer.count}"


server.run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
