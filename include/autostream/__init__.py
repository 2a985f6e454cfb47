"""autostream keeps a streaming lakehouse of Flink and Iceberg tables healthy."""

__version__ = "0.1.0"
