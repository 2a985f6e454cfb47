"""The console: REST and web pages about the tables of the configured catalogs. It reads, and changes nothing."""
