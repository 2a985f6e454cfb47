"""The sections of the configuration, a module each; `autostream.config.root` puts them together."""
