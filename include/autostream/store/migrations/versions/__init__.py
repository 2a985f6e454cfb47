"""One module for each revision; ``autostream.store.database.REVISIONS`` lists them, oldest first."""
