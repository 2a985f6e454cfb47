"""Run by Spark's own interpreter: spark_job.py CATALOG JDBC_URI WAREHOUSE TABLE."""

import sys

from pyspark import SparkContext
from pyspark.sql import SparkSession


def main(catalog: str, uri: str, warehouse: str, table: str) -> None:
    """Rewrite all data files of a table and remove dangling deletes."""
    options = {
        "": "org.apache.iceberg.spark.SparkCatalog",
        ".type": "jdbc",
        ".uri": uri,
        ".warehouse": warehouse,
        ".jdbc.schema-version": "V1",
    }
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    for key, value in options.items():
        builder = builder.config(f"spark.sql.catalog.{catalog}{key}", value)
    spark = builder.getOrCreate()
    spark.sql(
        f"CALL {catalog}.system.rewrite_data_files(table => '{table}', options => map("
        "'rewrite-all', 'true', 'delete-file-threshold', '1', 'remove-dangling-deletes', 'true'))"
    ).show(truncate=False)
    spark.stop()
    # Wait for the JVM to end, so that what it used is counted as ours.
    gateway = SparkContext._gateway
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()


if __name__ == "__main__":
    main(*sys.argv[1:5])
