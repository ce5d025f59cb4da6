"""A server made with fastmcp. usage: fastmcp_server.py PORT"""
import sys

from fastmcp import Context, FastMCP

mcp = FastMCP("peer")


@mcp.tool
def add(a: int, b: int) -> int:
    return a + b


@mcp.tool
async def book(what: str, ctx: Context) -> str:
    answer = await ctx.elicit("Which day?", response_type=str)
    return f"{what}: {answer.action}"


mcp.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False)
