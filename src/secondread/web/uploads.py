"""Requests that leave nothing behind of what was sent, however they end."""

from typing import IO

from flask import Request, current_app

_FIELDS = 16  # of a form, besides its files


class UploadRequest(Request):
    """Closes every file that came in, also those of a form that is refused half-way through.

    A file of more than 500 kB may pass through a temporary file that has no name; nothing else reaches the disk.
    """

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        stream = super()._get_file_stream(total_content_length, content_type, filename, content_length)
        self.__dict__.setdefault("taken_in", []).append(stream)
        return stream

    def _load_form_data(self) -> None:
        """An upload of many files has more parts than a request that is answered at once."""
        if self.endpoint == "batches.submit":
            self.max_form_parts = current_app.config["MAX_BATCH_FILES"] + _FIELDS
        super()._load_form_data()

    def close(self) -> None:
        """Called by Flask when the answer is on its way."""
        super().close()
        for stream in self.__dict__.get("taken_in", ()):
            stream.close()
