"""Facts of Iceberg tables, without catalogs."""
