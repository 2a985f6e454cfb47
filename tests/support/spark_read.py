"""Run by Spark's own interpreter: spark_read.py CATALOG JDBC_URI WAREHOUSE TABLE OUTPUT [STATEMENT...].

Runs the statements, then writes the table's rows as JSON lines.
"""

import json
import sys

from pyspark.sql import SparkSession


def main(catalog: str, uri: str, warehouse: str, table: str, output: str, *statements: str) -> None:
    """Run the statements and read the table."""
    options = {
        "": "org.apache.iceberg.spark.SparkCatalog",
        ".type": "jdbc",
        ".uri": uri,
        ".warehouse": warehouse,
        ".jdbc.schema-version": "V1",
    }
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.shuffle.partitions", "1")
    builder = builder.config(
        "spark.sql.extensions", "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
    )
    for key, value in options.items():
        builder = builder.config(f"spark.sql.catalog.{catalog}{key}", value)
    spark = builder.getOrCreate()
    for statement in statements:
        spark.sql(statement)
    rows = spark.sql(f"SELECT * FROM {catalog}.{table}").collect()
    with open(output, "w") as file:
        file.writelines(json.dumps(row.asDict(recursive=True)) + "\n" for row in rows)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
