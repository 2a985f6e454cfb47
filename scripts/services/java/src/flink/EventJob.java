import java.io.File;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.runtime.jobmaster.JobResult;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.flink.types.RowKind;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Catalog;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.flink.CatalogLoader;
import org.apache.iceberg.flink.FlinkSchemaUtil;
import org.apache.iceberg.flink.TableLoader;
import org.apache.iceberg.flink.sink.FlinkSink;
import org.apache.iceberg.flink.sink.IcebergSink;

/**
 * EventJob KEY=VALUE...: a job in event time that writes into existing tables with columns id long, v long, ts
 * timestamptz, s string, in a mini-cluster with a REST server. Prints <code>READY job=ID rest=URL</code> when the job
 * runs and ends with exit code 0 when it has FINISHED, 1 when it ended otherwise.
 *
 * <p>Row n = first, first + 1, ... has id = n, or n % keys; v = n; s = "payload-n"; and the event time ts = t0 + n *
 * step - jitter(n), jitter(n) = ((n * 2654435761) ^ (n >> 3)) mod (ooo + 1). So no row comes later than its watermark.
 *
 * <ul>
 *   <li>catalog, database, warehouse: name of PyIceberg's SqlCatalog, its SQLite file, its warehouse
 *   <li>table: one, or several with commas between: one sink each
 *   <li>sink: v1 is FlinkSink, v2 IcebergSink
 *   <li>keys: upserts with id = n % keys; absent: appends
 *   <li>par, sourcepar: parallelism of writers and of sources. Appends with both alike: the writer is chained to the
 *       source. Upserts: it never is
 *   <li>sources: each: a source per table, so that they fail over apart; only the first knows the failfile
 *   <li>rate, limit, first: rows a second (0: none ever), number of rows (absent: no end), number of the first
 *   <li>dry: rows from this number on are dropped behind the source: only the watermark goes on
 *   <li>t0, step, ooo: see above, in ms
 *   <li>watermark: bounded or none; idle: ms after which a source is idle (absent: never); quiet: 1: one more source
 *       that never gives a row
 *   <li>ckpt, ckptdir, restore: interval in ms; where checkpoints are kept; which one or savepoint to start from
 *   <li>failfile, attempts, delay: the job fails once each time that file appears, and deletes it; restarts until it
 *       fails for good (absent: no end); ms before a restart
 *   <li>port, fetch, linger: REST port (0: a free one); metrics.fetcher.update-interval; ms that the cluster stays
 *       after the job's end
 *   <li>name, params, uid: job name; global job parameters "k1=v1;k2=v2"; uidPrefix or uidSuffix
 *   <li>conf.KEY: any other setting of Flink
 * </ul>
 */
public class EventJob {
  static long jitter(long n, long ooo) {
    return Math.floorMod((n * 2654435761L) ^ (n >>> 3), ooo + 1);
  }

  static class Row implements GeneratorFunction<Long, RowData> {
    private final long first;
    private final long keys;
    private final long t0;
    private final long step;
    private final long ooo;
    private final int readers;
    private final long rowsPerReader;
    private final String failfile;

    Row(Options options, int readers, long rowsPerReader, String failfile) {
      this.first = options.number("first", 0);
      this.keys = options.number("keys", 0);
      this.t0 = options.number("t0", 1_700_000_000_000L);
      this.step = options.number("step", 10);
      this.ooo = options.number("ooo", 2000);
      this.readers = readers;
      this.rowsPerReader = rowsPerReader;
      this.failfile = failfile;
    }

    @Override
    public RowData map(Long index) {
      if (failfile != null && new File(failfile).delete()) {
        throw new IllegalStateException("asked to fail");
      }
      // Each reader has a range of its own; numbers go to them in turn, so that all readers are at the same event time.
      long n = first + index % rowsPerReader * readers + index / rowsPerReader;
      TimestampData ts = TimestampData.fromEpochMillis(t0 + n * step - jitter(n, ooo));
      GenericRowData row = GenericRowData.of(keys > 0 ? n % keys : n, n, ts, StringData.fromString("payload-" + n));
      row.setRowKind(keys > 0 && n >= keys ? RowKind.UPDATE_AFTER : RowKind.INSERT);
      return row;
    }
  }

  static class Options {
    private final Map<String, String> given = new LinkedHashMap<>();

    Options(String[] args) {
      for (String arg : args) {
        given.put(arg.substring(0, arg.indexOf('=')), arg.substring(arg.indexOf('=') + 1));
      }
    }

    String text(String key, String otherwise) {
      return given.getOrDefault(key, otherwise);
    }

    long number(String key, long otherwise) {
      return given.containsKey(key) ? Long.parseLong(given.get(key)) : otherwise;
    }
  }

  static CatalogLoader catalog(Options options) {
    Map<String, String> properties = new LinkedHashMap<>();
    properties.put("uri", "jdbc:sqlite:" + options.text("database", null));
    properties.put("warehouse", options.text("warehouse", null));
    properties.put("jdbc.schema-version", "V1");
    properties.put("jdbc.busy_timeout", "60000");
    properties.put("jdbc.journal_mode", "WAL");
    if (options.text("commits", "").length() > 0) {
      properties.put("metrics-reporter-impl", AppendJob.Commits.class.getName());
      properties.put("commits", options.text("commits", null));
    }
    org.apache.hadoop.conf.Configuration hadoop = new org.apache.hadoop.conf.Configuration();
    hadoop.set("fs.file.impl", UpsertJob.RawLocal.class.getName());
    return CatalogLoader.custom(
        options.text("catalog", "lake"), properties, hadoop, "org.apache.iceberg.jdbc.JdbcCatalog");
  }

  static Configuration settings(Options options) {
    Configuration settings = new Configuration();
    settings.setString("taskmanager.memory.network.min", "64mb");
    settings.setString("taskmanager.memory.network.max", "64mb");
    settings.setString("taskmanager.memory.managed.size", "32mb");
    settings.setString("rest.address", "localhost");
    settings.setString("rest.bind-address", "localhost");
    settings.setString("rest.port", options.text("port", "0"));
    settings.setString("rest.bind-port", options.text("port", "0"));
    settings.setString("metrics.fetcher.update-interval", options.text("fetch", "10000"));
    settings.setString("restart-strategy.type", "fixed-delay");
    settings.setString("restart-strategy.fixed-delay.attempts", options.text("attempts", "1000000"));
    settings.setString("restart-strategy.fixed-delay.delay", options.text("delay", "100") + " ms");
    settings.setString("execution.checkpointing.interval", options.text("ckpt", "1000") + " ms");
    settings.setString("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
    settings.setString("execution.checkpointing.num-retained", "3");
    if (options.given.containsKey("ckptdir")) {
      settings.setString("execution.checkpointing.dir", new File(options.text("ckptdir", null)).toURI().toString());
    }
    if (options.given.containsKey("restore")) {
      settings.setString("execution.state-recovery.path", options.text("restore", null));
    }
    options.given.forEach(
        (key, value) -> {
          if (key.startsWith("conf.")) {
            settings.setString(key.substring("conf.".length()), value);
          }
        });
    return settings;
  }

  static DataStream<RowData> rows(
      StreamExecutionEnvironment env, Options options, InternalTypeInfo<RowData> type, String name, String failfile) {
    WatermarkStrategy<RowData> watermarks = WatermarkStrategy.noWatermarks();
    if (options.text("watermark", "bounded").equals("bounded")) {
      watermarks =
          WatermarkStrategy.<RowData>forBoundedOutOfOrderness(Duration.ofMillis(options.number("ooo", 2000)))
              .withTimestampAssigner((row, before) -> row.getTimestamp(2, 6).getMillisecond());
    }
    if (options.given.containsKey("idle")) {
      watermarks = watermarks.withIdleness(Duration.ofMillis(options.number("idle", 0)));
    }
    int readers = (int) options.number("sourcepar", 1);
    long limit = options.number("limit", (long) readers << 40);
    long rowsPerReader = limit / readers;
    if (limit % readers != 0 || options.number("keys", 0) % readers != 0) {
      throw new IllegalArgumentException("limit and keys have to be multiples of sourcepar");
    }
    Row row = new Row(options, readers, rowsPerReader, failfile);
    long rate = options.number("rate", 100);
    RateLimiterStrategy never = readersOfIt -> () -> new CompletableFuture<>();
    RateLimiterStrategy limiter = rate == 0 ? never : RateLimiterStrategy.perSecond(rate);
    SingleOutputStreamOperator<RowData> source =
        env.fromSource(
                new DataGeneratorSource<>(row, limit, limiter, type), watermarks, name, type)
            .setParallelism(readers)
            .uid(name);
    if (options.given.containsKey("dry")) {
      long dry = options.number("dry", 0);
      source = source.filter(one -> one.getLong(1) < dry).setParallelism(readers).uid("dry " + name);
    }
    if (options.number("quiet", 0) == 0) {
      return source;
    }
    return source.union(
        env.fromSource(new DataGeneratorSource<>(row, 1L << 40, never, type), watermarks, "quiet " + name, type)
            .setParallelism(1)
            .uid("quiet " + name));
  }

  static void sink(DataStream<RowData> rows, Options options, TableLoader loader, Table table, String uid) {
    int par = (int) options.number("par", 1);
    boolean upsert = options.number("keys", 0) > 0;
    if (options.text("sink", "v1").equals("v2")) {
      IcebergSink.Builder sink =
          IcebergSink.forRowData(rows).tableLoader(loader).table(table).writeParallelism(par).upsert(upsert);
      if (upsert) {
        sink.equalityFieldColumns(List.of("id"));
      }
      (uid == null ? sink : sink.uidSuffix(uid)).append();
    } else {
      FlinkSink.Builder sink =
          FlinkSink.forRowData(rows).tableLoader(loader).table(table).writeParallelism(par).upsert(upsert);
      if (upsert) {
        sink.equalityFieldColumns(List.of("id"));
      }
      (uid == null ? sink : sink.uidPrefix(uid)).append();
    }
  }

  static StreamGraph graph(Options options) {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(settings(options));
    env.setParallelism((int) options.number("par", 1));
    Map<String, String> parameters = new LinkedHashMap<>();
    for (String parameter : options.text("params", "").split(";")) {
      if (!parameter.isEmpty()) {
        parameters.put(parameter.split("=", 2)[0], parameter.split("=", 2)[1]);
      }
    }
    env.getConfig().setGlobalJobParameters(Configuration.fromMap(parameters));
    CatalogLoader loader = catalog(options);
    Catalog catalog = loader.loadCatalog();
    List<String> names = new ArrayList<>(Arrays.asList(options.text("table", null).split(",")));
    DataStream<RowData> rows = null;
    for (String each : names) {
      TableIdentifier name = TableIdentifier.parse(each);
      Table table = catalog.loadTable(name);
      InternalTypeInfo<RowData> type = InternalTypeInfo.of(FlinkSchemaUtil.convert(table.schema()));
      boolean own = options.text("sources", "one").equals("each");
      if (rows == null || own) {
        String failfile = rows == null ? options.text("failfile", null) : null;
        rows = rows(env, options, type, own ? "rows of " + each : "rows", failfile);
      }
      String uid = options.text("uid", null);
      uid = uid == null || names.size() == 1 ? uid : uid + "-" + each; // two sinks of one uid cannot be in a job
      sink(rows, options, TableLoader.fromCatalog(loader, name), table, uid);
    }
    StreamGraph graph = env.getStreamGraph();
    graph.setJobName(options.text("name", "events into " + options.text("table", null)));
    return graph;
  }

  public static void main(String[] args) {
    int code = 1;
    try {
      Options options = new Options(args);
      StreamGraph graph = graph(options);
      MiniClusterConfiguration configuration =
          new MiniClusterConfiguration.Builder()
              .setConfiguration(settings(options))
              .setNumTaskManagers(1)
              .setNumSlotsPerTaskManager((int) Math.max(options.number("par", 1), options.number("sourcepar", 1)))
              .build();
      MiniCluster cluster = new MiniCluster(configuration);
      cluster.start();
      JobID job = cluster.submitJob(graph).get().getJobID();
      JobStatus status = cluster.getJobStatus(job).get();
      while (status != JobStatus.RUNNING && !status.isGloballyTerminalState()) {
        Thread.sleep(20);
        status = cluster.getJobStatus(job).get();
      }
      System.out.printf("READY job=%s rest=%s%n", job, cluster.getRestAddress().get());
      JobResult result = cluster.requestJobResult(job).get();
      System.out.printf("ENDED %s%n", cluster.getJobStatus(job).get());
      code = result.isSuccess() ? 0 : 1;
      Thread.sleep(options.number("linger", 0));
    } catch (Throwable failure) { // Flink leaves threads behind that would keep the JVM alive
      failure.printStackTrace();
    }
    System.exit(code);
  }
}
