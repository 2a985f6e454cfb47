"""JSON over HTTP, for every service but WebHDFS, which has a protocol of its own."""

from autostream.http.client import JsonClient, Limits, RefusalError, Tail

__all__ = ["JsonClient", "Limits", "RefusalError", "Tail"]
