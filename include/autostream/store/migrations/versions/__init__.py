"""One module for each revision; `autostream.store.schema.REVISIONS` lists them, oldest first."""
