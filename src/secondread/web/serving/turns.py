"""The threads that requests are answered in, with an end to how many may wait for one."""

from typing import Any

from waitress.task import ThreadedTaskDispatcher

from secondread.service.database import OF_REQUESTS, wait_at_most


class Turns(ThreadedTaskDispatcher):
    """So many threads, and so many that wait for one; who comes then is told to come again."""

    def __init__(self, threads: int, *, most_waiting: int):
        super().__init__()
        self._most_waiting = most_waiting
        self.set_thread_count(threads)

    def handler_thread(self, thread_no: int) -> None:
        """Answer what comes, until told to stop; the database is not waited for as long as by a worker."""
        wait_at_most(OF_REQUESTS)
        super().handler_thread(thread_no)

    def offer(self, channel: Any) -> bool:
        """Take it, or say that too many wait already."""
        with self.lock:
            idle = len(self.threads) - self.stop_count - self.active_count
            if len(self.queue) - idle >= self._most_waiting:
                return False
        self.add_task(channel)
        return True
