import java.io.FileOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.flink.CatalogLoader;
import org.apache.iceberg.flink.FlinkSchemaUtil;
import org.apache.iceberg.flink.TableLoader;
import org.apache.iceberg.flink.sink.FlinkSink;
import org.apache.iceberg.metrics.CommitReport;
import org.apache.iceberg.metrics.CounterResult;
import org.apache.iceberg.metrics.MetricsReport;
import org.apache.iceberg.metrics.MetricsReporter;

/**
 * AppendJob URI TABLE FIRST ROWS ROWS_PER_SECOND CHECKPOINT_MS REST_PORT COMMITS [KEY=VALUE...]: appends the rows id =
 * FIRST, FIRST + 1, ... to an existing table with the one column id long, in a mini-cluster, through the Hive Metastore at
 * URI (thrift://...), and ends when all ROWS are committed. KEY=VALUE go into the Hadoop configuration.
 *
 * <p>Each commit that was acknowledged is one line in the file COMMITS: {"snapshot_id": s, "rows": r, "attempts": a}. Rows
 * come in order, so the first r1 + r2 + ... are those that were acknowledged.
 */
public class AppendJob {
  /** Writes down each commit as soon as Iceberg calls it done; on disk before anything else happens. */
  public static class Commits implements MetricsReporter {
    private String file;

    @Override
    public void initialize(Map<String, String> properties) {
      file = properties.get("commits");
    }

    @Override
    public synchronized void report(MetricsReport report) {
      if (!(report instanceof CommitReport)) {
        return;
      }
      CommitReport commit = (CommitReport) report;
      String line =
          String.format(
              "{\"snapshot_id\": %d, \"rows\": %d, \"attempts\": %d}%n",
              commit.snapshotId(),
              count(commit.commitMetrics().addedRecords()),
              count(commit.commitMetrics().attempts()));
      try (FileOutputStream out = new FileOutputStream(file, true)) {
        out.write(line.getBytes(StandardCharsets.UTF_8));
        out.getFD().sync();
      } catch (java.io.IOException failure) {
        throw new java.io.UncheckedIOException(failure);
      }
    }

    private static long count(CounterResult counter) {
      return counter == null ? 0 : counter.value();
    }
  }

  static class Row implements GeneratorFunction<Long, RowData> {
    private final long first;

    Row(long first) {
      this.first = first;
    }

    @Override
    public RowData map(Long n) {
      return GenericRowData.of(first + n);
    }
  }

  public static void main(String[] args) throws Exception {
    org.apache.hadoop.conf.Configuration hadoop = new org.apache.hadoop.conf.Configuration();
    hadoop.set("fs.file.impl", UpsertJob.RawLocal.class.getName());
    for (int i = 8; i < args.length; i++) {
      hadoop.set(args[i].substring(0, args[i].indexOf('=')), args[i].substring(args[i].indexOf('=') + 1));
    }
    Map<String, String> properties =
        Map.of("uri", args[0], "metrics-reporter-impl", Commits.class.getName(), "commits", args[7]);
    CatalogLoader loader = CatalogLoader.hive("hive", hadoop, properties);
    TableIdentifier name = TableIdentifier.parse(args[1]);
    Table table = loader.loadCatalog().loadTable(name);

    Configuration cluster = new Configuration();
    cluster.setString("taskmanager.memory.network.min", "32mb");
    cluster.setString("taskmanager.memory.network.max", "32mb");
    cluster.setString("taskmanager.memory.managed.size", "32mb");
    cluster.setString("rest.bind-port", args[6]);
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, cluster);
    env.enableCheckpointing(Long.parseLong(args[5]));
    InternalTypeInfo<RowData> type = InternalTypeInfo.of(FlinkSchemaUtil.convert(table.schema()));
    FlinkSink.forRowData(
            env.fromSource(
                new DataGeneratorSource<>(
                    new Row(Long.parseLong(args[2])),
                    Long.parseLong(args[3]),
                    RateLimiterStrategy.perSecond(Double.parseDouble(args[4])),
                    type),
                WatermarkStrategy.noWatermarks(),
                "rows",
                type))
        .tableLoader(TableLoader.fromCatalog(loader, name))
        .table(table)
        .append();
    try {
      env.execute("appends to " + name);
    } catch (Throwable failure) { // Flink leaves threads behind that would keep the JVM alive
      failure.printStackTrace();
      System.exit(1);
    }
    System.exit(0);
  }
}
