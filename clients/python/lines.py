"""The lines of standard input, for asyncio: they are read in a thread that does not keep the program from ending."""
import asyncio
import sys
import threading


class Lines:
    def __init__(self):
        self.queue = asyncio.Queue()
        self.is_over = False
        threading.Thread(target=self._read, args=(asyncio.get_running_loop(),), daemon=True).start()

    async def next(self):
        """A line without its end; None at the end of the input, every time."""
        line = None if self.is_over else await self.queue.get()
        self.is_over = line is None
        return line

    def _read(self, loop):
        for line in sys.stdin:
            loop.call_soon_threadsafe(self.queue.put_nowait, line.rstrip("\r\n"))
        loop.call_soon_threadsafe(self.queue.put_nowait, None)
