import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.flink.types.RowKind;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.flink.CatalogLoader;
import org.apache.iceberg.flink.FlinkSchemaUtil;
import org.apache.iceberg.flink.TableLoader;
import org.apache.iceberg.flink.sink.FlinkSink;

/**
 * UpsertJob CATALOG DATABASE WAREHOUSE TABLE ROWS KEYS ROWS_PER_SECOND CHECKPOINT_MS: upserts into an existing table with
 * columns id long, v long, s string, in a mini-cluster, and ends when all rows are committed.
 *
 * <p>Row n (0, 1, 2, ...) has id = n % KEYS, v = n, s = "payload-n"; rows with n % 13 = 7 delete their key. CATALOG is the
 * name that PyIceberg's SqlCatalog has on the SQLite file DATABASE.
 */
public class UpsertJob {
  /** Local files without .crc companions. */
  public static class RawLocal extends RawLocalFileSystem {
    @Override
    public String getScheme() {
      return "file";
    }
  }

  static class Row implements GeneratorFunction<Long, RowData> {
    private final long keys;

    Row(long keys) {
      this.keys = keys;
    }

    @Override
    public RowData map(Long n) {
      GenericRowData row = GenericRowData.of(n % keys, n, StringData.fromString("payload-" + n));
      row.setRowKind(n % 13 == 7 ? RowKind.DELETE : n < keys ? RowKind.INSERT : RowKind.UPDATE_AFTER);
      return row;
    }
  }

  public static void main(String[] args) throws Exception {
    Map<String, String> properties = new LinkedHashMap<>();
    properties.put("uri", "jdbc:sqlite:" + args[1]);
    properties.put("warehouse", args[2]);
    properties.put("jdbc.schema-version", "V1");
    properties.put("jdbc.busy_timeout", "60000");
    properties.put("jdbc.journal_mode", "WAL");
    org.apache.hadoop.conf.Configuration hadoop = new org.apache.hadoop.conf.Configuration();
    hadoop.set("fs.file.impl", RawLocal.class.getName());
    CatalogLoader loader = CatalogLoader.custom(args[0], properties, hadoop, "org.apache.iceberg.jdbc.JdbcCatalog");
    TableIdentifier name = TableIdentifier.parse(args[3]);
    Table table = loader.loadCatalog().loadTable(name);

    Configuration cluster = new Configuration();
    cluster.setString("taskmanager.memory.network.min", "32mb");
    cluster.setString("taskmanager.memory.network.max", "32mb");
    cluster.setString("taskmanager.memory.managed.size", "32mb");
    cluster.setString("rest.bind-port", "0");
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, cluster);
    env.enableCheckpointing(Long.parseLong(args[7]));
    InternalTypeInfo<RowData> type = InternalTypeInfo.of(FlinkSchemaUtil.convert(table.schema()));
    DataStream<RowData> rows =
        env.fromSource(
            new DataGeneratorSource<>(
                new Row(Long.parseLong(args[5])),
                Long.parseLong(args[4]),
                RateLimiterStrategy.perSecond(Double.parseDouble(args[6])),
                type),
            WatermarkStrategy.noWatermarks(),
            "rows",
            type);
    FlinkSink.forRowData(rows)
        .tableLoader(TableLoader.fromCatalog(loader, name))
        .table(table)
        .equalityFieldColumns(List.of("id"))
        .upsert(true)
        .append();
    try {
      env.execute("upserts into " + name);
    } catch (Throwable failure) { // Flink leaves threads behind that would keep the JVM alive
      failure.printStackTrace();
      System.exit(1);
    }
    System.exit(0);
  }
}
