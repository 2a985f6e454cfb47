"""The demonstration lakehouse: writers, sample tables and what `autostream demo` shows."""
