"""The control-plane database: what autostream remembers beyond the metadata of tables."""
